"""Own Keras layers: convolutions whose borders and norms obey the project's contracts.

* Borders are replicated, not filled with zeros: a bare tile then looks to G like a picture that goes on, and
  the joins of a Combo are nearly invisible from the start (docs/experiments.md).
* Spectral norm divides the *used* kernel by its largest singular value; the stored kernel keeps its float32
  value. (``keras.layers.SpectralNormalization`` overwrites the kernel in the compute dtype at each call,
  which rounds small updates away in mixed precision.)

Reference: Miyato et al., "Spectral Normalization for Generative Adversarial Networks", ICLR 2018, algorithm 1.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from gan_hd.pixels import LEVELS

PADDINGS = ("edge", "zero")


def replicated(x: tf.Tensor, margin: int) -> tf.Tensor:
    """Adds `margin` copies of the border pixels on each side: [n, h, w, c] -> [n, h + 2·margin, w + 2·margin, c].

    The values of ``tf.pad`` with "SYMMETRIC" for a margin of 1, by one gather, which is several times faster on CPUs
    (docs/performance.md), and so is the gradient.
    """

    @tf.custom_gradient
    def pad(x: tf.Tensor) -> tuple[tf.Tensor, Any]:
        height, width = _sides(x)
        channels = x.shape[-1]
        # Sides that are known make constants: a quarter fewer operations in a step to trace.
        rows, columns = (
            np.arange(-margin, side + margin).clip(0, side - 1)
            if isinstance(side, int)
            else tf.clip_by_value(tf.range(-margin, side + margin), 0, side - 1)
            for side in (height, width)
        )
        places = tf.reshape(tf.add(rows[:, None] * width, columns), [-1])
        pixels = tf.gather(tf.reshape(x, [-1, height * width, channels]), places, axis=1)
        padded = tf.reshape(pixels, [-1, height + 2 * margin, width + 2 * margin, channels])
        sides = (None if side is None else side + 2 * margin for side in x.shape[1:3])
        padded.set_shape([x.shape[0], *sides, channels])
        return padded, lambda upstream: _folded(_folded(upstream, margin, axis=1), margin, axis=2)

    return pad(x)


def _sides(x: tf.Tensor) -> list[Any]:
    """Height and width: whole numbers where they are known, else tensors."""
    known = x.shape[1:3]
    return list(known) if known.is_fully_defined() else tf.unstack(tf.shape(x)[1:3])


def _folded(gradient: tf.Tensor, margin: int, *, axis: int) -> tf.Tensor:
    """Adds the gradient of the copies to that of the pixel they are of."""
    if gradient.shape[axis] == 1 + 2 * margin:  # all are copies of one pixel
        return tf.reduce_sum(gradient, axis, keepdims=True)
    ends = margin + 1
    middle = _sides(gradient)[axis - 1] - 2 * ends
    first, middle, last = tf.split(gradient, [ends, middle, ends], axis)
    first, last = (tf.reduce_sum(part, axis, keepdims=True) for part in (first, last))
    return tf.concat([first, middle, last], axis)


class SpectralMixin(keras.layers.Layer):
    """Gives a layer with a kernel `spectral_kernel`, the kernel over its largest singular value."""

    spectral_norm: bool
    kernel: Any

    def _add_kernel(self, shape: tuple[int, ...], initializer: Any) -> None:
        self.kernel = self.add_weight(shape=shape, initializer=initializer, name="kernel")
        if self.spectral_norm:
            self.u = self.add_weight(
                shape=(1, shape[-1]),
                initializer=keras.initializers.RandomNormal(seed=0),
                trainable=False,
                name="u",
                autocast=False,
                dtype="float32",
            )

    def used_kernel(self, *, training: bool) -> tf.Tensor:
        """The kernel in the compute dtype, divided by σ where `spectral_norm` is on."""
        if not self.spectral_norm:
            return tf.cast(self.kernel, self.compute_dtype)
        kernel = tf.cast(self.kernel.value, tf.float32)
        matrix = tf.reshape(kernel, [-1, kernel.shape[-1]])  # [in, out]
        u = tf.convert_to_tensor(self.u.value)
        # One power iteration; u and v are constants to the gradient, σ = v W uᵀ is not.
        v = tf.math.l2_normalize(tf.matmul(u, matrix, transpose_b=True))  # [1, in]
        u = tf.math.l2_normalize(tf.matmul(v, matrix))  # [1, out]
        u, v = tf.stop_gradient(u), tf.stop_gradient(v)
        if training:
            self.u.assign(u)
        sigma = tf.matmul(tf.matmul(v, matrix), u, transpose_b=True)[0, 0]
        return tf.cast(kernel / tf.maximum(sigma, 1e-12), self.compute_dtype)


@keras.saving.register_keras_serializable("gan_hd")
class Conv(SpectralMixin):
    """2-D convolution with replicated borders: [n, h, w, c] -> [n, h/stride, w/stride, filters].

    Args:
        filters: output channels.
        kernel_size: side of the kernel; odd for stride 1, even for stride 2, so that borders are symmetric.
        stride: 1 or 2.
        padding: "edge" replicates the border, "zero" fills with zeros.
        spectral_norm: divide the kernel by its largest singular value.
        kernel_initializer: anything Keras takes.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int = 3,
        *,
        stride: int = 1,
        padding: str = "edge",
        spectral_norm: bool = False,
        kernel_initializer: Any = "he_normal",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if padding not in PADDINGS:
            raise ValueError(f"padding must be one of {PADDINGS}. Received: {padding!r}")
        if (kernel_size - stride) % 2:
            raise ValueError(f"kernel_size - stride must be even. Received: {kernel_size} and {stride}")
        self.filters = filters
        self.kernel_size = kernel_size
        self.stride = stride
        self.padding = padding
        self.spectral_norm = spectral_norm
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, input_shape: tuple) -> None:
        size = self.kernel_size
        self._add_kernel((size, size, input_shape[-1], self.filters), self.kernel_initializer)
        self.bias = self.add_weight(shape=(self.filters,), initializer="zeros", name="bias")

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        margin = (self.kernel_size - self.stride) // 2
        if margin and self.padding == "edge":
            x, margin = replicated(x, margin), 0
        # "SAME" is `margin` zeros on each side, for sides that are multiples of the stride.
        x = tf.nn.conv2d(x, self.used_kernel(training=training), self.stride, "SAME" if margin else "VALID")
        return tf.nn.bias_add(x, tf.cast(self.bias, x.dtype))

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        n, h, w, _ = input_shape
        return n, *(None if side is None else side // self.stride for side in (h, w)), self.filters

    def get_config(self) -> dict:
        return super().get_config() | {
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "stride": self.stride,
            "padding": self.padding,
            "spectral_norm": self.spectral_norm,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }


@keras.saving.register_keras_serializable("gan_hd")
class Dense(SpectralMixin):
    """Matrix product with the spectral norm as an option: [n, c] -> [n, units]."""

    def __init__(self, units: int, *, spectral_norm: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.spectral_norm = spectral_norm

    def build(self, input_shape: tuple) -> None:
        self._add_kernel((input_shape[-1], self.units), "glorot_normal")
        self.bias = self.add_weight(shape=(self.units,), initializer="zeros", name="bias")

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        x = tf.matmul(x, self.used_kernel(training=training))
        return tf.nn.bias_add(x, tf.cast(self.bias, x.dtype))

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return *input_shape[:-1], self.units

    def get_config(self) -> dict:
        return super().get_config() | {"units": self.units, "spectral_norm": self.spectral_norm}


@keras.saving.register_keras_serializable("gan_hd")
class SpaceToDepth(keras.layers.Layer):
    """[n, h, w, c] -> [n, h/2, w/2, 4c], exact and without parameters."""

    def call(self, x: tf.Tensor) -> tf.Tensor:
        return tf.nn.space_to_depth(x, 2)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        n, h, w, c = input_shape
        return n, *(None if side is None else side // 2 for side in (h, w)), 4 * c


@keras.saving.register_keras_serializable("gan_hd")
class CellNoise(keras.layers.Layer):
    """Noise that is a function of the pixels alone: [n, h, w, 3] in [-1, 1] -> [n, h/cell, w/cell, channels] float32.

    A smooth sky tells a convolution nothing about where one stroke ends and the next begins. Random numbers would, but
    two tiles of a picture must draw the same ones at the same place. So each cell of cell×cell pixels is rounded to
    8 bits and hashed: the grain of the sky, too faint to be seen, decides. Uniform, mean 0, variance 1; cells of one
    constant colour all get the same value.

    Everything up to the last scaling is whole numbers below 2^24 in float32, where every order of additions gives the
    same sum: tiles, devices and runtimes agree on the noise.
    """

    _PRIME = 1021
    #: Weights of a cell's pixels repeat after so many: coprime to the channels and to all powers of two.
    _PERIOD = 19

    def __init__(self, cell_px: int, channels: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.cell_px = cell_px
        self.channels = channels

    def call(self, pixels: tf.Tensor) -> tf.Tensor:
        levels = tf.round((tf.clip_by_value(tf.cast(pixels, tf.float32), -1.0, 1.0) + 1.0) * LEVELS)
        cells = tf.nn.space_to_depth(levels, self.cell_px)  # [n, h/cell, w/cell, 3·cell²]
        weights = [1.0 + 7 * place % self._PERIOD for place in range(3 * self.cell_px**2)]
        key = tf.reduce_sum(cells * tf.constant(weights), axis=-1, keepdims=True)
        # Squares modulo a prime, each channel from a start of its own.
        state = self._modulo(key + 101.0 * tf.range(1.0, self.channels + 1.0))
        for _ in range(3):
            state = self._modulo(state * state + key)
        return (state / (self._PRIME - 1) * 2.0 - 1.0) * 3.0**0.5

    def _modulo(self, x: tf.Tensor) -> tf.Tensor:
        """x mod p for whole x below 2^22; the half keeps a quotient that is rounded down off the next whole number."""
        return x - tf.floor((x + 0.5) / self._PRIME) * self._PRIME

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        n, h, w, _ = input_shape
        return n, *(None if side is None else side // self.cell_px for side in (h, w)), self.channels

    def compute_output_spec(self, pixels: Any) -> keras.KerasTensor:
        return keras.KerasTensor(self.compute_output_shape(pixels.shape), dtype="float32")

    def get_config(self) -> dict:
        return super().get_config() | {"cell_px": self.cell_px, "channels": self.channels}


@keras.saving.register_keras_serializable("gan_hd")
class Modulation(keras.layers.Layer):
    """FiLM: x·(1 + γ(c)) + β(c), γ and β linear in the context c, one number per channel, 0 at the start.

    In: x [n, h, w, k] and c [n or 1, m]. Out: as x.
    Reference: Perez et al., "FiLM", 2018.
    """

    def build(self, x_shape: tuple, context_shape: tuple) -> None:
        width = 2 * x_shape[-1]
        self.kernel = self.add_weight(shape=(context_shape[-1], width), initializer="zeros", name="kernel")
        self.bias = self.add_weight(shape=(width,), initializer="zeros", name="bias")

    def call(self, x: tf.Tensor, context: tf.Tensor) -> tf.Tensor:
        kernel, bias = (tf.cast(weight, tf.float32) for weight in (self.kernel, self.bias))
        film = tf.matmul(tf.cast(context, tf.float32), kernel) + bias  # [n, 2k]
        gain, shift = tf.split(tf.cast(film[:, None, None], x.dtype), 2, axis=-1)  # [n, 1, 1, k] each
        return x * (1.0 + gain) + shift

    def compute_output_shape(self, x_shape: tuple, context_shape: tuple) -> tuple:
        return x_shape


@keras.saving.register_keras_serializable("gan_hd")
class Upsample(keras.layers.Layer):
    """Nearest-neighbour enlargement, [n, h, w, c] -> [n, 2h, 2w, c].

    Four copies of the channels through depth-to-space: the same values as a resize, and faster on CPUs.
    """

    def call(self, x: tf.Tensor) -> tf.Tensor:
        return tf.nn.depth_to_space(tf.tile(x, [1, 1, 1, 4]), 2)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        n, h, w, c = input_shape
        return n, *(None if side is None else 2 * side for side in (h, w)), c


@keras.saving.register_keras_serializable("gan_hd")
class IdentityStart(keras.layers.Layer):
    """Adds a network's output h to its input picture x in tanh's domain: tanh(atanh(0.97·x) + b(h)).

    With h = 0, which a zero-initialised last convolution gives, the output is 0.97·x: the content is there
    from the first step. b(h) = h, or, where `bounded`, h / (1 + |h|/3), which lies between -3 and 3 and flattens
    slowly: a G that has gone too far keeps a gradient to come back by, and it cannot make one colour of everything, for
    black becomes 0.72 at most and white -0.72 at least.

    In: x, h [n, h, w, 3], x in [-1, 1]; out: float32 in (-1, 1).
    """

    _MOST = 3.0

    def __init__(self, *, bounded: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.bounded = bounded

    def call(self, x: tf.Tensor, h: tf.Tensor) -> tf.Tensor:
        x = tf.cast(x, tf.float32)
        return tf.tanh(tf.atanh(0.97 * tf.clip_by_value(x, -1.0, 1.0)) + self.added(h))

    def added(self, h: tf.Tensor) -> tf.Tensor:
        """b(h), float32."""
        h = tf.cast(h, tf.float32)
        return h / (1.0 + tf.abs(h) / self._MOST) if self.bounded else h

    def compute_output_shape(self, x_shape: tuple, h_shape: tuple) -> tuple:
        return x_shape

    def compute_output_spec(self, x: Any, h: Any) -> keras.KerasTensor:
        return keras.KerasTensor(x.shape, dtype="float32")

    def get_config(self) -> dict:
        return super().get_config() | {"bounded": self.bounded}


@keras.saving.register_keras_serializable("gan_hd")
class Gate(keras.layers.Layer):
    """A vector from a direction and a length: x/‖x‖ · ℓ(s), s the sum of the scores.

    ℓ(s) = 1/(1 − s) for s < 0, 1 + s up to s = 1 and 2 + ln s beyond. It is positive and smooth, and flattens so slowly
    that a D that has thrown everything to the origin still has a gradient to leave it by; softplus, which falls
    exponentially, does not. And one translation that D finds far too bad does not throw G out of the range of colours:
    the gradient of ℓ² falls where that of (1 + s)² grows (docs/experiments.md).

    In: x [n, V] and any number of scores [n, 1]. Out: [n, V] float32 of Euclidean length ℓ.
    """

    def call(self, x: tf.Tensor, *scores: tf.Tensor) -> tf.Tensor:
        x = tf.cast(x, tf.float32)
        score = tf.add_n([tf.cast(score, tf.float32) for score in scores])
        # Two of the three terms are constant, each where another counts.
        length = (
            1.0 / (1.0 - tf.minimum(score, 0.0))
            + tf.clip_by_value(score, 0.0, 1.0)
            + tf.math.log(tf.maximum(score, 1.0))
        )
        # ε under the root: the zero vector stays zero, with a finite gradient.
        return x * tf.math.rsqrt(tf.reduce_sum(tf.square(x), axis=-1, keepdims=True) + 1e-8) * length

    def compute_output_shape(self, x_shape: tuple, *score_shapes: tuple) -> tuple:
        return x_shape
