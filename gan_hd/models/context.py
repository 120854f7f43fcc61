"""Context: what G is told about the whole picture, beside the tile it works on.

A tile alone does not say whether its smooth blue is sky, water or snow in shadow. An encoder sees a thumbnail of the
whole picture and gives a short vector c, once per picture; every block of G is modulated by it (layers.Modulation), in
all tiles alike, so the tiling contract holds.

The size of the picture comes with it as one number more (:func:`scale_position`): a blurred edge is another thing in a
picture of 600 px than in one of 6000.

In: thumbnails [n, T, T, 3] float32 in [-1, 1], see gan_hd.thumbnail. Out: c [n, context_size] float32 in (-1, 1).
Reference: M. Pasini, "Style transfer with GANs on HD images", 2019 (the proposal); Perez et al., "FiLM", 2018.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from gan_hd.config import GeneratorConfig
from gan_hd.layers import Conv

_WIDTHS = (16, 32, 64, 64)


def context_encoder(config: GeneratorConfig, *, dtype: Any = None) -> keras.Model:
    """Strided convolutions, a mean over all places, a dense layer.

    Statistics over space are allowed here: the thumbnail is always of the whole picture.
    """
    side = config.thumbnail_px
    inputs = keras.Input((side, side, 3), name="thumbnail")
    x: Any = inputs
    for level, width in enumerate(_WIDTHS, start=1):
        x = Conv(width, 4, stride=2, dtype=dtype, name=f"context_down{level}")(
            x
        )  # [n, T/2^level, T/2^level, width]
        x = keras.layers.LeakyReLU(0.2, dtype=dtype)(x)
    x = keras.layers.GlobalAveragePooling2D(dtype="float32")(x)
    # Bounded, so that a picture unlike all of training cannot drive G further than they did.
    outputs = keras.layers.Dense(config.context_size, activation="tanh", dtype="float32", name="context")(x)
    return keras.Model(inputs, outputs, name="context_encoder")


def scale_position(sides_px: tf.Tensor, range_px: tuple[int, ...]) -> tf.Tensor:
    """Where a side lies in a range, logarithmically: -1 at its lower end and below, 1 at its upper end and above.

    In: sides_px [n]. Out: [n] float32 in [-1, 1].
    """
    low, high = (tf.math.log(float(side)) for side in range_px)
    position = (tf.math.log(tf.cast(sides_px, tf.float32)) - low) / (high - low)
    return 2.0 * tf.clip_by_value(position, 0.0, 1.0) - 1.0
