import keras
import numpy as np
import pytest
import tensorflow as tf

from gan_hd.config import GeneratorConfig
from gan_hd.models.combo import Combo, join_tiles, split_tiles
from gan_hd.models.generator import Generator


@keras.saving.register_keras_serializable("tests")
class Numbered(keras.layers.Layer):
    """Paints each tile of a call with its number: shows which tile went where."""

    def call(self, x, training=False):
        return tf.zeros_like(x) + tf.reshape(tf.range(tf.shape(x)[0], dtype=x.dtype), [-1, 1, 1, 1])


@pytest.mark.parametrize(("rows", "cols", "side"), [(2, 2, 8), (1, 3, 4), (3, 2, 5)])
def test_split_and_join_are_exact_inverses(rows, cols, side):
    x = np.random.default_rng(0).normal(size=(3, rows * side, cols * side, 3)).astype(np.float32)
    tiles = split_tiles(x, side)
    assert tiles.shape == (3 * rows * cols, side, side, 3)
    np.testing.assert_array_equal(
        tiles[1], x[0, :side, side : 2 * side] if cols > 1 else x[0, side : 2 * side]
    )
    np.testing.assert_array_equal(join_tiles(tiles, rows=rows, cols=cols), x)


def test_each_tile_is_translated_on_its_own_and_put_back():
    out = Combo(Numbered(), 2, rows=2, cols=2)(np.zeros((2, 4, 4, 3), np.float32)).numpy()[..., 0]
    first = np.array([[0, 0, 1, 1]] * 2 + [[2, 2, 3, 3]] * 2)
    np.testing.assert_array_equal(out, [first, first + 4])


def test_combo_equals_the_generator_on_each_tile():
    generator = Generator(GeneratorConfig((4,), 1, 4))
    rng = np.random.default_rng(0)
    generator.set_weights([rng.normal(size=w.shape, scale=0.3) for w in generator.get_weights()])
    x = rng.uniform(-1, 1, (1, 32, 32, 3)).astype(np.float32)
    out = Combo(generator, 16)(x).numpy()
    np.testing.assert_allclose(out[:, 16:, :16], generator(x[:, 16:, :16]), atol=1e-5)
    moved = Combo(generator, 16)(x, phase=(-8, 4)).numpy()
    np.testing.assert_allclose(moved[:, 8:, 20:], generator(x[:, 8:, 20:]), atol=1e-5)
    many = Combo(generator, 8, rows=4, cols=4)(x, phase=(4, -4)).numpy()
    np.testing.assert_allclose(many[:, 12:20, 4:12], generator(x[:, 12:20, 4:12]), atol=1e-5)
    assert np.abs(out - generator(x).numpy()).max() > 1e-3  # bare tiles do not see across the join


def test_gradients_reach_the_generator_through_both_ways():
    generator = Generator(GeneratorConfig((4,), 0, 4))
    combo, x = Combo(generator, 8), tf.ones([1, 16, 16, 3]) * 0.3
    for phase in (None, (-4, 4)):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(combo(x, phase=phase))
        gradient = tape.gradient(loss, generator.network.get_layer("rgb").kernel.value)
        assert np.abs(gradient).max() > 0


def test_reloads():
    combo = Combo(Generator(GeneratorConfig((4,), 0, 4)), 8, rows=1, cols=3)
    twin = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(combo))
    assert (twin.tile_px, twin.rows, twin.cols) == (8, 1, 3)
    assert twin.generator.config == combo.generator.config


def test_all_tiles_of_a_crop_share_its_context():
    generator = Generator(GeneratorConfig((4,), 1, 4, context_size=2, thumbnail_px=16))
    rng = np.random.default_rng(0)
    generator.set_weights([rng.normal(size=w.shape, scale=0.3) for w in generator.get_weights()])
    combo = Combo(generator, 8, rows=2, cols=1)
    x = rng.uniform(-1, 1, (2, 16, 8, 3)).astype(np.float32)
    context = tf.constant([[1.0, -1.0], [-0.5, 0.3]])
    for phase, cut in ((None, 8), ((4, 0), 12)):
        out = combo(x, context=context, phase=phase).numpy()
        np.testing.assert_allclose(out[:, :cut], generator(x[:, :cut], context=context), atol=1e-5)
        np.testing.assert_allclose(out[:, cut:], generator(x[:, cut:], context=context), atol=1e-5)
        assert np.abs(out - combo(x, context=context[::-1], phase=phase)).max() > 1e-3
