"""CycleGAN: two generators that undo each other.

Reference: Zhu et al., "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks", 2017, with
the authors' published settings: λ = 10, identity weight 0.5·λ, Adam 2e-4 with β₁ = 0.5, least squares, 70x70 patches.
Left out: their history of 50 translations for D, and the decay of the learning rate.
"""

from __future__ import annotations

import tensorflow as tf

from benchmarks.baselines.adversarial import (
    Baseline,
    discriminator_loss,
    least_squares,
    patch_discriminator,
)
from gan_hd.config import Config
from gan_hd.models.generator import Generator

CYCLE_WEIGHT = 10.0
IDENTITY_WEIGHT = 0.5  # times CYCLE_WEIGHT


def mean_absolute(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """‖x − y‖₁ as a mean over all values, as the authors' code has it; equal shapes, float32 -> scalar."""
    return tf.reduce_mean(tf.abs(x - y))


class CycleGAN(Baseline):
    """G: content -> style, F: style -> content, and a discriminator for each side.

    Args:
        config: of the project; its generator's shape, the first width of its discriminator, seed and averaging are
            used.
        dtype: a Keras dtype policy name.
    """

    TERMS = ("g_loss", "d_loss", "adversarial", "cycle", "identity")

    def __init__(self, config: Config, *, dtype: str = "float32") -> None:
        super().__init__(config, dtype=dtype)
        width = config.discriminator.widths[0]
        self.back = Generator(config.generator, dtype=dtype, name="back")
        self.content_discriminator = patch_discriminator(width=width, dtype=dtype, name="content_d")
        self.style_discriminator = patch_discriminator(width=width, dtype=dtype, name="style_d")
        self.start([self.generator, self.back], [self.content_discriminator, self.style_discriminator])

    def objectives(self, a: tf.Tensor, b: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, dict[str, tf.Tensor]]:
        # Each generator goes over both domains at once; what is its own should stay as it is.
        fake_b, same_b = tf.split(self.generator(tf.concat([a, b], 0), training=True), 2)
        fake_a, same_a = tf.split(self.back(tf.concat([b, a], 0), training=True), 2)
        again_a = self.back(fake_b, training=True)  # F(G(a))
        again_b = self.generator(fake_a, training=True)  # G(F(b))
        real, fake = {}, {}
        for side, discriminator, own, drawn in (
            ("content", self.content_discriminator, a, fake_a),
            ("style", self.style_discriminator, b, fake_b),
        ):
            # Apart: G's gradient runs through the translations' half only.
            real[side], fake[side] = discriminator(own, training=True), discriminator(drawn, training=True)

        adversarial = tf.add_n([least_squares(scores, target=1.0) for scores in fake.values()])
        cycle = mean_absolute(again_a, a) + mean_absolute(again_b, b)  # equation 2
        identity = mean_absolute(same_b, b) + mean_absolute(same_a, a)  # section 5.2
        # Equation 3, and the identity term.
        g_loss = adversarial + CYCLE_WEIGHT * (cycle + IDENTITY_WEIGHT * identity)
        d_loss = tf.add_n([discriminator_loss(real[side], fake[side]) for side in real])
        terms = {"adversarial": adversarial, "cycle": cycle, "identity": identity}
        return g_loss, d_loss, terms | {"g_loss": g_loss, "d_loss": d_loss}
