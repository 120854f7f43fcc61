"""Features without weights to download: random filters of several sizes, fixed by a seed.

What a filter bank with random weights answers on average, and how much that answer varies, tells textures apart
about as well as trained ones do for synthesis; the numbers are the same on every machine.

In: crops [n, h, w, 3] float in [-1, 1]. Out: [n, FEATURES] float32.
Reference: Ustyuzhaninov et al., "What does it take to generate natural textures?" (2017).
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

#: Scales of a crop that are looked at: full, half and quarter size.
SCALES = 3
# Side of the filters of the first layer, and their number; the second layer combines all of them.
_FIRST, _SECOND = {3: 16, 7: 16, 11: 16}, 64
#: Length of a crop's vector: mean and deviation of every answer, at every scale.
FEATURES = SCALES * 2 * (sum(_FIRST.values()) + _SECOND)
_MIN_SIDE_PX = 64
_CHUNK = 64


class RandomFeatures:
    """A random convolutional network of two layers, seen at three scales.

    Args:
        seed: of the weights; figures are comparable where it is the same.
    """

    def __init__(self, *, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self._first = [_filters(rng, side, 3, count) for side, count in _FIRST.items()]
        self._second = _filters(rng, 5, sum(_FIRST.values()), _SECOND)

    def __call__(self, crops: np.ndarray) -> np.ndarray:
        """float [n, h, w, 3] in [-1, 1], sides of at least 64 px -> float32 [n, FEATURES]."""
        if crops.ndim != 4 or min(crops.shape[1:3]) < _MIN_SIDE_PX:
            raise ValueError(
                f"crops must be [n, h, w, 3] of at least {_MIN_SIDE_PX} px. Received: {crops.shape}"
            )
        chunks = [crops[start : start + _CHUNK] for start in range(0, len(crops), _CHUNK)]
        return np.concatenate([self._of(chunk.astype(np.float32)) for chunk in chunks])

    def _of(self, crops: np.ndarray) -> np.ndarray:
        pixels, answers = tf.constant(crops), []
        for _ in range(SCALES):
            # No padding: the border of a crop is no edge of what it shows.
            first = [tf.nn.conv2d(_trim(pixels, f), f, 1, "VALID") for f in self._first]
            layer = tf.nn.relu(tf.concat(first, axis=-1))  # [n, h', w', 48]
            answers.append(layer)
            if min(layer.shape[1:3]) >= 2 * self._second.shape[0]:
                layer = tf.nn.avg_pool2d(layer, 2, 2, "VALID")
            answers.append(tf.nn.relu(tf.nn.conv2d(layer, self._second, 1, "VALID")))
            pixels = tf.nn.avg_pool2d(pixels, 2, 2, "VALID")
        moments = [part for answer in answers for part in tf.nn.moments(answer, axes=[1, 2])]
        means, deviations = moments[0::2], [tf.sqrt(variance) for variance in moments[1::2]]
        return tf.concat(means + deviations, axis=-1).numpy()


def standardised(sample: np.ndarray, *, reference: np.ndarray) -> np.ndarray:
    """`sample` in deviations of the reference set, feature by feature; both [n, d].

    A filter that hardly answers to the reference counts with a tenth of the median deviation: else the first crop it
    does answer to would outweigh all others.
    """
    deviation = reference.std(axis=0)
    return (sample - reference.mean(axis=0)) / np.maximum(deviation, 0.1 * np.median(deviation) + 1e-12)


def _filters(rng: np.random.Generator, side: int, channels: int, count: int) -> np.ndarray:
    """float32 [side, side, channels, count], unit length. Every second one sums to zero and is blind to the mean."""
    filters = rng.normal(size=(side, side, channels, count))
    filters[..., ::2] -= filters[..., ::2].mean(axis=(0, 1, 2))
    return (filters / np.sqrt(np.square(filters).sum(axis=(0, 1, 2)))).astype(np.float32)


def _trim(pixels: tf.Tensor, filters: np.ndarray) -> tf.Tensor:
    """Cuts so much off that filters of every side give answers of one size, those of the largest."""
    cut = (max(_FIRST) - filters.shape[0]) // 2
    height, width = pixels.shape[1:3]
    return pixels[:, cut : height - cut, cut : width - cut]
