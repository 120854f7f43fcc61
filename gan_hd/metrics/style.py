"""The style of a set of crops, and how far two sets are apart.

In: pictures uint8 [h, w, 3]. Out: a Crops, which keeps what the distances need and no pixels; distances by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gan_hd import pixels
from gan_hd.metrics import colour, kid, strokes, swd
from gan_hd.metrics.features import RandomFeatures, standardised

#: Style distances, in the order of reports; the first two are the headlines. One per pyramid level comes with them.
DISTANCES = ("kid", "swd", "channel_w1", "colour_w1", "coherence", "spectrum")
_PATCHES, _COLOURS, _DIRECTIONS = 4, 16, 32  # of each crop; of the slices


@dataclass(frozen=True)
class Crops:
    """What is kept of the crops of some pictures; crops are gone.

    Attributes:
        patches: for SWD.
        colours: float32 [n, k, 3], levels.
        coherence: [n].
        spectrum: [n, octaves].
        features: [m, d] of some of the crops, m <= n.
        pictures: int [n], the picture of each crop.
        feature_pictures: int [m], the same for the features.
        feature_ids: int [m], equal where a crop was taken twice.
    """

    patches: swd.Patches
    colours: np.ndarray
    coherence: np.ndarray
    spectrum: np.ndarray
    features: np.ndarray
    pictures: np.ndarray
    feature_pictures: np.ndarray
    feature_ids: np.ndarray

    def take(self, crops: np.ndarray, features: np.ndarray) -> Crops:
        """Some crops, and some features, by position; they may repeat."""
        return Crops(
            self.patches.take(crops),
            self.colours[crops],
            self.coherence[crops],
            self.spectrum[crops],
            self.features[features],
            self.pictures[crops],
            self.feature_pictures[features],
            self.feature_ids[features],
        )

    def resampled(self, pictures: np.ndarray) -> Crops:
        """All crops of these pictures, which may repeat."""
        return self.take(_of_pictures(self.pictures, pictures), _of_pictures(self.feature_pictures, pictures))


def describe(
    picture: np.ndarray,
    bank: RandomFeatures,
    *,
    count: int,
    side_px: int,
    with_features: int,
    index: int,
    seed: Sequence[int],
) -> Crops:
    """Crops from random places of a picture.

    Args:
        picture: uint8 [h, w, 3].
        bank: gives the features.
        count, side_px: of the crops.
        with_features: so many of them get features.
        index: of the picture, to tell its crops from others'.
        seed: equal seeds, sizes and counts give crops at equal places.
    """
    rng = np.random.default_rng(list(seed))
    crops = pixels.to_float(random_crops(picture, count, side_px, rng))
    inner = int(rng.integers(2**31))
    features = bank(crops[:with_features])
    return Crops(
        swd.patches(crops, per_crop=_PATCHES, seed=inner),
        colour.pixels_of(crops, per_crop=_COLOURS, seed=inner),
        strokes.coherence(crops),
        strokes.spectrum(crops),
        features,
        np.full(len(crops), index),
        np.full(len(features), index),
        with_features * index + np.arange(len(features)),
    )


def distances(sets: Sequence[Crops], reference: Crops, *, seed: int) -> dict[str, tuple[float, ...]]:
    """Each distance of each set from the reference, all cut down to the same number of crops."""
    count = min(len(s.pictures) for s in (*sets, reference))
    features = min(len(s.features) for s in (*sets, reference))
    rng = np.random.default_rng(seed)
    reference, *sets = [
        s.take(rng.permutation(len(s.pictures))[:count], rng.permutation(len(s.features))[:features])
        for s in (reference, *sets)
    ]
    found = [_distances_of(s, reference) for s in sets]
    return {name: tuple(f[name] for f in found) for name in found[0]}


def _distances_of(sample: Crops, reference: Crops) -> dict[str, float]:
    levels, mean = swd.swd(sample.patches, reference.patches, directions=_DIRECTIONS)
    sides = sample.patches.sides_px
    return {
        "kid": _kid(sample, reference),
        "swd": mean,
        "channel_w1": colour.channel_w1(sample.colours, reference.colours),
        "colour_w1": colour.colour_w1(sample.colours, reference.colours, directions=_DIRECTIONS),
        "coherence": strokes.coherence_distance(sample.coherence, reference.coherence),
        "spectrum": strokes.spectrum_distance(sample.spectrum, reference.spectrum),
        **{f"swd_{side}px": level for side, level in zip(sides, levels, strict=True)},
    }


def _kid(sample: Crops, reference: Crops) -> float:
    # A resample repeats crops; each counts once with a weight, or repeats would look like a likeness.
    (first, first_weights), (second, second_weights) = (
        (s.features[at], counts)
        for s in (sample, reference)
        for _, at, counts in [np.unique(s.feature_ids, return_index=True, return_counts=True)]
    )
    # The kernel is cubic: without the logarithm, sets far apart would be measured by their one farthest feature.
    kernels = kid.kernels(*(np.arcsinh(standardised(f, reference=second)) for f in (first, second)))
    return kernels.distance(first_weights, second_weights)


def _of_pictures(owner: np.ndarray, pictures: np.ndarray) -> np.ndarray:
    return np.concatenate([np.flatnonzero(owner == picture) for picture in pictures])


def random_crops(picture: np.ndarray, count: int, side: int, rng: np.random.Generator) -> np.ndarray:
    """uint8 [h, w, 3] -> uint8 [count, side, side, 3] from random places."""
    h, w, _ = picture.shape
    ys, xs = rng.integers(0, h - side + 1, count), rng.integers(0, w - side + 1, count)
    return np.stack([picture[y : y + side, x : x + side] for y, x in zip(ys, xs, strict=True)])


def joined(sets: Sequence[Crops]) -> Crops:
    """All crops of several pictures."""
    levels = zip(*(s.patches.levels for s in sets), strict=True)
    return Crops(
        swd.Patches(tuple(np.concatenate(level) for level in levels), sets[0].patches.sides_px),
        *(
            np.concatenate([getattr(s, name) for s in sets])
            for name in (
                "colours",
                "coherence",
                "spectrum",
                "features",
                "pictures",
                "feature_pictures",
                "feature_ids",
            )
        ),
    )
