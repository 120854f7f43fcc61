"""One training step for each option, against the same step written out by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from gan_hd import losses
from gan_hd.config import PRESETS, apply_overrides, validate
from gan_hd.gan import SiameseGAN
from gan_hd.thumbnail import Whole

#: Without what is drawn anew for each step and replica.
PLAIN_INPUT = ["train.context_dropout=0"]


def _gan(*overrides, dtype="float32"):
    gan = SiameseGAN(validate(apply_overrides(PRESETS["smoke"], list(overrides))), dtype=dtype)
    gan.compile()
    return gan


def _batch(n=4, side=32):
    """Crops of content and of style, and what is told of their pictures."""
    rng = np.random.default_rng(0)
    sides_px = tf.constant(np.geomspace(32, 96, n), tf.float32)

    def draw(s):
        return tf.constant(rng.uniform(-1, 1, (n, s, s, 3)).astype(np.float32))

    return tuple((draw(side), Whole(draw(16), sides_px)) for _ in range(2))


def _step(gan, data):
    return {name: float(value) for name, value in gan.train_step(data).items()}


def test_the_articles_step_is_what_the_equations_say():
    """Gradients of both networks by separate tapes, each on its own loss, give the same weights."""
    options = ["combo.whole_share=0.0", "losses.rotations=1", *PLAIN_INPUT]
    gan, twin = _with_sgd(_gan(*options)), _with_sgd(_gan(*options))
    start = gan.generator.get_weights() + gan.discriminator.get_weights()
    data = (a, whole), (b, _) = _batch()
    logs = _step(gan, data)
    c = twin.config.losses

    def latent(x):
        return twin.discriminator(x, training=True)

    with tf.GradientTape() as tape:
        z_a, z_b = latent(a), latent(b)
        z_ab = latent(tf.stop_gradient(twin.combo(a, context=twin.contexts(whole))))
        content = losses.content_cosine(losses.pair_differences(z_a), losses.pair_differences(z_ab))
        d_loss = (
            losses.style_realism(z_b)
            + losses.translation_margin(z_ab, margin=c.margin)
            + c.content_weight * content
        )
    d_gradients = tape.gradient(d_loss, twin.discriminator.trainable_variables)
    with tf.GradientTape() as tape:
        z_ab = latent(twin.combo(a, context=twin.contexts(whole)))
        content = losses.content_cosine(
            losses.pair_differences(tf.stop_gradient(latent(a))), losses.pair_differences(z_ab)
        )
        g_loss = losses.translation_realism(z_ab) + c.content_weight * content
    g_gradients = tape.gradient(g_loss, twin.generator.trainable_variables)
    twin.d_optimizer.apply(d_gradients, twin.discriminator.trainable_variables)
    twin.g_optimizer.apply(g_gradients, twin.generator.trainable_variables)

    assert logs["d_loss"] == pytest.approx(float(d_loss), rel=1e-5)
    assert logs["g_loss"] == pytest.approx(float(g_loss), rel=1e-5)
    ours, theirs = (net.generator.get_weights() + net.discriminator.get_weights() for net in (gan, twin))
    for before, x, y in zip(start, ours, theirs, strict=True):
        np.testing.assert_allclose(x, y, atol=1e-3 * np.abs(y - before).max() + 1e-7)


@pytest.mark.parametrize(
    ("override", "term"),
    [
        ("losses.travel_weight=1", "travel"),
        ("losses.collapse_weight=1", "anti_collapse"),
        ("losses.identity_weight=1", "identity"),
        ("losses.tones_weight=1", "tones"),
        ("losses.seam_weight=1", "seam"),
        ("losses.r1_weight=1", "r1"),
        ("losses.lecam_weight=1", "lecam"),
    ],
)
def test_optional_terms_are_logged_and_change_the_step(override, term):
    extra = {"anti_collapse": ["losses.collapse_margin=50"], "seam": ["generator.identity_start=false"]}.get(
        term, []
    )
    without, with_term = _gan(*extra), _gan(override, *extra)
    data = _batch()
    plain, logs = _step(without, data), _step(with_term, data)
    assert plain[term] == 0 and logs[term] > 0
    total = "g_loss" if term in ("identity", "tones", "seam") else "d_loss"
    assert logs[total] == pytest.approx(plain[total] + logs[term], rel=1e-4)
    network = "generator" if term in ("identity", "tones", "seam", "travel") else "discriminator"
    assert any(
        not np.array_equal(x, y)
        for x, y in zip(
            getattr(without, network).get_weights(), getattr(with_term, network).get_weights(), strict=True
        )
    )


@pytest.mark.parametrize(
    "override",
    [
        "combo.whole_share=1.0",
        "combo.whole_share=0.0",
        "combo.random_phase=true",
        "losses.rotations=3",
        "train.augment=0.25",
        "discriminator.spectral_norm=true",
        "discriminator.head=plain",
        "discriminator.scales=2",
        "combo.cols=3",
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_each_option_trains_finitely(override, dtype):
    gan = _gan(override, dtype=dtype)
    before = [gan.generator.get_weights(), gan.discriminator.get_weights()]
    height, width = gan.config.crop_px
    logs = _step(gan, tuple((crops[:, :height, :width], small) for crops, small in _batch(side=48)))
    assert all(np.isfinite(value) for value in logs.values())
    for old, network in zip(before, (gan.generator, gan.discriminator), strict=True):
        assert any(not np.array_equal(x, y) for x, y in zip(old, network.get_weights(), strict=True))
    assert all(w.dtype == np.float32 for w in gan.generator.get_weights())


def test_float16_scales_each_loss_with_its_own_scale():
    gan = _gan(dtype="mixed_float16")
    d_before = gan.discriminator.get_weights()
    logs = _step(gan, _batch())
    assert np.isfinite(logs["d_loss"])
    assert float(gan.g_optimizer.dynamic_scale) > 1 < float(gan.d_optimizer.dynamic_scale)
    logs = _step(gan, _batch())  # the first may overflow, and lower the scale
    assert any(
        not np.array_equal(x, y) for x, y in zip(d_before, gan.discriminator.get_weights(), strict=True)
    )
    # An overflow skips the update and lowers the scale, of D here and not of G.
    weights, scale = gan.discriminator.get_weights(), float(gan.d_optimizer.dynamic_scale)
    content, (b, whole) = _batch()
    gan.train_step((content, (b * np.float32(np.inf), whole)))
    assert float(gan.d_optimizer.dynamic_scale) == scale / 2
    for x, y in zip(weights, gan.discriminator.get_weights(), strict=True):
        np.testing.assert_array_equal(x, y)


def test_the_average_follows_the_generator():
    gan = _gan("train.ema_decay=0.5")
    start = gan.generator.get_weights()
    gan.train_step(_batch())
    # The first step's decay is min(0.5, 1/10).
    for first, now, average in zip(
        start, gan.generator.get_weights(), gan.ema_generator.get_weights(), strict=True
    ):
        np.testing.assert_allclose(average, 0.1 * first + 0.9 * now, atol=1e-6)
    assert int(gan.step) == 1


def test_steps_are_a_function_of_the_seed():
    weights = []
    for seed in (0, 0, 1):
        gan = _gan(f"train.seed={seed}", "train.augment=0.2", "combo.random_phase=true")
        for _ in range(2):
            gan.train_step(_batch())
        weights.append(np.concatenate([w.ravel() for w in gan.generator.get_weights()]))
    np.testing.assert_array_equal(weights[0], weights[1])
    assert not np.array_equal(weights[0], weights[2])


def test_random_phases_lie_on_the_stride_and_leave_half_a_tile():
    gan = _gan()
    seen = set()
    for step in range(60):
        gan.step.assign(step)
        y, x = (int(v) for v in gan._random_phase())
        assert y % gan.generator.stride_px == x % gan.generator.stride_px == 0
        assert -8 <= y <= 8 and -8 <= x <= 8
        seen.add((y, x))
    assert len(seen) > 10


def test_augmentation_moves_a_crop_and_its_translation_alike():
    gan = _gan("train.augment=0.25")
    (a, _), (b, _) = _batch()
    seen_a, seen_b, seen_ab = gan._augment(a, b, a)
    np.testing.assert_array_equal(seen_a, seen_ab)
    assert not np.array_equal(seen_a, a) and not np.array_equal(seen_b, b)
    assert (seen_a.numpy() == 0).all(-1).any()  # cutout
    kept = seen_a.numpy()[0][(seen_a.numpy()[0] != 0).all(-1)]
    assert {tuple(p) for p in kept} <= {tuple(p) for p in a.numpy()[0].reshape(-1, 3)}  # moved, not changed


def test_the_step_compiles_with_xla_for_static_shapes():
    gan = _gan(*PLAIN_INPUT)
    plain = _step(_gan(*PLAIN_INPUT), _batch())
    logs = tf.function(gan.train_step, jit_compile=True)(_batch())
    for name, value in plain.items():
        assert float(logs[name]) == pytest.approx(value, rel=1e-3, abs=1e-4), name


def _mirrored(*overrides, dtype="float32"):
    """A GAN over two logical CPUs, with plain SGD so that a wrong scale of the gradient shows."""
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    with strategy.scope():
        gan = _with_sgd(_gan(*overrides, dtype=dtype))
    return strategy, gan


def _with_sgd(gan):
    for name, network in (("g_optimizer", gan.generator), ("d_optimizer", gan.discriminator)):
        optimizer = keras.optimizers.SGD(0.1)
        if gan.dtype_policy.compute_dtype == "float16":
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        optimizer.build(network.trainable_variables)
        setattr(gan, name, optimizer)
    return gan


def _run_on(strategy, gan, data):
    dataset = tf.data.Dataset.from_tensors(data).unbatch().batch(4)
    batch = next(iter(strategy.experimental_distribute_dataset(dataset)))
    strategy.run(tf.function(gan.train_step), args=(batch,))


def test_two_replicas_make_the_step_of_one():
    """Without pairs, a mean over the batch is the mean of its halves' means."""
    options = ["losses.content_weight=0", "combo.whole_share=1.0", *PLAIN_INPUT]
    single = _with_sgd(_gan(*options))
    start = single.generator.get_weights() + single.discriminator.get_weights()
    data = _batch()
    single.train_step(data)
    strategy, double = _mirrored(*options)
    _run_on(strategy, double, data)
    ends = [gan.generator.get_weights() + gan.discriminator.get_weights() for gan in (single, double)]
    moved = max(np.abs(x - y).max() for x, y in zip(start, ends[0], strict=True))
    for x, y in zip(*ends, strict=True):
        np.testing.assert_allclose(x, y, atol=1e-3 * moved)
    assert int(double.step.numpy()) == 1


