"""What both methods share: the patch discriminator, the least-squares loss, and the update of two players.

In: batches of the pipeline. Out: updated weights and named means, as `fit` wants them.
References: Isola et al., "Image-to-Image Translation with Conditional Adversarial Networks", 2017 (70x70 patches);
Mao et al., "Least Squares Generative Adversarial Networks", 2017.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from gan_hd.config import Config
from gan_hd.models.generator import Generator

LEARNING_RATE, BETA_1 = 2e-4, 0.5


def crops_of(batch: Any) -> tuple[tf.Tensor, tf.Tensor]:
    """The crops of a batch of gan_hd.pipeline, without the Whole that comes along with them.

    Returns:
        content and style, each [n, h, w, 3] float32 in [-1, 1].
    """
    content, style = (side[0] if isinstance(side, tuple | list) else side for side in batch)
    return content, style


def patch_discriminator(*, width: int = 64, dtype: Any = None, name: str | None = None) -> keras.Model:
    """Isola et al., appendix 6.1.2: C64-C128-C256-C512, a score for each patch of 70x70 px.

    Args:
        width: channels of the first layer, 64 in the paper.
        dtype: Keras dtype policy.

    Returns:
        a model [n, h, w, 3] float32 in [-1, 1] -> [n, h/8, w/8, 1] float32, unbounded.
    """
    normal = keras.initializers.RandomNormal(stddev=0.02)
    inputs = keras.Input((None, None, 3))
    x: Any = inputs
    for level, stride in enumerate((2, 2, 2, 1)):
        x = keras.layers.Conv2D(
            width * 2**level,
            4,
            stride,
            padding="same",
            use_bias=not level,  # a norm would take it away
            kernel_initializer=normal,
            dtype=dtype,
        )(x)
        if level:  # C64 has none; the authors' instance norm learns no scale and shift
            x = keras.layers.GroupNormalization(
                groups=-1, epsilon=1e-5, center=False, scale=False, dtype=dtype
            )(x)
        x = keras.layers.LeakyReLU(0.2, dtype=dtype)(x)
    x = keras.layers.Conv2D(1, 4, padding="same", kernel_initializer=normal, dtype=dtype)(x)
    return keras.Model(inputs, keras.layers.Activation("linear", dtype="float32")(x), name=name)


def least_squares(scores: tf.Tensor, *, target: float) -> tf.Tensor:
    """Mao et al., equation 9: mean of (D(x) − target)²; scores of any shape, float32 -> scalar."""
    return tf.reduce_mean(tf.square(scores - target))


def discriminator_loss(real: tf.Tensor, fake: tf.Tensor) -> tf.Tensor:
    """½ (mean (D(real) − 1)² + mean D(fake)²): halved, as both papers' authors do to slow D down."""
    return 0.5 * (least_squares(real, target=1.0) + least_squares(fake, target=0.0))


class Baseline(keras.Model):
    """Two players with an Adam each, an averaged generator, and means of what is reported.

    A subclass makes its networks, names the variables of both players for :meth:`start`, and implements
    :meth:`objectives`. As in SiameseGAN, both gradients are taken at the same weights, after one forward pass.

    Attributes:
        generator, ema_generator: content to style; its exponential moving average, which is exported.
        step: int64 variable, updates made.
        means: keras.metrics.Mean by name.
    """

    #: Names of the values that `objectives` reports.
    TERMS: tuple[str, ...] = ()

    def __init__(self, config: Config, *, dtype: str = "float32") -> None:
        super().__init__(dtype=dtype)
        self.config = config
        keras.utils.set_random_seed(config.train.seed)
        self.generator = Generator(config.generator, dtype=dtype)
        self.ema_generator = Generator(config.generator, dtype=dtype, name="ema_generator")
        self.ema_generator.set_weights(self.generator.get_weights())
        self.ema_generator.trainable = False
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False, name="step")
        self.means = {name: keras.metrics.Mean(name=name) for name in self.TERMS}
        self.built = True

    def start(self, g_networks: list[keras.layers.Layer], d_networks: list[keras.layers.Layer]) -> None:
        """Remembers who plays together, builds the optimisers (float16 gets loss scales) and compiles."""

        def adam(variables: list) -> Any:
            optimizer: Any = keras.optimizers.Adam(LEARNING_RATE, beta_1=BETA_1)
            if self.dtype_policy.compute_dtype == "float16":
                optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
            optimizer.build(variables)
            return optimizer

        self.g_variables, self.d_variables = (
            [variable for network in networks for variable in network.trainable_variables]
            for networks in (g_networks, d_networks)
        )
        self.g_optimizer, self.d_optimizer = adam(self.g_variables), adam(self.d_variables)
        self.compile()

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        return list(self.means.values())

    def call(self, content: tf.Tensor, training: bool = False) -> tf.Tensor:
        """The averaged generator's translation of whole pictures: [n, h, w, 3] -> the same."""
        return self.ema_generator(content, training=training)

    def objectives(self, a: tf.Tensor, b: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, dict[str, tf.Tensor]]:
        """What G's side minimises, what D's side minimises, and the terms by name.

        Args:
            a, b: crops of content and style, [n, h, w, 3] float32 in [-1, 1].
        """
        raise NotImplementedError

    def train_step(self, batch: Any) -> dict[str, tf.Tensor]:
        with tf.GradientTape(persistent=True) as tape:
            g_loss, d_loss, terms = self.objectives(*crops_of(batch))
            g_scaled, d_scaled = self.g_optimizer.scale_loss(g_loss), self.d_optimizer.scale_loss(d_loss)
        g_gradients = tape.gradient(g_scaled, self.g_variables)
        d_gradients = tape.gradient(d_scaled, self.d_variables)
        del tape
        self.g_optimizer.apply(g_gradients, self.g_variables)
        self.d_optimizer.apply(d_gradients, self.d_variables)
        # The same averaging as SiameseGAN's, with a short memory at the start.
        step = tf.cast(self.step, tf.float32)
        decay = tf.minimum(self.config.train.ema_decay, (1.0 + step) / (10.0 + step))
        for average, value in zip(self.ema_generator.variables, self.generator.variables, strict=True):
            average.assign(average + (1.0 - decay) * (value - average))
        self.step.assign_add(1)
        for name, value in terms.items():
            self.means[name].update_state(value)
        return {name: mean.result() for name, mean in self.means.items()}
