"""Thumbnails of whole pictures: what the context vector is computed from.

T×T cells, whatever the picture's shape; each is the exact mean of the pixels that fall into it. The sums are integers,
so reading a picture in bands, holding it in memory (numpy) and working inside a SavedModel's graph (TensorFlow) give
the same numbers: a thumbnail must not depend on who computed it.

In: integer pixels [h, w, 3]. Out: float32 [T, T, 3] in [-1, 1]. :class:`Whole` has them in batches, with the sizes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

_ROWS = 64  # read at once: a cell of a gigapixel has hundreds


class Whole(NamedTuple):
    """What G is told of whole pictures, beside the parts of them that it works on.

    Attributes:
        thumbnails: [n, T, T, 3] float32 in [-1, 1].
        sides_px: [n] float32, the long sides of the pictures at the scale at which they are worked on; not needed by
            a generator that is not told.
    """

    thumbnails: Any
    sides_px: Any = None

    def rows(self, index: Any) -> Whole:
        """Of some of the pictures: `index` is a slice, or an array of numbers where the fields are arrays."""
        return Whole(self.thumbnails[index], None if self.sides_px is None else self.sides_px[index])


def thumbnail(picture: np.ndarray, side_px: int) -> np.ndarray:
    """The thumbnail of a picture in memory.

    Args:
        picture: uint8 or uint16 [h, w, 3].
        side_px: T.
    """
    height, width, _ = picture.shape
    return of_rows(lambda top, bottom: picture[top:bottom], height=height, width=width, side_px=side_px)


def of_rows(
    read: Callable[[int, int], np.ndarray],
    *,
    height: int,
    width: int,
    side_px: int,
) -> np.ndarray:
    """The thumbnail of a picture that is read in bands of rows, from top to bottom.

    Args:
        read: (top, bottom) -> the pixels, uint8 or uint16 [bottom - top, width, 3].
        height, width: of the picture, px.
        side_px: T.
    """
    tops, bottoms = _cells(height, side_px)
    lefts, rights = _cells(width, side_px)
    columns = (rights - lefts)[:, None]
    cells = np.empty((side_px, side_px, 3), np.float64)
    for i, (top, bottom) in enumerate(zip(tops, bottoms, strict=True)):
        parts = [(y, min(y + _ROWS, bottom)) for y in range(top, bottom, _ROWS)]
        sums = np.zeros((width + 1, 3), np.int64)
        for first, last in parts:
            rows = read(first, last)
            sums[1:] += rows.sum(axis=0, dtype=np.int64)
        np.cumsum(sums, axis=0, out=sums)
        cells[i] = (sums[rights] - sums[lefts]) / (columns * (bottom - top))
    return (cells * (2.0 / np.iinfo(rows.dtype).max) - 1.0).astype(np.float32)


def of_tensor(picture: tf.Tensor, side_px: int) -> tf.Tensor:
    """:func:`thumbnail` as TensorFlow operations, for uint8 [h, w, 3] of any size; one band of rows at a time."""
    height, width = tf.unstack(tf.cast(tf.shape(picture)[:2], tf.int64))
    (tops, bottoms), (lefts, rights) = (_cells_of_tensor(side, side_px) for side in (height, width))
    columns = tf.cast(rights - lefts, tf.float64)[:, None]

    def band(i: tf.Tensor) -> tf.Tensor:
        top, bottom = tops[i], bottoms[i]
        rows = tf.reduce_sum(tf.cast(picture[top:bottom], tf.int64), axis=0)  # [w, 3]
        sums = tf.pad(tf.cumsum(rows, axis=0), [[1, 0], [0, 0]])
        total = tf.cast(tf.gather(sums, rights) - tf.gather(sums, lefts), tf.float64)
        return total / (columns * tf.cast(bottom - top, tf.float64))

    cells = tf.map_fn(band, tf.range(side_px), fn_output_signature=tf.float64, parallel_iterations=1)
    cells = tf.ensure_shape(cells, [side_px, side_px, 3])
    return tf.cast(cells * (2.0 / tf.uint8.max) - 1.0, tf.float32)


def _cells(size: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """First and past-last index of each cell; cells share pixels where there are fewer pixels than cells."""
    starts = np.arange(count) * size // count
    return starts, np.maximum(starts + 1, np.arange(1, count + 1) * size // count)


def _cells_of_tensor(size: tf.Tensor, count: int) -> tuple[tf.Tensor, tf.Tensor]:
    index = tf.range(count + 1, dtype=tf.int64)
    edges = index * size // count
    return edges[:-1], tf.maximum(edges[:-1] + 1, edges[1:])