def test_an_overflow_on_any_replica_skips_the_step_on_all():
    strategy, gan = _mirrored("losses.rotations=1", dtype="mixed_float16")
    before, scale = gan.discriminator.get_weights(), float(gan.d_optimizer.dynamic_scale.numpy())
    content, (b, whole) = _batch()
    b = b.numpy()
    b[2:] = np.inf  # the second replica's half
    _run_on(strategy, gan, (content, (b, whole)))
    for x, y in zip(before, gan.discriminator.get_weights(), strict=True):
        np.testing.assert_array_equal(x, y)
    assert float(gan.d_optimizer.dynamic_scale.numpy()) == scale / 2
    assert gan.weights_are_finite()


def test_each_crop_is_translated_in_the_context_of_its_own_picture():
    gan = _gan("train.context_dropout=0")
    rng = np.random.default_rng(0)
    gan.generator.set_weights([rng.normal(size=w.shape, scale=0.2) for w in gan.generator.get_weights()])
    (a, whole), _ = _batch()
    contexts = gan.contexts(whole)
    together = gan.translate_crops(a, contexts).numpy()
    uncut = 2  # of four: whole_share is a half
    for i in range(4):
        context = gan.generator.encode(whole.rows(slice(i, i + 1)))
        translate = gan.generator if i < uncut else gan.combo
        np.testing.assert_allclose(translate(a[i : i + 1], context=context)[0], together[i], atol=1e-4)
    other = gan.translate_crops(a, contexts[::-1]).numpy()
    assert np.abs(other - together).max() > 1e-3  # and it matters


