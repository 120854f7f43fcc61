"""Tiling geometry: which window of a picture each tile reads, and which part of its output is kept.

Geometry only, in numpy; gan_hd.engine carries a plan out. A plan is a list of :class:`Tile` in bands: tiles of
one band lie side by side. All tiles of a plan read windows of one size, so every call of the predictor has the
same shape. Windows may reach over the picture's border; :func:`reflected` continues the picture there (edge
pixel included), the only place where anything is padded.

    exact   windows overlap by a true halo p = d·⌈r/d⌉ on each side; kept parts touch. For a predictor with
            receptive-field radius r and stride d the result does not depend on the tiles (docs/tiling.md).
    grid    no halo: the article's procedure on bare tiles.
    blend   overlapping tiles weighted by a raised cosine that sums to one, for predictors that use statistics
            of their tile.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

MODES = ("exact", "grid", "blend")


@dataclass(frozen=True)
class Tile:
    """One tile: reads a window at (read_y, read_x), keeps `keep` of its output at (y, x) of the picture.

    All in picture px. The kept part starts at (y - read_y, x - read_x) of the window's output.
    """

    read_y: int
    read_x: int
    y: int
    x: int
    height: int
    width: int


@dataclass(frozen=True)
class Plan:
    """How a picture of height×width px is translated.

    Attributes:
        window_h, window_w: size of every window, px.
        pitch: rows and columns from the start of one tile to that of the next.
        bands: from top to bottom, each its tiles from left to right.
        overlap_px: 0 where kept parts touch; else how far they overlap, to be blended.
    """

    height: int
    width: int
    window_h: int
    window_w: int
    pitch: tuple[int, int]
    bands: tuple[tuple[Tile, ...], ...]
    overlap_px: int = 0

    @property
    def tiles(self) -> tuple[Tile, ...]:
        return tuple(tile for band in self.bands for tile in band)

    def last_row_read(self, band: int) -> int:
        """The rows above this one are all that the windows of a band show, reflected ones included."""
        return int(reflected(self.bands[band][0].read_y, self.window_h, self.height).max()) + 1


def halo_px(*, radius_px: int, stride_px: int) -> int:
    """p = d·⌈r/d⌉: the halo that makes tiling exact and keeps windows on the stride."""
    return stride_px * math.ceil(radius_px / stride_px)


def plan_exact(
    height: int,
    width: int,
    *,
    tile_px: int,
    radius_px: int,
    stride_px: int,
    origin: tuple[int, int] = (0, 0),
) -> Plan:
    """Tiles with a true halo.

    Args:
        height, width: of the picture.
        tile_px: largest side of a kept part, rounded up to a multiple of `stride_px`. The picture is split evenly
            into as few tiles as that allows, so that no window is nearly empty.
        radius_px, stride_px: of the predictor.
        origin: (y, x) where a tile corner falls, multiples of `stride_px`; other values than (0, 0) serve to measure
            that the grid leaves no trace.

    Raises:
        ValueError: for sizes below 1 or an origin off the stride.
    """
    halo = halo_px(radius_px=radius_px, stride_px=stride_px)
    _check(height, width, tile_px, origin, stride_px)
    limit = _ceil(tile_px, stride_px)
    tile_h, tile_w = (_ceil(math.ceil(side / math.ceil(side / limit)), stride_px) for side in (height, width))
    return _touching(height, width, tile_h, tile_w, halo=halo, origin=origin)


def plan_grid(
    height: int, width: int, *, tile_px: int, stride_px: int = 1, origin: tuple[int, int] = (0, 0)
) -> Plan:
    """Bare tiles of exactly tile_px, a multiple of `stride_px`; see :func:`plan_exact`."""
    _check(height, width, tile_px, origin, stride_px)
    if tile_px % stride_px:
        raise ValueError(f"in grid mode tile_px must be a multiple of {stride_px}. Received: {tile_px}")
    return _touching(height, width, tile_px, tile_px, halo=0, origin=origin)


def plan_blend(
    height: int,
    width: int,
    *,
    tile_px: int,
    overlap_px: int,
    stride_px: int = 1,
    origin: tuple[int, int] = (0, 0),
) -> Plan:
    """Tiles of tile_px that overlap by overlap_px; see :func:`blend_weights`.

    Raises:
        ValueError: where the overlap is more than half a tile, which the raised cosine cannot blend.
    """
    _check(height, width, tile_px, origin, stride_px)
    tile_px, overlap_px = _ceil(tile_px, stride_px), _ceil(overlap_px, stride_px)
    if not 0 < 2 * overlap_px <= tile_px:
        raise ValueError(
            f"tiles of {tile_px} px can blend over 1 to {tile_px // 2} px: use larger tiles (--tile_px). "
            f"Received: {overlap_px}"
        )
    step = tile_px - overlap_px
    # The first tile begins one overlap before the picture, so every pixel lies under a full set of weights.
    ys, xs = (
        _starts(side + overlap_px, step, first) for side, first in ((height, origin[0]), (width, origin[1]))
    )
    return Plan(
        height,
        width,
        tile_px,
        tile_px,
        (step, step),
        tuple(
            tuple(
                Tile(
                    y - overlap_px,
                    x - overlap_px,
                    *_clipped(y - overlap_px, x - overlap_px, tile_px, tile_px, height, width),
                )
                for x in xs
            )
            for y in ys
        ),
        overlap_px,
    )


def blend_weights(plan: Plan) -> np.ndarray:
    """float32 [window_h, window_w, 1]: raised-cosine ramps over the overlap; a partition of unity.

    w(t) = ½ − ½·cos(π·(t + ½)/o) for t = 0 … o−1, and w(t) + w(o−1−t) = 1.
    """
    ramp = 0.5 - 0.5 * np.cos(np.pi * (np.arange(plan.overlap_px) + 0.5) / plan.overlap_px)

    def profile(side: int) -> np.ndarray:
        return np.concatenate([ramp, np.ones(side - 2 * plan.overlap_px), ramp[::-1]])

    return np.outer(profile(plan.window_h), profile(plan.window_w)).astype(np.float32)[..., None]


def reflected(start: int, count: int, size: int) -> np.ndarray:
    """Indices start … start+count−1, folded into 0 … size−1: …2 1 0 | 0 1 2 … n−1 | n−1 …

    Reflection repeats as often as it must, so a single pixel fills any window.
    """
    index = np.arange(start, start + count) % (2 * size)
    return np.where(index < size, index, 2 * size - 1 - index)


def _touching(
    height: int, width: int, tile_h: int, tile_w: int, *, halo: int, origin: tuple[int, int]
) -> Plan:
    """Tiles whose kept parts touch, each reading `halo` px more on every side."""
    bands = tuple(
        tuple(
            Tile(y - halo, x - halo, *_clipped(y, x, tile_h, tile_w, height, width))
            for x in _starts(width, tile_w, origin[1])
        )
        for y in _starts(height, tile_h, origin[0])
    )
    return Plan(height, width, tile_h + 2 * halo, tile_w + 2 * halo, (tile_h, tile_w), bands)


def _starts(side: int, step: int, origin: int) -> range:
    """Tile starts that cover 0 … side−1, one of them at `origin` modulo `step`."""
    first = origin % step
    return range(first - step if first else 0, side, step)


def _clipped(y: int, x: int, h: int, w: int, height: int, width: int) -> tuple[int, int, int, int]:
    """The part of a tile that lies in the picture: y, x, height, width."""
    top, left = max(y, 0), max(x, 0)
    return top, left, min(y + h, height) - top, min(x + w, width) - left


def _ceil(value: int, multiple: int) -> int:
    return multiple * math.ceil(value / multiple)


def _check(height: int, width: int, tile_px: int, origin: tuple[int, int], stride_px: int) -> None:
    if height < 1 or width < 1 or tile_px < 1:
        raise ValueError(f"sides and tiles are at least 1 px. Received: {height}×{width}, tile_px={tile_px}")
    if origin[0] % stride_px or origin[1] % stride_px:
        raise ValueError(f"origin must lie on multiples of the stride {stride_px}. Received: {origin}")
