"""SiameseGAN: the whole algorithm in one ``train_step``.

In: batches of content A and style B, each a pair of crops [n, rows·S, cols·S, 3] float32 in [-1, 1] and the Whole of
the pictures they are from (thumbnail.py). Out: named loss terms.

Both updates come from one forward pass: G translates A to AB once, D maps A, B and AB to latent vectors once, and
each network's gradient is taken of its own loss at the same weights (simultaneous updates). D's loss does
not reach G's weights nor the reverse, so nothing is computed twice; but for `seam`, which translates once more, without
gradient, what was cut into tiles.

Reference: M. Pasini, "Style transfer with GANs on HD images", 2019.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import keras
import tensorflow as tf

from gan_hd import losses
from gan_hd.augment import moved_and_cut
from gan_hd.config import Config, TrainConfig
from gan_hd.models.combo import Combo
from gan_hd.models.discriminator import Discriminator
from gan_hd.models.generator import Generator
from gan_hd.optimizer import Adam, LearningRate
from gan_hd.thumbnail import Whole

#: Every value that train_step reports, in the order of the logs.
METRICS = (
    "d_loss",
    "g_loss",
    "d1_style",
    "d2_margin",
    "d3_content",
    "g1_realism",
    "g2_content",
    "travel",
    "anti_collapse",
    "identity",
    "tones",
    "seam",
    "r1",
    "lecam",
    "norm_b",
    "norm_ab",
    "effective_rank",
    "shift",
)


#: (crops A, of which pictures), (crops B, of which pictures)
Batch = tuple[tuple[tf.Tensor, Whole], tuple[tf.Tensor, Whole]]


def learning_rate(train: TrainConfig, peak: float) -> LearningRate:
    """The schedule that both networks have, each with a peak of its own."""
    return LearningRate(
        peak,
        warmup_steps=train.lr_warmup_steps,
        constant_steps=train.lr_constant_steps,
        half_life_steps=train.lr_half_life_steps,
    )


class Gradients(NamedTuple):
    """Of one batch: gradients in the order of the networks' trainable variables, loss terms, latent vectors."""

    d: list[tf.Tensor]
    g: list[tf.Tensor]
    terms: dict[str, tf.Tensor]
    z_b: tf.Tensor
    z_ab: tf.Tensor


