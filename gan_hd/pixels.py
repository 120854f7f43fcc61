"""The one place that knows 127.5: integer pixels <-> the networks' float pixels.

Convention of the whole project: pictures are NHWC (or HWC), RGB, sRGB-encoded; integer pixels are uint8 in
[0, 255] or uint16 in [0, 65535]; the networks see float32 in [-1, 1], where -1 is black and 1 is white.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

#: Levels of 1/255 in one unit of the networks' floats.
LEVELS = 127.5
_MAX = {np.dtype(np.uint8): 255.0, np.dtype(np.uint16): 65535.0}


def to_float(pixels: np.ndarray) -> np.ndarray:
    """uint8 or uint16 of any shape -> float32 in [-1, 1]."""
    half = _maximum(pixels.dtype) / 2
    return pixels.astype(np.float32) / np.float32(half) - np.float32(1)


def to_integer(values: np.ndarray, dtype: Any = np.uint8) -> np.ndarray:
    """float in [-1, 1] of any shape -> the nearest uint8 or uint16; values outside are clipped.

    Raises:
        ValueError: where a value is not finite: a broken model must not become a black picture.
    """
    if not np.isfinite(values).all():
        raise ValueError("the pixels hold NaN or infinite values: the model that made them is broken")
    maximum = _maximum(np.dtype(dtype))
    scaled = (values.astype(np.float32) + np.float32(1)) * np.float32(maximum / 2)
    return np.clip(np.rint(scaled), 0, maximum).astype(dtype)


def tensor_to_float(pixels: tf.Tensor) -> tf.Tensor:
    """:func:`to_float` inside a graph: a tensor of 0..255, of any dtype -> float32 in [-1, 1]."""
    return tf.cast(pixels, tf.float32) / LEVELS - 1.0


def _maximum(dtype: np.dtype) -> float:
    if np.dtype(dtype) not in _MAX:
        raise ValueError(f"pixels must be uint8 or uint16. Received: {np.dtype(dtype)}")
    return _MAX[np.dtype(dtype)]
