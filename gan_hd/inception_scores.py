"""FID and KID on trained features, and ArtFID without LPIPS: optional figures of an evaluation.

    ArtFID form = (1 + content lost) · (1 + FID),  content lost = 1 − mean edge correlation, 0..1

ArtFID's own content term is LPIPS, whose weights are one more download; here it is what the evaluation measures anyway.
Lower is better. A photograph left alone loses nothing and has the photographs' FID; a constant loses everything.

In: pictures uint8 [h, w, 3], any function from crops to features. Out: Distances (gap.py) by name.
Reference: Heusel et al. (2017), Bińkowski et al. (2018), Wright and Ommer, "ArtFID" (2022).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from gan_hd import gap
from gan_hd.evaluation import Report
from gan_hd.gap import Distance
from gan_hd.metrics import kid
from gan_hd.metrics.frechet import frechet_distance
from gan_hd.metrics.style import random_crops

#: uint8 [n, h, w, 3] -> float [n, d].
Embedding = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class _Set:
    features: np.ndarray  # [n, d]
    pictures: np.ndarray  # int [n], the picture of each crop

    def positions(self, pictures: np.ndarray) -> np.ndarray:
        """Of all crops of these pictures, which may repeat."""
        return np.concatenate([np.flatnonzero(self.pictures == picture) for picture in pictures])


class InceptionScores:
    """The paintings and photographs that painters are measured with.

    Args:
        photos: uint8 [h, w, 3] each.
        paintings: the same; four at least; one halving of them is measured.
        embed: gives the features, such as metrics.inception.Inception.
        crops: of each set, about; all sets get as many, for FID is larger for fewer.
        crop_px: their side.
        resamples: of the bootstrap.
        seed: of everything random.
        progress: is called with each picture that was looked at.
    """

    def __init__(
        self,
        photos: Sequence[np.ndarray],
        paintings: Sequence[np.ndarray],
        embed: Embedding,
        *,
        crops: int = 1000,
        crop_px: int = 128,
        resamples: int = 20,
        seed: int = 0,
        progress: Callable[[], object] = lambda: None,
    ) -> None:
        self._embed, self._crops, self._crop_px = embed, crops, crop_px
        self._resamples, self._seed, self._progress = resamples, seed, progress
        reference, other = gap.halves(paintings, seed=seed)
        self._reference = self._describe(reference, salt=1)
        self._other = self._describe(other, salt=2)
        self._start = self._describe(photos, salt=0)

    def distances(self, translations: Sequence[np.ndarray]) -> dict[str, Distance]:
        """``fid`` and ``inception_kid`` of the translations, of the photographs' sizes and in their order."""
        sets = (self._describe(translations, salt=0), self._other, self._start)
        count = min(len(s.features) for s in (*sets, self._reference))
        every = [np.arange(count) for _ in (*sets, self._reference)]
        kernels = [kid.kernels(s.features, self._reference.features) for s in sets]

        def measure(taken: Sequence[np.ndarray]) -> dict[str, tuple[float, ...]]:
            *ours, theirs = taken
            reference = self._reference.features[theirs]
            weights = np.bincount(theirs, minlength=len(self._reference.features))
            return {
                "fid": tuple(
                    frechet_distance(s.features[at], reference) for s, at in zip(sets, ours, strict=True)
                ),
                "inception_kid": tuple(
                    k.distance(np.bincount(at, minlength=len(k.sample)), weights)
                    for k, at in zip(kernels, ours, strict=True)
                ),
            }

        rng = np.random.default_rng(self._seed)
        resamples = []
        for _ in range(self._resamples):
            photos = gap.drawn(rng, self._start.pictures)
            drawn = [
                sets[0].positions(photos),
                sets[1].positions(gap.drawn(rng, sets[1].pictures)),
                sets[2].positions(photos),
                self._reference.positions(gap.drawn(rng, self._reference.pictures)),
            ]
            resamples.append(measure([rng.permutation(at)[:count] for at in drawn]))
        return gap.on_scale(measure(every), resamples)

    def added_to(self, report: Report, translations: Sequence[np.ndarray]) -> Report:
        """The report with ``inception`` and ``artfid``."""
        distances = self.distances(translations)
        return dataclasses.replace(
            report, inception=distances, artfid=artfid(distances["fid"].value, report.edges)
        )

    def _describe(self, pictures: Sequence[np.ndarray], *, salt: int) -> _Set:
        """Crops of all pictures, as many of each. Equal salts and sizes give crops at equal places."""
        each = max(2, round(self._crops / len(pictures)))
        features = []
        for index, picture in enumerate(pictures):
            rng = np.random.default_rng([self._seed, salt, index])
            features.append(self._embed(random_crops(picture, each, self._crop_px, rng)))
            self._progress()
        return _Set(np.concatenate(features), np.repeat(np.arange(len(pictures)), each))


def artfid(fid: float, edges: Sequence[float]) -> float:
    """(1 + content lost) · (1 + FID); see the module's docstring.

    Args:
        fid: not negative.
        edges: correlations with the photograph per scale, −1..1; below 0 counts as 0.
    """
    return (2 - max(0.0, float(np.mean(edges)))) * (1 + fid)
