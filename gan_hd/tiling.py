"""Tiling geometry: which window of a picture each tile reads, and which part of its output is kept.

Pure numpy; any function on pixel windows can be the predictor. A plan is a list of :class:`Tile`; all tiles of
a plan read windows of one size, so every call of the predictor has the same shape. Windows may reach over the
picture's border; :func:`read_window` continues the picture there by reflection (edge pixel included), the only
place where anything is padded.

    exact   windows overlap by a true halo p = d·⌈r/d⌉ on each side; kept parts touch. For a predictor with
            receptive-field radius r and stride d the result does not depend on the tiles (docs/tiling.md).
    grid    no halo: the article's procedure on bare tiles.
    blend   overlapping tiles weighted by a raised cosine that sums to one, for predictors that use statistics
            of their tile.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

#: float32 [n, h, w, 3] in [-1, 1] -> the same shape.
Predictor = Callable[[np.ndarray], np.ndarray]

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
        tiles: in row-major order.
        overlap_px: 0 where kept parts touch; else how far they overlap, to be blended.
    """

    height: int
    width: int
    window_h: int
    window_w: int
    tiles: tuple[Tile, ...]
    overlap_px: int = 0


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
    """Tiles of tile_px with a true halo.

    Args:
        height, width: of the picture.
        tile_px: side of the kept parts; rounded up to a multiple of `stride_px`, and down to the picture.
        radius_px, stride_px: of the predictor.
        origin: (y, x) where a tile corner falls, multiples of `stride_px`; other values than (0, 0) serve to measure
            that the grid leaves no trace.

    Raises:
        ValueError: for sizes below 1 or an origin off the stride.
    """
    halo = halo_px(radius_px=radius_px, stride_px=stride_px)
    _check(height, width, tile_px, origin, stride_px)
    tile_h, tile_w = (min(_ceil(tile_px, stride_px), _ceil(side, stride_px)) for side in (height, width))
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
        tuple(
            Tile(
                y - overlap_px,
                x - overlap_px,
                *_clipped(y - overlap_px, x - overlap_px, tile_px, tile_px, height, width),
            )
            for y in ys
            for x in xs
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


def read_window(picture: np.ndarray, y: int, x: int, height: int, width: int) -> np.ndarray:
    """The window [height, width, c] at (y, x) of `picture` [h, w, c], reflected beyond its borders.

    Reflection repeats as often as it must, so a 1×1 picture fills any window.
    """
    h, w = picture.shape[:2]
    if 0 <= y and 0 <= x and y + height <= h and x + width <= w:
        return picture[y : y + height, x : x + width]
    return picture[np.ix_(_reflected(y, height, h), _reflected(x, width, w))]


def run_plan(
    picture: np.ndarray,
    plan: Plan,
    predict: Predictor,
    *,
    to_float: Callable[[np.ndarray], np.ndarray],
    from_float: Callable[[np.ndarray], np.ndarray],
    batch: int = 1,
    done: Callable[[float], object] = lambda share: None,
) -> np.ndarray:
    """Translates a picture that fits in memory.

    Args:
        picture: [h, w, c], of any dtype that `to_float` takes.
        plan: for this size.
        predict: the predictor; always called with `batch` windows.
        to_float, from_float: picture values <-> the predictor's float32.
        batch: windows per call; the last call is filled up with copies.
        done: is told after each tile which share of the picture it was, 0..1, for a progress bar.

    Returns:
        [h, w, c] of from_float's dtype.

    Raises:
        ValueError: the predictor gave another shape than it got.
    """
    blended = plan.overlap_px > 0
    weights = blend_weights(plan) if blended else None
    result = np.zeros(picture.shape, np.float32) if blended else None
    for tiles in _batches(plan.tiles, batch):
        windows = np.stack(
            [to_float(read_window(picture, t.read_y, t.read_x, plan.window_h, plan.window_w)) for t in tiles]
        )
        filled = np.concatenate([windows, np.repeat(windows[-1:], batch - len(tiles), axis=0)])
        outputs = predict(filled)
        if outputs.shape != filled.shape:
            raise ValueError(f"the predictor must keep the shape {filled.shape}. Received: {outputs.shape}")
        for tile, output in zip(tiles, outputs, strict=False):
            if weights is not None:
                output = output * weights
            top, left = tile.y - tile.read_y, tile.x - tile.read_x
            kept = output[top : top + tile.height, left : left + tile.width]
            if not blended:
                kept = from_float(kept)
            if result is None:
                result = np.empty(picture.shape, kept.dtype)
            target = result[tile.y : tile.y + tile.height, tile.x : tile.x + tile.width]
            if blended:
                target += kept
            else:
                target[...] = kept
            done(1 / len(plan.tiles))
    assert result is not None  # a plan has at least one tile
    if not blended:
        return result
    # In bands of rows: the conversion needs several times the memory of what it converts.
    bands = range(0, plan.height, plan.window_h)
    return np.concatenate([from_float(result[y : y + plan.window_h]) for y in bands])


def _touching(
    height: int, width: int, tile_h: int, tile_w: int, *, halo: int, origin: tuple[int, int]
) -> Plan:
    """Tiles whose kept parts touch, each reading `halo` px more on every side."""
    tiles = tuple(
        Tile(y - halo, x - halo, *_clipped(y, x, tile_h, tile_w, height, width))
        for y in _starts(height, tile_h, origin[0])
        for x in _starts(width, tile_w, origin[1])
    )
    return Plan(height, width, tile_h + 2 * halo, tile_w + 2 * halo, tiles)


def _batches(tiles: tuple[Tile, ...], size: int) -> Iterator[tuple[Tile, ...]]:
    for first in range(0, len(tiles), size):
        yield tiles[first : first + size]


def _reflected(start: int, count: int, size: int) -> np.ndarray:
    """Indices start … start+count−1, folded into 0 … size−1: …2 1 0 | 0 1 2 … n−1 | n−1 …"""
    index = np.arange(start, start + count) % (2 * size)
    return np.where(index < size, index, 2 * size - 1 - index)


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
