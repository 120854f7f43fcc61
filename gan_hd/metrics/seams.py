"""Seam metrics: does the tile grid leave a trace in the translated picture?

    GSE  grid-shift error: translate twice with the grid at two origins; whatever differs, the grid made.
    SSZ  seam-step z: in one picture, the step across the tiles' sides against the step everywhere else. Ask it of
         the source too: JPEG's 8×8 blocks under a grid of 64 px are a seam that was there before.

Both read pictures of any size in bands of rows, each row once and from top to bottom. Conventions: integer RGB
pixels, uint8 or uint16; results are in levels of 1/255, so 16-bit differences are divided by 257; every pair of
sizes or positions is (y, x). A *border* lies between two tiles inside the picture: border x is between the
columns x−1 and x. The picture's own edges are not borders. A *vertical* border separates left from right.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import numpy as np

BORDER_PX = 8  # GSE: pixels this close to a border count as "at the border"
HEAT_SIDE_PX = 1024  # GSE: the longest side of the heat map
STRIP_PX = 4  # SSZ: width of the strips compared on both sides of a border
#: SSZ: so many phases off the grid are needed to say what is usual; neighbouring ones share most pixels.
MIN_PHASES = 16
#: SSZ: a spread below this (flat or synthetic pictures) counts as this, in 1/255, so that z stays finite.
MIN_SPREAD = 0.01

_UNIT = {np.dtype(np.uint8): 1, np.dtype(np.uint16): 257}  # of the pixels, in one level of 1/255
_SIGNED = {np.dtype(np.uint8): np.int16, np.dtype(np.uint16): np.int32}  # hold sums of STRIP_PX pixels
_RAMP = np.array([[0, 0, 0], [128, 0, 0], [255, 128, 0], [255, 255, 0], [255, 255, 255]], np.float64)


class Rows(Protocol):
    """A picture of height×width px that gives bands of its rows; no more than a band need be in memory."""

    @property
    def height(self) -> int: ...
    @property
    def width(self) -> int: ...
    def rows(self, y0: int, y1: int) -> np.ndarray:
        """Rows y0 … y1−1: [y1 − y0, width, 3] uint8 or uint16. Bands are asked for in order, without gaps."""


@dataclass(frozen=True)
class GridShiftError:
    """How far two translations differ whose tile grids lie elsewhere; 0 where the grid leaves no trace.

    Attributes:
        mean, max: of |Y0 − Y1| over all pixels and channels, 1/255.
        p99: the smallest level that at least 99 % of the values do not exceed, 1/255.
        share_differing: of the values that differ at all, 0..1.
        border_ratio: mean within BORDER_PX of a border of either grid / mean elsewhere. 1 where both are 0, inf
            where only elsewhere is 0, nan where no pixel is at a border (one tile) or none elsewhere (small tiles).
        heat: float32 [h', w'], the largest difference in each square cell, 1/255. Cells of
            ⌈long side / HEAT_SIDE_PX⌉ px from the top left; each pixel is in exactly one.
    """

    mean: float
    p99: float
    max: float
    share_differing: float
    border_ratio: float
    heat: np.ndarray = field(repr=False, compare=False)

    def as_dict(self) -> dict[str, Any]:
        """The numbers without the heat map, for JSON: None stands for nan and inf."""
        values = asdict(self)
        del values["heat"]
        return json_safe(values)


@dataclass(frozen=True)
class BorderStep:
    """The step across the borders of one direction.

    Attributes:
        z: (step − usual) / max(1.4826·MAD, MIN_SPREAD), the MAD like `usual`; nan where step or usual is.
        step: mean step at the grid, 1/255; nan where no border has STRIP_PX of picture on both sides.
        usual: median of the same over the phases off the grid, 1/255; nan with fewer than MIN_PHASES of them
            (tiles below 25 px).
    """

    z: float
    step: float
    usual: float


@dataclass(frozen=True)
class SeamStep:
    """Both directions, and the one with the larger z; nearly all pictures without a seam stay below 3.

    The directions are not pooled, which would dilute a seam in one of them only.

    Attributes:
        z, step: of the direction with the larger z (or step, where no z is a number); nan in a picture of one tile.
        vertical, horizontal: borders between left and right, and between upper and lower tiles.
    """

    z: float
    step: float
    vertical: BorderStep
    horizontal: BorderStep

    def as_dict(self) -> dict[str, Any]:
        """For JSON: nested as the fields are, None stands for nan and inf."""
        return json_safe(asdict(self))


def grid_shift_error(
    first: Rows,
    second: Rows,
    *,
    tile: tuple[int, int],
    origins: tuple[tuple[int, int], tuple[int, int]],
    band_px: int = 64,
) -> GridShiftError:
    """GSE of one picture translated twice.

    Args:
        first, second: the translations, of one size and one dtype.
        tile: (height, width) of the tiles, px.
        origins: (y, x) where a tile corner falls, in `first` and in `second`; (0, 0) and half a tile.
        band_px: rows read at a time; changes memory and speed only.

    Raises:
        ValueError: for pictures of different sizes or dtypes, other dtypes, or sizes below 1.
    """
    height, width = first.height, first.width
    if (height, width) != (second.height, second.width):
        raise ValueError(
            "both translations must have one size. "
            f"Received: {height}×{width} and {second.height}×{second.width}"
        )
    # 1. Where the borders are: a pixel is near one if its row or its column is.
    near_y, near_x = (
        np.any([_near_border(side, tile[axis], origin[axis]) for origin in origins], axis=0)
        for axis, side in enumerate((height, width))
    )
    # 2. Everything that the pixels contribute, as exact integers.
    cell = math.ceil(max(height, width) / HEAT_SIDE_PX)
    heat = np.zeros((math.ceil(height / cell), math.ceil(width / cell)), np.uint16)
    counts = np.zeros(2**16, np.int64)
    sum_elsewhere = 0
    bands = _cuts(height, band_px, 0)
    for (y0, y1), a, b in zip(bands, _read(first, bands), _read(second, bands), strict=True):
        if a.dtype != b.dtype:
            raise ValueError(f"both translations must have one dtype. Received: {a.dtype} and {b.dtype}")
        unit = _UNIT[a.dtype]
        difference = np.maximum(a, b) - np.minimum(a, b)  # [n, w, 3], unsigned
        found = np.bincount(difference.reshape(-1))
        counts[: len(found)] += found
        by_column = difference[~near_y[y0:y1]].sum(axis=0, dtype=np.int64)  # [w, 3]
        sum_elsewhere += int(by_column[~near_x].sum())
        top, end = y0 // cell, (y1 - 1) // cell + 1  # rows of cells; a band may begin inside one
        starts = np.maximum(np.arange(top, end) * cell - y0, 0)
        peaks = np.maximum.reduceat(difference, starts, axis=0).max(axis=2)
        peaks = np.maximum.reduceat(peaks, np.arange(0, width, cell), axis=1)
        heat[top:end] = np.maximum(heat[top:end], peaks)
    # 3. The statistics.
    total = 3 * height * width
    total_elsewhere = 3 * int((~near_y).sum()) * int((~near_x).sum())
    levels = np.arange(len(counts))
    sum_all = int(counts @ levels)
    return GridShiftError(
        mean=sum_all / total / unit,
        p99=int(np.argmax(100 * np.cumsum(counts) >= 99 * total)) / unit,
        max=int(levels[counts > 0][-1]) / unit,
        share_differing=(total - int(counts[0])) / total,
        border_ratio=_ratio(sum_all - sum_elsewhere, total - total_elsewhere, sum_elsewhere, total_elsewhere),
        heat=(heat / np.float32(unit)).astype(np.float32),
    )


def seam_step_z(picture: Rows, *, tile: tuple[int, int], origin: tuple[int, int] = (0, 0)) -> SeamStep:
    """SSZ: the step across the tiles' sides, as a z-score against all other phases of the same picture.

    The step at one place of a side is the mean of the STRIP_PX after it minus the mean of the STRIP_PX before it; a
    side's step is the median over the side, per channel, its absolute value averaged over the channels: edges of
    the content cross a side here and there, a seam runs along all of it. Sides are averaged with their lengths as
    weights (the picture cuts tiles to slivers). The same is done for borders moved by every phase 1 … T−1, the
    sides' ends staying where they are. Phases up to STRIP_PX from the grid, cyclically, are left out of the
    comparison: their strips reach over the seam or touch it.

    Args:
        picture: needs no more memory than a few times one row of tiles.
        tile: (height, width) of the tiles, px.
        origin: (y, x) where a tile corner falls.

    Raises:
        ValueError: for other dtypes than uint8 and uint16, or sizes below 1.
    """
    ys = _cuts(picture.height, tile[0], origin[0])
    xs = _cuts(picture.width, tile[1], origin[1])
    by_x = np.zeros(max(picture.width - 2 * STRIP_PX + 1, 0))  # step at x = STRIP_PX …, summed over tile rows
    by_y = np.zeros(max(picture.height - 2 * STRIP_PX + 1, 0))  # step at y = STRIP_PX …
    done = 0
    above: np.ndarray | None = None  # the last rows read, which the next strips reach back to
    for band in _read(picture, ys):
        unit = _UNIT[band.dtype]
        above = band if above is None else np.concatenate([above, band])
        finished = max(len(above) - 2 * STRIP_PX + 1, 0)
        for x0, x1 in xs:
            # Vertical borders x0 … x1−1 want the columns around them, horizontal ones the columns of the tile.
            left = max(x0 - STRIP_PX, 0)
            steps = _side_steps(band[:, left : x1 + STRIP_PX - 1], axis=1)
            by_x[left : left + len(steps)] += len(band) * steps
            steps = _side_steps(above[:, x0:x1], axis=0)
            by_y[done : done + finished] += (x1 - x0) * steps
        done += finished
        above = above[-(2 * STRIP_PX - 1) :]
    vertical = _score(by_x / (unit * picture.height), tile[1], origin[1])
    horizontal = _score(by_y / (unit * picture.width), tile[0], origin[0])
    larger = max(vertical, horizontal, key=lambda s: np.nan_to_num([s.z, s.step], nan=-np.inf).tolist())
    return SeamStep(z=larger.z, step=larger.step, vertical=vertical, horizontal=horizontal)


def heat_picture(heat: np.ndarray, *, full_scale: float) -> np.ndarray:
    """[h, w] of any real dtype -> uint8 [h, w, 3]: 0 black, dark red, orange, yellow, `full_scale` and above white.

    Raises:
        ValueError: full_scale is not above 0.
    """
    if not full_scale > 0:
        raise ValueError(f"full_scale must be above 0. Received: {full_scale}")
    share = np.clip(heat / full_scale, 0, 1) * (len(_RAMP) - 1)
    channels = [np.interp(share, np.arange(len(_RAMP)), _RAMP[:, c]) for c in range(3)]
    return np.rint(np.stack(channels, axis=-1)).astype(np.uint8)


def _read(picture: Rows, bands: list[tuple[int, int]]) -> Iterator[np.ndarray]:
    """The bands (y0, y1) of a picture, checked."""
    for y0, y1 in bands:
        band = picture.rows(y0, y1)
        if band.dtype not in _UNIT or band.shape != (y1 - y0, picture.width, 3):
            raise ValueError(
                f"rows must be [{y1 - y0}, {picture.width}, 3] of uint8 or uint16. "
                f"Received: {list(band.shape)} of {band.dtype}"
            )
        yield band


def _cuts(side: int, tile: int, origin: int) -> list[tuple[int, int]]:
    """From where to where each tile reaches along one side of the picture."""
    if side < 1 or tile < 1:
        raise ValueError(f"sides and tiles are at least 1 px. Received: {side} and {tile}")
    borders = range(origin % tile or tile, side, tile)
    return list(zip([0, *borders], [*borders, side], strict=True))


def _near_border(side: int, tile: int, origin: int) -> np.ndarray:
    """bool [side]: the pixels within BORDER_PX of a border."""
    near = np.zeros(side, bool)
    for border, _ in _cuts(side, tile, origin)[1:]:
        near[max(border - BORDER_PX, 0) : border + BORDER_PX] = True
    return near


def _ratio(sum_at: int, count_at: int, sum_elsewhere: int, count_elsewhere: int) -> float:
    """Quotient of two means; see GridShiftError.border_ratio for its corner cases."""
    if not count_at or not count_elsewhere:
        return math.nan
    if not sum_elsewhere:
        return math.inf if sum_at else 1.0
    return (sum_at / count_at) / (sum_elsewhere / count_elsewhere)


def _side_steps(pixels: np.ndarray, *, axis: int) -> np.ndarray:
    """Steps at STRIP_PX … n − STRIP_PX along `axis`, their median over the other: [h, w, 3] -> [n − 7] float64."""
    pixels = np.moveaxis(pixels.astype(_SIGNED[pixels.dtype]), axis, 0)  # [n, side, 3]
    count = max(len(pixels) - STRIP_PX + 1, 0)
    strips = pixels[:count].copy()
    for k in range(1, STRIP_PX):
        strips += pixels[k : k + count]
    steps = strips[STRIP_PX:] - strips[:-STRIP_PX]
    return np.abs(np.median(steps, axis=1)).mean(axis=1) / STRIP_PX


def _score(steps: np.ndarray, tile: int, origin: int) -> BorderStep:
    """z of the grid among all phases; steps[i] is the mean step at i + STRIP_PX, 1/255."""
    phases = (np.arange(len(steps)) + STRIP_PX - origin) % tile
    counts = np.bincount(phases, minlength=tile)
    means = np.bincount(phases, steps, minlength=tile) / np.maximum(counts, 1)
    step = float(means[0]) if counts[0] else math.nan
    distance = np.minimum(np.arange(tile), tile - np.arange(tile))
    others = means[(distance > STRIP_PX) & (counts > 0)]
    if len(others) < MIN_PHASES:
        return BorderStep(z=math.nan, step=step, usual=math.nan)
    usual = float(np.median(others))
    spread = max(1.4826 * float(np.median(np.abs(others - usual))), MIN_SPREAD)
    return BorderStep(z=(step - usual) / spread, step=step, usual=usual)


def json_safe(value: Any) -> Any:
    """The same with None for nan and inf, which JSON has not; tuples become lists."""
    if isinstance(value, dict):
        return {key: json_safe(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_safe(inner) for inner in value]
    return value if not isinstance(value, float) or math.isfinite(value) else None