class SiameseGAN(keras.Model):
    """Generator, Siamese discriminator, Combo and an averaged copy of the generator.

    Args:
        config: a validated configuration.
        dtype: a Keras dtype policy name, such as "mixed_bfloat16".

    Attributes:
        generator: G, trained.
        ema_generator: exponential moving average of G: the one that is sampled and exported.
        discriminator: D.
        step: int64 variable, how many updates were made.
    """

    def __init__(self, config: Config, *, dtype: str = "float32") -> None:
        super().__init__(name="siamese_gan", dtype=dtype)
        self.config = config
        seeds = config.train.seed
        keras.utils.set_random_seed(seeds)  # initial weights: a function of the seed, like all else
        self.generator = Generator(config.generator, dtype=dtype)
        self.ema_generator = Generator(config.generator, dtype=dtype, name="ema_generator")
        self.ema_generator.set_weights(self.generator.get_weights())
        self.ema_generator.trainable = False
        self.discriminator = Discriminator(config.discriminator, crop_px=config.crop_px, dtype=dtype)
        combo = config.combo
        self.combo = Combo(self.generator, combo.tile_px, rows=combo.rows, cols=combo.cols, dtype="float32")
        self.step = keras.Variable(0, dtype="int64", trainable=False, name="step")
        # LeCam's running means of ‖D(B)‖ and ‖D(AB)‖.
        self.norm_means = keras.Variable(
            [0.0, 0.0], dtype="float32", trainable=False, name="norm_means", aggregation="mean"
        )
        self.means = {name: keras.metrics.Mean(name=name) for name in METRICS}
        self.built = True

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        return list(self.means.values())

    def compile(self, *, jit_compile: bool = False, **kwargs: Any) -> None:  # type: ignore[override]
        """Builds both optimisers (TTUR); under float16 each has its own loss scale."""
        train = self.config.train

        def adam(peak: float, name: str, variables: list) -> keras.optimizers.Optimizer:
            varies = train.lr_warmup_steps or train.lr_half_life_steps
            rate: Any = learning_rate(train, peak) if varies else peak
            optimizer: Any = Adam(rate, beta_1=train.beta_1, beta_2=train.beta_2, name=name)
            if self.dtype_policy.compute_dtype == "float16":
                optimizer = keras.optimizers.LossScaleOptimizer(optimizer, name=f"{name}_scale")
            optimizer.build(variables)  # inside the strategy's scope, before the first step
            return optimizer

        self.g_optimizer = adam(train.generator_lr, "g_adam", self.generator.trainable_variables)
        self.d_optimizer = adam(train.discriminator_lr, "d_adam", self.discriminator.trainable_variables)
        super().compile(jit_compile=jit_compile, **kwargs)

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        """Nothing is left to build. Keras would reduce a batch over workers here, which fails."""

    def call(self, content: tf.Tensor, whole: Whole | None = None, training: bool = False) -> tf.Tensor:
        """Translates pictures, or crops of them, with the averaged generator: [n, h, w, 3] -> the same.

        `whole` gives the context of the pictures they are from; without it the null context stands in.
        """
        context = None if whole is None else self.ema_generator.encode(whole)
        return self.ema_generator(content, context=context, training=training)

    # === The algorithm ===

    def train_step(self, data: Batch) -> dict[str, tf.Tensor]:
        """One update of both networks."""
        found = self.gradients(data)
        self.d_optimizer.apply(found.d, self.discriminator.trainable_variables)
        self.g_optimizer.apply(found.g, self.generator.trainable_variables)
        self.update_averages(found.z_b, found.z_ab)
        for name, value in found.terms.items():
            self.means[name].update_state(value)
        if isinstance(tf.distribute.get_strategy(), tf.distribute.MultiWorkerMirroredStrategy):
            # Keras averages over workers along the first axis, which scalars lack. `means` has all values.
            return {"d_loss": found.terms["d_loss"][None]}
        return {name: mean.result() for name, mean in self.means.items()}

    def gradients(self, data: Batch) -> Gradients:
        """What both networks are to change, and all that is reported; changes no weight but spectral norms' vectors."""
        (a, whole_a), (b, whole_b) = data
        # Their values, for in a keras.StatelessScope they are tensors, which a tape does not watch by itself.
        d_weights, g_weights = (
            [variable.value for variable in network.trainable_variables]
            for network in (self.discriminator, self.generator)
        )
        with tf.GradientTape(persistent=True) as tape:
            tape.watch([d_weights, g_weights])
            context = self.contexts(whole_a)
            ab = self.translate_crops(a, context)  # [n, 2S, 2S, 3]
            seen_a, seen_b, seen_ab = self._augment(a, b, ab)
            # A and B go through D together; AB apart, so that G's gradient runs through AB's rows only.
            z_a, z_b = tf.split(self.discriminator(tf.concat([seen_a, seen_b], 0), training=True), 2)
            z_ab = self.discriminator(seen_ab, training=True)  # [n, V]
            terms = self.loss_terms(z_a, z_b, z_ab)
            weights = self.config.losses
            if weights.identity_weight:
                count = max(1, b.shape[0] // 4)
                context_b = self.generator.encode(whole_b.rows(slice(count)))
                same = self.generator(b[:count], context=context_b, training=True)
                terms["identity"] = losses.identity(b[:count], same)
            if weights.tones_weight:
                terms["tones"] = losses.tones(a, ab, cell_px=weights.tones_cell_px)
            if weights.seam_weight:
                cut = slice(self._uncut_count(a), None)
                with tape.stop_recording():  # tiles are to follow the picture, not the picture its tiles
                    told = None if context is None else context[cut]
                    in_one_piece = self.generator(a[cut], context=told, training=True)
                terms["seam"] = losses.seam(ab[cut], in_one_piece)
            if weights.r1_weight:
                terms["r1"] = self._r1(b)
            d_loss, g_loss = self.total_losses(terms)
            # Optimisers sum over replicas; a loss scale keeps float16 gradients from vanishing.
            replicas = tf.distribute.get_strategy().num_replicas_in_sync
            d_scaled = self.d_optimizer.scale_loss(d_loss / replicas)
            g_scaled = self.g_optimizer.scale_loss(g_loss / replicas)
        d_gradients = self._agree_on_overflow(tape.gradient(d_scaled, d_weights))
        g_gradients = self._agree_on_overflow(tape.gradient(g_scaled, g_weights))
        del tape
        terms |= {
            "d_loss": d_loss,
            "g_loss": g_loss,
            "norm_b": tf.reduce_mean(losses.norm(z_b)),
            "norm_ab": tf.reduce_mean(losses.norm(z_ab)),
            "effective_rank": losses.effective_rank(losses.pair_differences(z_a)),
            "shift": tf.reduce_mean(tf.abs(ab - a)),  # how far G is from the identity, 0..2
        }
        return Gradients(d_gradients, g_gradients, terms, z_b, z_ab)

    def contexts(self, whole: Whole) -> tf.Tensor | None:
        """The context of each crop, [n, k]; some rows are the null context, so that G learns to do without.

        None where G takes no context.
        """
        context = self.generator.encode(whole)
        if context is None:
            return None
        dropped = self._uniform([context.shape[0], 1], stream=2) < self.config.train.context_dropout
        return tf.where(dropped, self.generator.null_context.value[None], context)

    def translate_crops(self, a: tf.Tensor, context: tf.Tensor | None) -> tf.Tensor:
        """AB: the first `whole_share` of the batch in one piece, the rest as a Combo of tiles."""
        combo = self.config.combo
        uncut = self._uncut_count(a)
        contexts = [None, None] if context is None else [context[:uncut], context[uncut:]]
        parts = []
        if uncut:
            parts.append(self.generator(a[:uncut], context=contexts[0], training=True))
        if uncut < a.shape[0]:
            phase = self._random_phase() if combo.random_phase else None
            parts.append(self.combo(a[uncut:], context=contexts[1], phase=phase, training=True))
        return tf.concat(parts, axis=0)

    def _uncut_count(self, a: tf.Tensor) -> int:
        return round(self.config.combo.whole_share * a.shape[0])

    def loss_terms(self, z_a: tf.Tensor, z_b: tf.Tensor, z_ab: tf.Tensor) -> dict[str, tf.Tensor]:
        """Every term that comes from latent vectors, by name, unweighted."""
        c = self.config.losses
        delta_a = losses.pair_differences(z_a, rotations=c.rotations)
        delta_ab = losses.pair_differences(z_ab, rotations=c.rotations)
        content = losses.content_cosine(delta_a, delta_ab)
        zero = tf.constant(0.0)
        return {
            "d1_style": losses.style_realism(z_b),
            "d2_margin": losses.translation_margin(z_ab, margin=c.margin),
            "d3_content": content,
            "g1_realism": losses.translation_realism(z_ab),
            "g2_content": content,
            "travel": losses.travel(delta_a, delta_ab) if c.travel_weight else zero,
            "anti_collapse": losses.anti_collapse(delta_a, margin=c.collapse_margin)
            if c.collapse_weight
            else zero,
            "identity": zero,
            "tones": zero,
            "seam": zero,
            "r1": zero,
            "lecam": losses.lecam(z_b, z_ab, mean_b=self.norm_means[0], mean_ab=self.norm_means[1])
            if c.lecam_weight
            else zero,
        }

    def total_losses(self, terms: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        """Weighted sums: what D minimises, what G minimises."""
        c = self.config.losses
        shared = c.travel_weight * terms["travel"]
        d_loss = (
            terms["d1_style"]
            + terms["d2_margin"]
            + c.content_weight * terms["d3_content"]
            + shared
            + c.collapse_weight * terms["anti_collapse"]
            + c.r1_weight * terms["r1"]
            + c.lecam_weight * terms["lecam"]
        )
        g_loss = (
            terms["g1_realism"]
            + c.content_weight * terms["g2_content"]
            + shared
            + c.identity_weight * terms["identity"]
            + c.tones_weight * terms["tones"]
            + c.seam_weight * terms["seam"]
        )
        return d_loss, g_loss

    # === Parts of a step ===

    def _r1(self, b: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(b)
            score = tf.reduce_sum(tf.square(losses.norm(self.discriminator(b, training=True))))
        return losses.gradient_penalty(tape.gradient(score, b))

    def _random_phase(self) -> tuple[tf.Tensor, tf.Tensor]:
        """How far this step moves its cuts from the middle: multiples of the stride, at most half a tile."""
        stride = self.generator.stride_px
        most = self.config.combo.tile_px // 2 // stride
        y, x = tf.unstack(self._uniform([2], stream=0))
        return tuple((tf.cast(draw * (2 * most + 1), tf.int32) - most) * stride for draw in (y, x))

    def _augment(self, a: tf.Tensor, b: tf.Tensor, ab: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Translation and cutout of D's inputs, the same for a crop and its translation."""
        reach = self.config.train.augment
        if not reach:
            return a, b, ab
        of_a, of_b = tf.unstack(self._uniform([2, a.shape[0], 4], stream=1))
        return (
            moved_and_cut(a, of_a, reach=reach),
            moved_and_cut(b, of_b, reach=reach),
            moved_and_cut(ab, of_a, reach=reach),
        )

    def _agree_on_overflow(self, gradients: list[tf.Tensor]) -> list[tf.Tensor]:
        """Under float16 on several replicas: an overflow on one becomes an overflow on all.

        Keras' LossScaleOptimizer asks the first replica only whether to skip the step.
        """
        replica = tf.distribute.get_replica_context()
        if self.dtype_policy.compute_dtype != "float16" or replica.num_replicas_in_sync == 1:
            return gradients
        finite = tf.reduce_all([tf.reduce_all(tf.math.is_finite(g)) for g in gradients])
        overflows = replica.merge_call(
            lambda strategy, flag: strategy.extended.reduce_to(tf.distribute.ReduceOp.SUM, flag, flag),
            args=(tf.cast(~finite, tf.float32),),
        )
        return [tf.where(overflows > 0, tf.constant(float("inf"), g.dtype), g) for g in gradients]

    def weights_are_finite(self) -> bool:
        """False where a weight of G or D, or one of their optimisers' moments, is NaN or infinite."""
        holders = (self.generator, self.discriminator, self.g_optimizer, self.d_optimizer)
        values = [tf.convert_to_tensor(v) for holder in holders for v in holder.variables]
        return all(bool(tf.reduce_all(tf.math.is_finite(v))) for v in values if v.dtype.is_floating)

    def _uniform(self, shape: list[int], *, stream: int) -> tf.Tensor:
        """Uniform in [0, 1), a function of (seed, step, stream)."""
        seed = tf.random.experimental.stateless_fold_in(
            tf.stack([tf.constant(self.config.train.seed, tf.int64), tf.identity(self.step)]), stream
        )
        return tf.random.stateless_uniform(shape, seed)

    def update_averages(self, z_b: tf.Tensor, z_ab: tf.Tensor) -> None:
        """EMA of G (with a short memory at the start), LeCam's means, and the step count."""
        step = tf.cast(self.step, tf.float32)
        decay = tf.minimum(self.config.train.ema_decay, (1.0 + step) / (10.0 + step))
        for average, value in zip(self.ema_generator.variables, self.generator.variables, strict=True):
            average.assign(average + (1.0 - decay) * (value - average))
        if self.config.losses.lecam_weight:
            norms = tf.stack([tf.reduce_mean(losses.norm(z)) for z in (z_b, z_ab)])
            self.norm_means.assign(0.99 * self.norm_means + 0.01 * norms)
        self.step.assign_add(1)