def test_context_dropout_gives_the_null_context_to_its_share():
    gan = _gan("train.context_dropout=0.5")
    (_, whole), _ = _batch(n=64)
    gan.generator.null_context.assign([7.0] * gan.generator.config.told_size)
    dropped = (gan.contexts(whole).numpy() == 7.0).all(-1)
    assert 16 < dropped.sum() < 48
    rng = np.random.default_rng(0)  # at the start, the context has no effect yet
    gan.generator.set_weights([rng.normal(size=w.shape, scale=0.1) for w in gan.generator.get_weights()])
    null_before = gan.generator.null_context.numpy()
    gan.train_step(_batch())
    assert not np.array_equal(gan.generator.null_context.numpy(), null_before)  # and it is learned


def test_a_generator_without_context_trains_too():
    gan = _gan("generator.context_size=0", "generator.scale_range_px=[]")
    assert gan.contexts(_batch()[0][1]) is None
    before = gan.generator.get_weights()
    _step(gan, _batch())
    assert any(not np.array_equal(x, y) for x, y in zip(before, gan.generator.get_weights(), strict=True))


def test_tiles_follow_the_picture_and_not_the_picture_its_tiles():
    """What seams add to G's gradient is that of |tiles - constant|, the picture in one piece being the constant."""
    settings = [*PLAIN_INPUT, "generator.identity_start=false"]
    data = _batch()
    (a, whole), _ = data
    with_term, without = (_gan(f"losses.seam_weight={weight}", *settings) for weight in (1, 0))
    added = [x - y for x, y in zip(with_term.gradients(data).g, without.gradients(data).g, strict=True)]
    gan, cut = without, slice(2, None)  # of four: whole_share is a half
    with tf.GradientTape() as tape:
        context = gan.contexts(whole)[cut]
        one_piece = tf.stop_gradient(gan.generator(a[cut], context=context))
        term = losses.seam(gan.combo(a[cut], context=context), one_piece)
    expected = tape.gradient(term, gan.generator.trainable_variables)
    for mine, other in zip(added, expected, strict=True):
        np.testing.assert_allclose(mine, other if other is not None else 0 * mine, atol=2e-5)
    assert max(float(tf.reduce_max(tf.abs(x))) for x in added) > 1e-3


def test_rates_rise_to_their_peak():
    gan = _gan("train.lr_warmup_steps=4", "train.generator_lr=4e-4")
    for expected in (1e-4, 2e-4, 3e-4, 4e-4, 4e-4):
        assert float(gan.g_optimizer.learning_rate) == pytest.approx(expected)
        _step(gan, _batch())
