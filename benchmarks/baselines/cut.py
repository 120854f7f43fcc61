"""CUT: one generator; a patch of the translation must be told apart by what it was in the photograph.

Reference: Park et al., "Contrastive Learning for Unpaired Image-to-Image Translation", 2020, with the authors'
published settings: τ = 0.07, 256 patches, heads of two layers of 256 units, λ_X = λ_Y = 1 with the mean of both taken,
Adam 2e-4 with β₁ = 0.5, least squares. Left out: the decay of the learning rate.
"""

from __future__ import annotations

import re

import keras
import tensorflow as tf

from benchmarks.baselines.adversarial import (
    Baseline,
    discriminator_loss,
    least_squares,
    patch_discriminator,
)
from gan_hd.config import Config
from gan_hd.models.generator import Generator

TEMPERATURE = 0.07
PATCHES = 256
NCE_WEIGHT = 1.0
HEAD_WIDTH = 256


def patch_nce(queries: tf.Tensor, keys: tf.Tensor, *, temperature: float = TEMPERATURE) -> tf.Tensor:
    """Park et al., equations 1 and 3: mean over images and places s of −log softmax(q_s · k_t/τ over t) at t = s.

    Negatives are the other places of the same image; keys are constants to the gradient.

    Args:
        queries, keys: features of translation and source at the same places, [n, s, c] float32 of length 1.
        temperature: τ > 0.

    Returns:
        scalar, 0 where every query knows its key.
    """
    logits = tf.matmul(queries, tf.stop_gradient(keys), transpose_b=True) / temperature  # [n, s, s]
    log_shares = tf.nn.log_softmax(logits, axis=-1)
    return -tf.reduce_mean(tf.linalg.diag_part(log_shares))


def feature_model(generator: Generator) -> keras.Model:
    """The generator with its encoder's features beside its output: [*features, translation].

    Features, each [n, h/k, w/k, c]: the pixels, what each scale starts with, and what the residual blocks end with. The
    generator takes no context.
    """
    network = generator.network
    encoder = [layer.output for layer in network.layers if re.fullmatch(r"stem|down\d+", layer.name)]
    decoder = next(layer for layer in network.layers if layer.name.endswith("_in"))
    return keras.Model(network.inputs, [network.inputs[0], *encoder, decoder.input, network.outputs[0]])


def take_patches(features: tf.Tensor, *, seed: tf.Tensor, count: int = PATCHES) -> tf.Tensor:
    """The features of `count` places, the same for all images: [n, h, w, c] -> [n, min(count, h·w), c].

    Args:
        features: any floating dtype.
        seed: int64 [2]; the same seed and size give the same places.
        count: how many, without repeats.
    """
    n, h, w, c = tf.unstack(tf.shape(features))
    places = tf.random.experimental.stateless_shuffle(tf.range(h * w), seed)[:count]
    taken = tf.gather(tf.reshape(features, [n, h * w, c]), places, axis=1)
    return tf.ensure_shape(taken, [features.shape[0], None, features.shape[-1]])


class Head(keras.layers.Layer):
    """Two dense layers, then length 1: [n, s, c] -> [n, s, 256] float32."""

    def __init__(self, *, dtype: str) -> None:
        super().__init__(dtype=dtype)
        self.hidden = keras.layers.Dense(HEAD_WIDTH, activation="relu", dtype=dtype)
        self.last = keras.layers.Dense(HEAD_WIDTH, dtype=dtype)

    def build(self, input_shape: tuple) -> None:
        self.hidden.build(input_shape)
        self.last.build((*input_shape[:-1], HEAD_WIDTH))

    def call(self, x: tf.Tensor) -> tf.Tensor:
        x = tf.cast(self.last(self.hidden(x)), tf.float32)
        # ε under the root: the zero vector has a finite gradient.
        return x * tf.math.rsqrt(tf.reduce_sum(tf.square(x), axis=-1, keepdims=True) + 1e-8)


class CUT(Baseline):
    """G, a patch discriminator, and a head for each of the encoder's features.

    Args:
        config: of the project; its generator's shape, the first width of its discriminator, seed and averaging are
            used.
        dtype: a Keras dtype policy name.
    """

    TERMS = ("g_loss", "d_loss", "adversarial", "nce", "nce_identity")

    def __init__(self, config: Config, *, dtype: str = "float32") -> None:
        super().__init__(config, dtype=dtype)
        self.features = feature_model(self.generator)
        self.encoder = keras.Model(self.features.inputs, self.features.outputs[:-1])
        self.heads = [Head(dtype=dtype) for _ in self.encoder.outputs]
        for head, feature in zip(self.heads, self.encoder.outputs, strict=True):
            head.build((None, None, feature.shape[-1]))
        self.discriminator = patch_discriminator(
            width=config.discriminator.widths[0], dtype=dtype, name="style_d"
        )
        self.start([self.generator, *self.heads], [self.discriminator])

    def objectives(self, a: tf.Tensor, b: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, dict[str, tf.Tensor]]:
        *sources, translated = self.features(tf.concat([a, b], 0), training=True)
        results = self.encoder(translated, training=True)
        fake_b = translated[: a.shape[0]]
        # Apart: G's gradient runs through the translations' half only.
        real, fake = self.discriminator(b, training=True), self.discriminator(fake_b, training=True)

        adversarial = least_squares(fake, target=1.0)
        nce, nce_identity = self.contrast(results, sources)
        g_loss = adversarial + NCE_WEIGHT * 0.5 * (nce + nce_identity)  # equation 5
        d_loss = discriminator_loss(real, fake)
        terms = {"adversarial": adversarial, "nce": nce, "nce_identity": nce_identity}
        return g_loss, d_loss, terms | {"g_loss": g_loss, "d_loss": d_loss}

    def contrast(self, results: list[tf.Tensor], sources: list[tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        """PatchNCE averaged over the layers: of A's half of the batch, and of B's.

        Args:
            results, sources: features of the translations and of what they were made from, [2n, h, w, c] each.
        """
        halves: tuple[list, list] = ([], [])
        for layer, head in enumerate(self.heads):
            seed = tf.stack([tf.constant(self.config.train.seed, tf.int64), tf.identity(self.step)])
            seed = tf.random.experimental.stateless_fold_in(seed, layer)
            queries, keys = (head(take_patches(x[layer], seed=seed)) for x in (results, sources))
            for half, q, k in zip(halves, tf.split(queries, 2), tf.split(keys, 2), strict=True):
                half.append(patch_nce(q, k))
        return tf.add_n(halves[0]) / len(self.heads), tf.add_n(halves[1]) / len(self.heads)
