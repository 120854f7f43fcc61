import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from gan_hd.config import GeneratorConfig
from gan_hd.models.generator import Generator
from gan_hd.thumbnail import Whole

CONFIGS = [
    GeneratorConfig((8,), 1, 4),
    GeneratorConfig((4, 6), 2, 4, context_size=3, thumbnail_px=16, noise_channels=2),
    GeneratorConfig((4, 4, 4), 1, 4),
]


def _randomised(config, scale=0.2):
    generator = Generator(config)
    rng = np.random.default_rng(0)
    generator.set_weights(
        [rng.normal(size=w.shape, scale=scale).astype(np.float32) for w in generator.get_weights()]
    )
    return generator


@pytest.mark.parametrize("config", CONFIGS)
def test_receptive_field_is_what_it_says(config):
    """The support of one output pixel's gradient, with positive weights so that nothing cancels."""
    generator = Generator(config)
    generator.set_weights([np.full(w.shape, 0.02, np.float32) for w in generator.get_weights()])
    # Before tanh, which would saturate.
    network = generator.network
    linear = keras.Model(network.inputs, network.get_layer("rgb").output)
    context = [tf.zeros([1, 3])] if generator.config.context_size else []
    side, centre = 24 * generator.stride_px, 12 * generator.stride_px
    x = tf.fill([1, side, side, 3], 0.1)
    reached = 0
    for offset in range(generator.stride_px):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.reduce_sum(linear([x, *context] if context else x)[0, centre + offset, centre + offset])
        rows, cols = np.nonzero(tape.gradient(y, x).numpy()[0].any(-1))
        reached = max(reached, abs(rows - centre - offset).max(), abs(cols - centre - offset).max())
    assert reached == generator.radius_px < centre


def test_one_changed_pixel_changes_nothing_beyond_the_radius():
    generator = _randomised(CONFIGS[1])
    x = np.random.default_rng(1).uniform(-0.5, 0.5, (1, 192, 192, 3)).astype(np.float32)
    changed = x.copy()
    changed[0, 96, 96] += 0.4
    rows, cols = np.nonzero((generator(x).numpy() != generator(changed).numpy())[0].any(-1))
    assert 0 < max(abs(rows - 96).max(), abs(cols - 96).max()) <= generator.radius_px < 96


@pytest.mark.parametrize("size", [(8, 8), (16, 40), (72, 24)])
def test_starts_at_the_identity_for_any_size(size):
    x = np.random.default_rng(0).uniform(-1, 1, (2, *size, 3)).astype(np.float32)
    np.testing.assert_allclose(Generator(CONFIGS[2])(x), 0.97 * x, atol=1e-5)


def test_a_translated_picture_moves_with_its_input():
    """No absolute position: shifting by the stride shifts the output, away from borders."""
    generator = _randomised(CONFIGS[1])
    d, r = generator.stride_px, generator.radius_px
    x = np.random.default_rng(0).uniform(-1, 1, (1, 160, 160, 3)).astype(np.float32)
    a, b = generator(x[:, :-d]).numpy(), generator(x[:, d:]).numpy()
    inner = slice(-(-r // d) * d, 160 - d - -(-r // d) * d - d)
    np.testing.assert_allclose(a[:, d:][:, inner], b[:, :-d][:, inner], atol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_saves_and_reloads(tmp_path, dtype):
    generator = Generator(CONFIGS[1], dtype=dtype)
    generator.save(tmp_path / "g.keras")
    twin = keras.saving.load_model(tmp_path / "g.keras")
    assert (twin.config, twin.radius_px, twin.policy.name) == (generator.config, generator.radius_px, dtype)
    x = np.random.default_rng(0).uniform(-1, 1, (1, 16, 16, 3)).astype(np.float32)
    np.testing.assert_array_equal(twin(x), generator(x))
    assert generator(x).dtype == tf.float32


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_without_identity_start_the_picture_is_not_there_at_first(tmp_path, dtype):
    generator = Generator(dataclasses.replace(CONFIGS[1], identity_start=False), dtype=dtype)
    x = np.random.default_rng(0).uniform(-1, 1, (2, 16, 24, 3)).astype(np.float32)
    y = generator(x)
    assert y.dtype == tf.float32 and y.shape == x.shape
    assert np.abs(y).max() <= 1 and np.std(y) > 0.05  # some picture, drawn by random weights
    assert abs(np.corrcoef(x.ravel(), y.numpy().ravel())[0, 1]) < 0.5
    with_start = Generator(CONFIGS[1])
    assert (generator.radius_px, generator.count_params()) == (
        with_start.radius_px,
        with_start.count_params(),
    )
    generator.save(tmp_path / "g.keras")
    np.testing.assert_array_equal(keras.saving.load_model(tmp_path / "g.keras")(x), y)


def test_context_comes_from_the_thumbnail_and_changes_every_place():
    generator = _randomised(CONFIGS[1])
    rng = np.random.default_rng(0)
    x = rng.uniform(-0.5, 0.5, (2, 64, 64, 3)).astype(np.float32)
    contexts = generator.encode(Whole(rng.uniform(-1, 1, (2, 16, 16, 3)).astype(np.float32)))
    assert contexts.shape == (2, 3) and contexts.dtype == tf.float32 and np.abs(contexts).max() <= 1
    y = generator(x, context=contexts).numpy()
    np.testing.assert_allclose(generator(x[1:], context=contexts[1:])[0], y[1], atol=1e-5)
    moved = np.abs(generator(x, context=contexts[::-1]) - y)
    assert moved.max(axis=(1, 2, 3)).min() > 1e-3
    assert moved.reshape(2, 4, 16, 4, 16, 3).max(axis=(2, 4, 5)).min() > 1e-5
    null = tf.repeat(generator.null_context.value[None], 2, axis=0)
    np.testing.assert_array_equal(generator(x), generator(x, context=null))


def test_without_context_there_is_nothing_to_encode():
    assert Generator(CONFIGS[0]).encode(Whole(np.zeros((1, 16, 16, 3), np.float32))) is None


def test_the_scale_comes_with_the_context_and_changes_the_picture():
    generator = _randomised(dataclasses.replace(CONFIGS[1], scale_range_px=(100, 1600)))
    thumbnails = np.zeros((6, 16, 16, 3), np.float32)
    contexts = generator.encode(Whole(thumbnails, [1.0, 100.0, 200.0, 400.0, 1600.0, 1e6])).numpy()
    assert contexts.shape == (6, generator.config.told_size) == (6, 4)
    np.testing.assert_allclose(contexts[:, -1], [-1, -1, -0.5, 0, 1, 1], atol=1e-6)
    np.testing.assert_array_equal(contexts[:, :-1], contexts[:1, :-1].repeat(6, axis=0))
    x = np.random.default_rng(0).uniform(-0.5, 0.5, (1, 32, 32, 3)).astype(np.float32).repeat(6, axis=0)
    y = generator(x, context=contexts).numpy()
    assert np.abs(y[0] - y[4]).max() > 1e-3
    np.testing.assert_array_equal(y[4], y[5])
    copy = Generator.from_config(generator.get_config())
    assert copy.config == generator.config
