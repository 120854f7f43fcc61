"""Combo: G on the tiles of a crop, joined again, so that the discriminator sees the joins.

In: crops [n, rows·S, cols·S, 3] float32 in [-1, 1]. Out: the same shape, translated.
Reference: M. Pasini, "Style transfer with GANs on HD images", 2019.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf


def split_tiles(crops: tf.Tensor, tile_px: int) -> tf.Tensor:
    """[n, r·S, c·S, k] -> [n·r·c, S, S, k], tiles of a crop in row-major order.

    The exact inverse of :func:`join_tiles`: values are moved, never computed.
    """
    sizes = [1, tile_px, tile_px, 1]
    patches = tf.image.extract_patches(crops, sizes, sizes, [1, 1, 1, 1], "VALID")  # [n, r, c, S·S·k]
    return tf.reshape(patches, [-1, tile_px, tile_px, crops.shape[-1]])


def join_tiles(tiles: tf.Tensor, *, rows: int, cols: int) -> tf.Tensor:
    """[n·r·c, S, S, k] -> [n, r·S, c·S, k], by depth-to-space with S as the block size."""
    _, side, _, channels = tiles.shape
    patches = tf.reshape(tiles, [-1, rows, cols, side * side * channels])
    return tf.nn.depth_to_space(patches, side)


@keras.saving.register_keras_serializable("gan_hd")
class Combo(keras.layers.Layer):
    """Translates crops as ``rows``×``cols`` bare tiles.

    Args:
        generator: a model [m, S, S, 3] -> [m, S, S, 3] that also takes other sides which are multiples of its
            stride, and `context=` where the Combo is called with one.
        tile_px: S.
        rows, cols: tiles per crop.

    ``call(crops, phase=...)``: without `phase`, all tiles are S×S. With ``phase=(dy, dx)``, multiples of the
    generator's stride between -S/2 and S/2, all cuts move by that much, so that joins fall at a random place and D
    cannot learn "a cross in the middle"; the outer tiles are then smaller or larger than S. `context` [n, k] goes to
    all tiles of its crop.
    """

    def __init__(
        self, generator: keras.Model, tile_px: int, *, rows: int = 2, cols: int = 2, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.generator = generator
        self.tile_px = tile_px
        self.rows = rows
        self.cols = cols

    def call(
        self,
        crops: tf.Tensor,
        context: tf.Tensor | None = None,
        phase: tuple[Any, Any] | None = None,
        training: bool = False,
    ) -> tf.Tensor:
        if phase is not None:
            return self._moved(crops, context, phase, training)
        tiles = split_tiles(crops, self.tile_px)  # [n·r·c, S, S, 3]
        if context is not None:
            context = tf.repeat(context, self.rows * self.cols, axis=0)
        return join_tiles(self._translate(tiles, context, training), rows=self.rows, cols=self.cols)

    def _moved(
        self, crops: tf.Tensor, context: tf.Tensor | None, phase: tuple[Any, Any], training: bool
    ) -> tf.Tensor:
        ys, xs = (
            [0, *(cut * self.tile_px + shift for cut in range(1, count)), count * self.tile_px]
            for count, shift in ((self.rows, phase[0]), (self.cols, phase[1]))
        )
        bands = []
        for top, bottom in zip(ys[:-1], ys[1:], strict=True):
            tiles = [
                self._translate(crops[:, top:bottom, left:right], context, training)
                for left, right in zip(xs[:-1], xs[1:], strict=True)
            ]
            bands.append(tf.concat(tiles, axis=2))
        return tf.ensure_shape(tf.concat(bands, axis=1), crops.shape)

    def _translate(self, tiles: tf.Tensor, context: tf.Tensor | None, training: bool) -> tf.Tensor:
        if context is None:
            return self.generator(tiles, training=training)
        return self.generator(tiles, context=context, training=training)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return input_shape

    def get_config(self) -> dict:
        return super().get_config() | {
            "generator": keras.saving.serialize_keras_object(self.generator),
            "tile_px": self.tile_px,
            "rows": self.rows,
            "cols": self.cols,
        }

    @classmethod
    def from_config(cls, config: dict) -> Combo:
        config = dict(config)
        generator = keras.saving.deserialize_keras_object(config.pop("generator"))
        return cls(generator, **config)
