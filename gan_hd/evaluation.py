"""How near translations come to paintings, how much of the photographs they keep, and what went wrong on the way.

Every style distance is measured against one half of the paintings (the reference) and means nothing alone. Two others
give it a scale: its *floor*, the other half of the paintings against the reference, and its *start*, the untouched
photographs. The headline is the share of the way that was gone,

    gap closed = 1 − (distance − floor)/(start − floor)

1 for translations as near to the reference as other paintings are, 0 for the photographs themselves, negative for
what is farther away than they. All sets are cut down to the same number of crops, because finite samples make most
distances larger. Confidence intervals are bootstrapped over pictures, not crops: crops of one picture are alike.

In: pictures at the resolution of training, painters (any function picture -> picture). Out: a Report for each painter.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from gan_hd import pixels
from gan_hd.metrics import content, health, seams, style
from gan_hd.metrics.features import RandomFeatures, standardised
from gan_hd.metrics.style import Crops
from gan_hd.streaming import ArrayRows
from gan_hd.translator import Translator

#: uint8 [h, w, 3] -> the same shape.
Painter = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Settings:
    """How much is looked at.

    Attributes:
        crops: of each photograph; paintings get as many in all.
        crop_px: their side, at least 64 px.
        feature_crops: at most so many crops of a set go through the random filters, the costliest part.
        resamples: of the bootstrap; 0 leaves the intervals out.
        seed: of everything random.

    Raises:
        ValueError: a value is out of range.
    """

    crops: int = 128
    crop_px: int = 128
    feature_crops: int = 2000
    resamples: int = 20
    seed: int = 0

    def __post_init__(self) -> None:
        if self.crops < 1 or self.crop_px < 64 or self.feature_crops < 20 or self.resamples < 0:
            raise ValueError(
                "needs crops >= 1, crop_px >= 64, feature_crops >= 20, resamples >= 0. Received: "
                f"{self.crops}, {self.crop_px}, {self.feature_crops}, {self.resamples}"
            )


@dataclass(frozen=True)
class Distance:
    """A style distance on its scale.

    Attributes:
        value: translations from the reference.
        floor: other paintings from it.
        start: photographs from it.
        gap_closed: see the module's docstring; nan where the start is no farther than the floor.
        interval: 95 % of `gap_closed`; nan without a bootstrap.
    """

    value: float
    floor: float
    start: float
    gap_closed: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class Report:
    """All figures of one painter.

    Attributes:
        distances: by name, DISTANCES and one per level of the pyramid, as in "swd_128px".
        edges: mean correlation of edges with the photograph, per scale from full size down.
        colour_difference: mean ΔE of large areas against the photograph.
        paired_error: mean difference from the truth in levels, where there is one.
        effective_rank: of the translations' features / of the paintings'.
        copy_rate: of the translations' crops; 0.01 is usual among paintings.
        seams: see :func:`seam_figures`; empty where the painter is no model.
    """

    distances: dict[str, Distance]
    edges: tuple[float, ...]
    colour_difference: float
    paired_error: float | None
    effective_rank: float
    copy_rate: float
    seams: dict[str, float] = field(default_factory=dict)


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
        order = np.random.default_rng(settings.seed).permutation(len(paintings))
        halves = [[paintings[i] for i in sorted(order[start::2])] for start in (0, 1)]
        count = settings.crops * len(photos)
        self._reference, self._other = (
            self._describe(half, math.ceil(count / len(half)), salt=salt)
            for salt, half in enumerate(halves, 1)
        )
        self._start = self._describe(photos, settings.crops, salt=0)

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
        sample = self._describe(translations, self._settings.crops, salt=0)
        edges, shifts = [], []
        for photo, translation in zip(photos, translations, strict=True):
            first, second = pixels.to_float(photo), pixels.to_float(translation)
            edges.append(content.edge_correlation(first, second))
            shifts.append(content.colour_difference(first, second))
        truths = self._truths
        return Report(
            distances=self._distances(sample),
            # A picture without an edge correlates with nothing.
            edges=tuple(float(np.nan_to_num(scale).mean()) for scale in np.transpose(edges)),
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
        sets = [sample, self._other, self._start]
        plain = style.distances(sets, self._reference, seed=self._settings.seed)
        closed = [_gaps_closed(plain)]
        rng = np.random.default_rng(self._settings.seed)
        for _ in range(self._settings.resamples):
            photos = _draw(rng, self._start)
            drawn = [sample.resampled(photos), self._other.resampled(_draw(rng, self._other))]
            drawn.append(self._start.resampled(photos))
            reference = self._reference.resampled(_draw(rng, self._reference))
            closed.append(_gaps_closed(style.distances(drawn, reference, seed=self._settings.seed)))
        found = {}
        for name, (value, floor, start) in plain.items():
            gap = closed[0][name]
            spread = (
                1.96 * float(np.std([c[name] for c in closed[1:]], ddof=1)) if len(closed) > 2 else math.nan
            )
            found[name] = Distance(value, floor, start, gap, (gap - spread, gap + spread))
        return found

    def _rank(self, crops: Crops) -> float:
        return health.effective_rank(standardised(crops.features, reference=self._reference.features))

    def _describe(self, pictures: Sequence[np.ndarray], crops: int, *, salt: int) -> Crops:
        """Crops of all pictures -> what is kept of them. Equal salts and sizes give crops at equal places."""
        settings = self._settings
        with_features = max(1, settings.feature_crops // len(pictures))

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


def _gaps_closed(measured: dict[str, tuple[float, ...]]) -> dict[str, float]:
    return {
        name: 1 - (value - floor) / (start - floor) if start > floor else math.nan
        for name, (value, floor, start) in measured.items()
    }


def _draw(rng: np.random.Generator, described: Crops) -> np.ndarray:
    """As many pictures as there are, with repeats."""
    known = np.unique(described.pictures)
    return rng.choice(known, len(known))


def seam_figures(model: Translator, photos: Sequence[np.ndarray]) -> dict[str, float]:
    """GSE and SSZ (metrics.seams) of a model in `exact` mode, with many small tiles, and in `grid` mode.

    Returns:
        by name, MODE_gse_mean, MODE_gse_max, MODE_ssz and MODE_ssz_of_photos, which a horizon along a border raises
        too; means over the pictures, and the largest for the maximum.
    """
    found: dict[str, list[float]] = {}
    for photo in photos:
        for mode, tile_px in (("exact", 256), ("grid", None)):
            plan = model.plan(*photo.shape[:2], mode=mode, tile_px=tile_px)
            stride = model.metadata["stride_px"]
            moved = (plan.pitch[0] // 2 // stride * stride, plan.pitch[1] // 2 // stride * stride)
            first, second = (
                ArrayRows(model.translate(photo, mode=mode, tile_px=tile_px, origin=origin))
                for origin in ((0, 0), moved)
            )
            error = seams.grid_shift_error(first, second, tile=plan.pitch, origins=((0, 0), moved))
            painted, before = (
                seams.seam_step_z(rows, tile=plan.pitch, origin=(0, 0)).z
                for rows in (first, ArrayRows(photo))
            )
            figures = {"gse_mean": error.mean, "gse_max": error.max, "ssz": painted, "ssz_of_photos": before}
            for name, value in figures.items():
                found.setdefault(f"{mode}_{name}", []).append(value)
    return {
        name: float(max(values) if name.endswith("max") else np.nanmean(values))
        for name, values in found.items()
    }
