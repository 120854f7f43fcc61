"""Grain for areas of exactly one colour, such as clipped skies and blackened nights.

G's noise is a hash of the pixels (layers.CellNoise); where a whole cell has one colour, all cells around have the same
noise, and nothing tells where one stroke ends and the next begins. Such cells get a grain of one level of 256, too
faint to be seen, that is a function of the place in the picture: tiles agree on it, whatever their size.

In: a window [h, w, 3], h and w multiples of the cell, uint8 or float32 in [-1, 1], and the picture's rows and columns
that its pixels are from. Out: the same window, or one with grain.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import tensorflow as tf

from gan_hd.pixels import LEVELS

#: The grain repeats after so many rows and columns.
PERIOD = 1021


def with_grain(window: np.ndarray, ys: np.ndarray, xs: np.ndarray, *, cell_px: int) -> np.ndarray:
    """The window with grain in its cells of one colour; itself where there are none.

    Args:
        window: uint8 or float32 in [-1, 1], [h, w, 3].
        ys, xs: integers [h] and [w], where its rows and columns are from.
        cell_px: side of a cell; 0 for no grain at all.
    """
    if not cell_px:
        return window
    rows, columns = (side // cell_px for side in window.shape[:2])
    # Rows of a cell that are alike, the first of one colour: in this order several times faster than by extremes.
    bands = window.reshape(rows, cell_px, -1)
    alike = (bands == bands[:, :1]).all(axis=1).reshape(rows, columns, -1).all(axis=-1)
    firsts = bands[:, 0].reshape(rows, columns, cell_px, 3)
    flat = alike & (firsts == firsts[:, :, :1]).all(axis=(2, 3))  # [rows, columns]
    if not flat.any():
        return window
    levels = _one_period()[np.ix_(ys % PERIOD, xs % PERIOD)]
    levels *= flat.repeat(cell_px, axis=0).repeat(cell_px, axis=1)
    if window.dtype == np.uint8:
        return np.clip(window.astype(np.int16) + levels[..., None], 0, 255).astype(np.uint8)
    added = levels.astype(np.float32)[..., None] / np.float32(LEVELS)
    return np.clip(window + added, np.float32(-1), np.float32(1))


def tensor_with_grain(window: tf.Tensor, ys: tf.Tensor, xs: tf.Tensor, *, cell_px: int) -> tf.Tensor:
    """:func:`with_grain` as a graph."""
    if not cell_px:
        return window
    shape = tf.shape(window)
    rows, columns = shape[0] // cell_px, shape[1] // cell_px
    cells = tf.reshape(window, [rows, cell_px, columns, cell_px, 3])
    flat = tf.reduce_all(tf.reduce_max(cells, [1, 3]) == tf.reduce_min(cells, [1, 3]), axis=-1)
    levels = tf.cast(_levels(ys[:, None], xs[None]), tf.float32)
    levels *= tf.repeat(tf.repeat(tf.cast(flat, tf.float32), cell_px, axis=0), cell_px, axis=1)
    return tf.clip_by_value(window + levels[..., None] / LEVELS, -1.0, 1.0)


@functools.cache
def _one_period() -> np.ndarray:
    """int8 [PERIOD, PERIOD]: a picture of the grain to look up, ten times faster than to compute it anew."""
    places = np.arange(PERIOD, dtype=np.int32)
    return _levels(places[:, None], places[None]).astype(np.int8)


def _levels(ys: Any, xs: Any) -> Any:
    """-1, 0 or 1 for each place, int32: squares modulo the period, a prime, of whole numbers that fit 32 bits."""
    y, x = ys % PERIOD, xs % PERIOD
    state = (31 * y + x) % PERIOD
    for _ in range(3):
        state = (state * state + 7 * y + 3 * x + 1) % PERIOD
    return state % 3 - 1
