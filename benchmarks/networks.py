"""The training step and its parts as compiled functions that end when the work is done.

In: a configuration, a batch. Out: functions without arguments, to be timed; concrete functions, to be counted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from gan_hd.config import Config
from gan_hd.gan import SiameseGAN

#: Calls a network or a Combo on crops, in training mode.
Network = Callable[..., tf.Tensor]


def build(config: Config, *, precision: str) -> SiameseGAN:
    """Both networks with their optimisers; `precision` is a Keras policy such as "mixed_bfloat16"."""
    gan = SiameseGAN(config, dtype=precision)
    gan.compile()
    return gan


def step(gan: SiameseGAN) -> Callable[[Any], None]:
    """One update per call, of whatever batch is given."""
    compiled = tf.function(gan.train_step)

    def run(batch: Any) -> None:
        compiled(batch)["d_loss"].numpy()

    return run


def crops(config: Config) -> tf.Tensor:
    """A batch of noise of the shape that D sees: [n, h, w, 3] float32 in [-1, 1]; speed does not depend on values."""
    return tf.random.stateless_uniform([config.train.batch_size, *config.crop_px, 3], [0, 0], -1.0, 1.0)


def forward(
    network: Network, x: tf.Tensor, *, training: bool = True
) -> tf.types.experimental.ConcreteFunction:
    """network(x), traced for x's shape."""
    return tf.function(lambda given: network(given, training=training)).get_concrete_function(x)


def forward_backward(
    network: Network, x: tf.Tensor, variables: list[keras.Variable]
) -> tf.types.experimental.ConcreteFunction:
    """network(x) and the gradients of a sum of its values, with respect to x and to all weights it uses."""

    @tf.function
    def both(given: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(given)
            total = tf.reduce_sum(tf.cast(network(given, training=True), tf.float32))
        sources = [given, *(variable.value for variable in variables)]
        return [gradient for gradient in tape.gradient(total, sources) if gradient is not None]

    return both.get_concrete_function(x)


def parts(gan: SiameseGAN) -> dict[str, Callable[[], object]]:
    """The step's parts by name, each on a whole batch."""
    x = crops(gan.config)
    g_variables, d_variables = gan.generator.trainable_variables, gan.discriminator.trainable_variables
    found: dict[str, Callable[[], object]] = {}
    for name, network, variables in (
        ("G {}, whole crops", gan.generator, g_variables),
        ("G {}, tiles", gan.combo, g_variables),
        ("D {}", gan.discriminator, d_variables),
    ):
        found[name.format("forward")] = ended(forward(network, x), x)
        found[name.format("forward + backward")] = ended(forward_backward(network, x, variables), x)
    return found | {"apply": _apply(gan)}


def ended(function: tf.types.experimental.ConcreteFunction, x: tf.Tensor) -> Callable[[], object]:
    """The function of `x`, to be timed: it waits for the device."""

    def run() -> None:
        outputs = tf.nest.flatten(function(x))
        tf.reshape(outputs[0], [-1])[0].numpy()

    return run


def _apply(gan: SiameseGAN) -> Callable[[], object]:
    """Both optimisers with gradients of zeros, and the averages."""
    latent = tf.zeros([gan.config.train.batch_size, gan.config.discriminator.latent_size])
    pairs = [
        (optimizer, network.trainable_variables, [tf.zeros(v.shape) for v in network.trainable_variables])
        for optimizer, network in ((gan.d_optimizer, gan.discriminator), (gan.g_optimizer, gan.generator))
    ]

    @tf.function
    def apply() -> None:
        for optimizer, variables, gradients in pairs:
            optimizer.apply(gradients, variables)
        gan.update_averages(latent, latent)

    def run() -> None:
        apply()
        gan.step.numpy()

    return run
