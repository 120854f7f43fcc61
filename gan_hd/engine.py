"""Carries a tiling plan out: read windows, predict them, merge what is kept. Any callable is a predictor.

Reading, predicting and writing overlap: while the predictor works, one thread reads the next windows and another
converts and writes what was predicted before. Memory holds three batches; it does not grow with the picture.

In -> out: a :class:`Source` of integer pixels -> `write(y, x, pixels)` calls that together cover the picture once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import numpy as np

from gan_hd import tiling
from gan_hd.tiling import Plan, Tile

#: float32 [n, h, w, 3] in [-1, 1] -> the same shape.
Predictor = Callable[[np.ndarray], np.ndarray]
#: Takes (y, x, pixels [h, w, c]): the picture's part that begins there.
Writer = Callable[[int, int, np.ndarray], None]


class Source(Protocol):
    """Pixels of a picture, which may still be on their way from top to bottom; gan_hd.streaming has the classes."""

    def wait(self, last: int) -> None:
        """Returns when the rows above `last` can be read."""

    def window(self, ys: np.ndarray, xs: np.ndarray) -> np.ndarray:
        """The pixels [len(ys), len(xs), c] at these rows and columns, in any order."""

    def rows(self, first: int, last: int) -> np.ndarray:
        """The rows first … last−1, [last - first, width, c], once they are there."""


def paint(
    source: Source,
    plan: Plan,
    predict: Predictor,
    write: Writer,
    *,
    to_float: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray],
    from_float: Callable[[np.ndarray], np.ndarray],
    batch: int = 1,
    first_row: int = 0,
    done: Callable[[float], object] = lambda pixels: None,
    rows_done: Callable[[int], object] = lambda rows: None,
) -> None:
    """Translates a picture band by band.

    Args:
        source: the picture.
        plan: for its size.
        predict: the predictor; always called with `batch` windows.
        write: is called from another thread, one call at a time.
        to_float: pixels [h, w, c] of the source, and the rows [h] and columns [w] that they are from -> the predictor's
            float32.
        from_float: its output -> what `write` takes.
        batch: windows per call; the last call of a band is filled up with copies.
        first_row: rows above it are done already, by a call that `rows_done` told so.
        done: is told how many of the picture's pixels more are predicted, for a progress bar.
        rows_done: is told, after each band, how many rows of the picture are written, from the top.

    Raises:
        ValueError: the predictor gave another shape than it got.
        Exception: whatever `source`, `predict` and `write` raise. What `rows_done` was told before stays true.
    """
    bands = [k for k, band in enumerate(plan.bands) if band[0].y + band[0].height > first_row]
    batches = [(k, tiles) for k in bands for tiles in _batches(plan.bands[k], batch)]
    # Tiles that overlap count for less than their pixels.
    share = plan.height * plan.width / sum(tile.height * tile.width for tile in plan.tiles)
    merge = _Blend(plan, write, from_float, first_row) if plan.overlap_px else _Touch(write, from_float)

    def load(index: int) -> np.ndarray:
        """The windows of a batch, filled up to the constant number."""
        k, tiles = batches[index]
        source.wait(plan.last_row_read(k))
        places = [_places(plan, tile) for tile in tiles]
        windows = [to_float(source.window(ys, xs), ys, xs) for ys, xs in places]
        return np.stack(windows + windows[-1:] * (batch - len(tiles)))

    with ThreadPoolExecutor(1) as reading, ThreadPoolExecutor(1) as writing:
        ahead, behind = reading.submit(load, 0) if batches else None, None
        for index, (k, tiles) in enumerate(batches):
            assert ahead is not None
            windows = ahead.result()
            ahead = reading.submit(load, index + 1) if index + 1 < len(batches) else None
            outputs = predict(windows)
            if outputs.shape != windows.shape:
                raise ValueError(
                    f"the predictor must keep the shape {windows.shape}. Received: {outputs.shape}"
                )
            if behind is not None:
                behind.result()  # what could not be written stops the work here
            behind = writing.submit(merge.add, tiles, outputs)
            done(share * sum(tile.height * tile.width for tile in tiles))
            if ahead is None or batches[index + 1][0] != k:  # the band is complete
                behind.result()
                end = plan.height if ahead is None else plan.bands[k + 1][0].y
                if end > first_row:
                    behind = writing.submit(_finish, merge, end, rows_done)
        if behind is not None:
            behind.result()


class _Touch:
    """Kept parts touch: each is converted and written as it comes."""

    def __init__(self, write: Writer, from_float: Callable[[np.ndarray], np.ndarray]) -> None:
        self._write, self._from_float = write, from_float

    def add(self, tiles: tuple[Tile, ...], outputs: np.ndarray) -> None:
        for tile, output in zip(tiles, outputs, strict=False):
            self._write(tile.y, tile.x, self._from_float(_kept(tile, output)))

    def finish(self, row: int) -> None:
        """All was written already."""


class _Blend:
    """Overlapping tiles are summed up by their weights; a row is written once no later band reaches it."""

    def __init__(
        self, plan: Plan, write: Writer, from_float: Callable[[np.ndarray], np.ndarray], first_row: int
    ) -> None:
        self._write, self._from_float = write, from_float
        self._weights = tiling.blend_weights(plan)
        self._top = first_row  # the picture's row that the canvas begins with
        self._canvas = np.zeros((plan.window_h, plan.width, 3), np.float32)

    def add(self, tiles: tuple[Tile, ...], outputs: np.ndarray) -> None:
        for tile, output in zip(tiles, outputs, strict=False):
            kept = _kept(tile, output * self._weights)
            above = max(0, self._top - tile.y)  # written by an earlier call
            y = tile.y + above - self._top
            self._canvas[y : y + tile.height - above, tile.x : tile.x + tile.width] += kept[above:]

    def finish(self, row: int) -> None:
        count = row - self._top
        if count <= 0:
            return
        self._write(self._top, 0, self._from_float(self._canvas[:count]))
        self._canvas[:-count] = self._canvas[count:]
        self._canvas[-count:] = 0
        self._top = row


def _finish(merge: _Touch | _Blend, row: int, rows_done: Callable[[int], object]) -> None:
    merge.finish(row)
    rows_done(row)


def _places(plan: Plan, tile: Tile) -> tuple[np.ndarray, np.ndarray]:
    """The picture's rows and columns that a tile reads."""
    return (
        tiling.reflected(tile.read_y, plan.window_h, plan.height),
        tiling.reflected(tile.read_x, plan.window_w, plan.width),
    )


def _kept(tile: Tile, output: np.ndarray) -> np.ndarray:
    top, left = tile.y - tile.read_y, tile.x - tile.read_x
    return output[top : top + tile.height, left : left + tile.width]


def _batches(tiles: tuple[Tile, ...], size: int) -> Iterator[tuple[Tile, ...]]:
    for first in range(0, len(tiles), size):
        yield tiles[first : first + size]
