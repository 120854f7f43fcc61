"""Random translation and cutout of the crops that D sees: more pictures out of few, and no colour is changed.

In: crops [n, h, w, k] and random numbers. Out: the same shape.
Reference: Zhao et al., "Differentiable Augmentation for Data-Efficient GAN Training", NeurIPS 2020.
"""

from __future__ import annotations

import tensorflow as tf


def moved_and_cut(crops: tf.Tensor, draws: tf.Tensor, *, reach: float) -> tf.Tensor:
    """Each crop moved by up to `reach` of its sides, mirrored at its border, and a square of 2·reach of them set to 0.

    Args:
        crops: [n, h, w, k].
        draws: [n, 4] in [0, 1): move down and right, centre of the cut down and right. The same draws do the same.
        reach: 0..0.5.
    """
    sides = crops.shape[1:3]
    moves = [int(reach * side) for side in sides]  # at most
    padded = tf.pad(crops, [[0, 0], *([most, most] for most in moves), [0, 0]], "REFLECT")
    inside = []
    for axis, (side, most) in enumerate(zip(sides, moves, strict=True)):
        start = tf.cast(draws[:, axis, None] * (2 * most + 1), tf.int32)  # [n, 1] in 0 … 2·most
        padded = tf.gather(padded, start + tf.range(side)[None], axis=1 + axis, batch_dims=1)
        centre = draws[:, 2 + axis, None] * side  # the cut-out square may reach over the border
        inside.append(tf.abs(tf.range(side, dtype=tf.float32)[None] - centre) < reach * side)  # [n, side]
    cut = inside[0][:, :, None, None] & inside[1][:, None, :, None]
    return padded * (1.0 - tf.cast(cut, padded.dtype))
