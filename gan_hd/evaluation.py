"""How near translations come to paintings, how much of the photographs they keep, and what went wrong on the way.

Every style distance is measured against one half of the paintings (the reference) and means nothing alone. Two others
give it a scale: its *floor*, the other half of the paintings against the reference, and its *start*, the untouched
photographs. The headline is the share of the way that was gone,

    gap closed = 1 − (distance − floor)/(start − floor)

1 for translations as near to the reference as other paintings are, 0 for the photographs themselves, negative for
what is farther away than they. All sets are cut down to the same number of crops, because finite samples make most
distances larger. Which paintings fall into which half decides much where they are few, so distances can be means over
several halvings. Confidence intervals are bootstrapped over pictures, not crops: crops of one picture are alike.

In: pictures at the resolution of training, painters (any function picture -> picture). Out: a Report for each painter.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from gan_hd import gap, pixels
from gan_hd.gap import Distance, Measured
from gan_hd.metrics import content, health, style
from gan_hd.metrics.features import RandomFeatures, standardised
from gan_hd.metrics.style import Crops

#: uint8 [h, w, 3] -> the same shape.
Painter = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Settings:
    """How much is looked at.

    Attributes:
        crops: of each photograph; each half of the paintings gets about as many in all.
        crop_px: their side, at least 64 px.
        feature_crops: at most so many crops of a set go through the random filters, the costliest part.
        halvings: of the paintings into the reference and the others; distances are means over them.
        resamples: of the bootstrap; 0 leaves the intervals out. Each takes the next halving, so intervals hold what
            the halving does too, and are wider than a mean over several deserves.
        seed: of everything random.

    Raises:
        ValueError: a value is out of range.
    """

    crops: int = 128
    crop_px: int = 128
    feature_crops: int = 2000
    halvings: int = 1
    resamples: int = 20
    seed: int = 0

    def __post_init__(self) -> None:
        least = {"crops": 1, "crop_px": 64, "feature_crops": 20, "halvings": 1, "resamples": 0}
        for name, value in least.items():
            if getattr(self, name) < value:
                raise ValueError(f"{name} must be {value} at least. Received: {getattr(self, name)}")


@dataclass(frozen=True)
class Report:
    """All figures of one painter.

    Attributes:
        distances: by name, DISTANCES and one per level of the pyramid, as in "swd_128px".
        edges: mean correlation of edges with the photograph, per scale from full size down.
        tones: mean correlation of large areas' lightness with the photograph; below 0 for negatives.
        colour_difference: mean ΔE of large areas against the photograph.
        paired_error: mean difference from the truth in levels, where there is one.
        effective_rank: of the translations' features / of the paintings'.
        copy_rate: of the translations' crops; 0.01 is usual among paintings.
        seams: see seam_figures.SeamFigures; empty where the painter is no model.
        inception: "fid" and "inception_kid", see inception_scores; empty without weights.
        artfid: see inception_scores.artfid; None without weights.
    """

    distances: dict[str, Distance]
    edges: tuple[float, ...]
    tones: float
    colour_difference: float
    paired_error: float | None
    effective_rank: float
    copy_rate: float
    seams: dict[str, float] = field(default_factory=dict)
    inception: dict[str, Distance] = field(default_factory=dict)
    artfid: float | None = None


class Evaluation:
    """The paintings and photographs that painters are measured with; made once for all of them.

    Args:
        photos: uint8 [h, w, 3] each.
        paintings: the same; four at least.
        settings: how much is looked at.
        truths: what the right painting of each photograph is, where that is known.
        progress: is called with each picture that was looked at.

    Raises:
        ValueError: too few pictures, or one that is smaller than a crop.
    """

    def __init__(
        self,
        photos: Sequence[np.ndarray],
        paintings: Sequence[np.ndarray],
        *,
        settings: Settings = Settings(),
        truths: Sequence[np.ndarray] | None = None,
        progress: Callable[[], object] = lambda: None,
    ) -> None:
        if not photos or len(paintings) < 4:
            raise ValueError(
                f"needs a photograph and four paintings at least. Received: {len(photos)}, {len(paintings)}"
            )
        for picture in (*photos, *paintings):
            if min(picture.shape[:2]) < settings.crop_px:
                raise ValueError(
                    f"pictures must be {settings.crop_px} px at least. Received: {picture.shape[1]}x{picture.shape[0]}"
                )
        if truths is not None and [t.shape for t in truths] != [p.shape for p in photos]:
            raise ValueError("each photograph needs a truth of its own size")
        self._photos, self._truths, self._settings, self._progress = photos, truths, settings, progress
        self._bank = RandomFeatures(seed=settings.seed)
        # Halves of the paintings have about as many crops as the photographs; distances() cuts to the fewest.
        crops = math.ceil(2 * settings.crops * len(photos) / len(paintings))
        self._style = self._describe(paintings, crops, 2 * settings.feature_crops, salt=1)
        self._start = self._describe(photos, settings.crops, settings.feature_crops, salt=0)
        self._halvings = [
            [
                np.array(half)
                for half in gap.halves(range(len(paintings)), seed=settings.seed * settings.halvings + k)
            ]
            for k in range(settings.halvings)
        ]
        self._reference, self._other = map(self._style.resampled, self._halvings[0])

    def report(self, painter: Painter, *, painted: Callable[[], object] = lambda: None) -> Report:
        """Measures a painter.

        Args:
            painter: translates a photograph.
            painted: is called after each.
        """
        photos, translations = self._photos, []
        for photo in photos:
            translations.append(painter(photo))
            if translations[-1].shape != photo.shape or translations[-1].dtype != np.uint8:
                raise ValueError(
                    f"a painter must give uint8 {photo.shape}. Received: {translations[-1].dtype} "
                    f"{translations[-1].shape}"
                )
            painted()
        # The photographs' salt: their crops and the translations' are from the same places.
        sample = self._describe(translations, self._settings.crops, self._settings.feature_crops, salt=0)
        edges, tones, shifts = [], [], []
        for photo, translation in zip(photos, translations, strict=True):
            first, second = pixels.to_float(photo), pixels.to_float(translation)
            edges.append(content.edge_correlation(first, second))
            tones.append(content.tone_correlation(first, second))
            shifts.append(content.colour_difference(first, second))
        truths = self._truths
        return Report(
            distances=self._distances(sample),
            # A picture without an edge correlates with nothing.
            edges=tuple(float(np.nan_to_num(scale).mean()) for scale in np.transpose(edges)),
            tones=float(np.nan_to_num(tones).mean()),
            colour_difference=float(np.mean(shifts)),
            paired_error=None
            if truths is None
            else float(
                np.mean(
                    [
                        content.paired_error(pixels.to_float(t), pixels.to_float(truth))
                        for t, truth in zip(translations, truths, strict=True)
                    ]
                )
            ),
            effective_rank=self._rank(sample) / self._rank(self._other),
            copy_rate=health.copy_rate(
                *(
                    standardised(s.features, reference=self._reference.features)
                    for s in (sample, self._reference)
                ),
                pictures=self._reference.feature_pictures,
            ),
        )

    def _distances(self, sample: Crops) -> dict[str, Distance]:
        def measured(photos: np.ndarray, reference: np.ndarray, others: np.ndarray) -> Measured:
            sets = [sample.resampled(photos), self._style.resampled(others), self._start.resampled(photos)]
            return style.distances(sets, self._style.resampled(reference), seed=self._settings.seed)

        every = np.arange(len(self._photos))
        plain = gap.mean([measured(every, *halves) for halves in self._halvings])
        rng = np.random.default_rng(self._settings.seed)
        resamples = [
            measured(*(gap.drawn(rng, pictures) for pictures in (every, *halves)))
            for halves in itertools.islice(itertools.cycle(self._halvings), self._settings.resamples)
        ]
        return gap.on_scale(plain, resamples)

    def _rank(self, crops: Crops) -> float:
        return health.effective_rank(standardised(crops.features, reference=self._reference.features))

    def _describe(
        self, pictures: Sequence[np.ndarray], crops: int, feature_crops: int, *, salt: int
    ) -> Crops:
        """Crops of all pictures -> what is kept of them. Equal salts and sizes give crops at equal places."""
        settings = self._settings
        with_features = max(1, feature_crops // len(pictures))

        def one(index: int) -> Crops:
            described = style.describe(
                pictures[index],
                self._bank,
                count=crops,
                side_px=settings.crop_px,
                with_features=with_features,
                index=index,
                seed=[settings.seed, salt, index],
            )
            self._progress()
            return described

        with ThreadPoolExecutor(2) as pool:  # numpy and TensorFlow release the interpreter
            return style.joined(list(pool.map(one, range(len(pictures)))))
