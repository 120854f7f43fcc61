"""Grain in areas of one colour: what it is, and that all who paint agree on it."""

import numpy as np
import pytest
import tensorflow as tf

from gan_hd import pixels
from gan_hd.config import PRESETS, apply_overrides
from gan_hd.export import export_generator
from gan_hd.grain import tensor_with_grain, with_grain
from gan_hd.layers import CellNoise
from gan_hd.models.generator import Generator
from gan_hd.translator import Translator

ROWS = np.arange(256)


def _levels(window, colour):
    return np.rint((window - colour) * 127.5).astype(int)


@pytest.mark.parametrize("colour", [-1.0, 0.25, 1.0])
def test_grain_is_of_one_level_and_white(colour):
    flat = np.full((256, 256, 3), colour, np.float32)
    out = with_grain(flat, ROWS, ROWS, cell_px=8)
    assert out.dtype == np.float32
    levels = _levels(out, colour)
    inside = {-1.0: {0, 1}, 0.25: {-1, 0, 1}, 1.0: {-1, 0}}[colour]
    assert set(np.unique(levels)) == inside and np.abs(out).max() <= 1
    one = levels[..., 0] - levels[..., 0].mean()
    np.testing.assert_array_equal(levels, levels[..., :1].repeat(3, axis=-1))
    for dy in range(9):
        for dx in range(-8, 9):
            if (dy, dx) > (0, 0):
                moved = np.roll(one, (dy, dx), axis=(0, 1))
                assert abs((one * moved).mean() / (one * one).mean()) < 0.05, (dy, dx)
    noise = CellNoise(8, 2)(out[None]).numpy()
    assert noise.var(axis=(0, 1, 2)) == pytest.approx(1, abs=0.15)
    assert CellNoise(8, 2)(flat[None]).numpy().var(axis=(0, 1, 2)) == pytest.approx(0, abs=1e-6)


def test_only_cells_of_one_colour_get_it():
    window = np.zeros((16, 24, 3), np.float32)
    window[3, 4, 1] = 0.5  # the first cell has a mark
    out = with_grain(window, ROWS[:16], ROWS[:24], cell_px=8)
    np.testing.assert_array_equal(out[:8, :8], window[:8, :8])
    assert np.abs(out[8:]).max() > 0 and np.abs(out[:8, 8:]).max() > 0
    busy = np.random.default_rng(0).uniform(-1, 1, (16, 24, 3)).astype(np.float32)
    assert with_grain(busy, ROWS[:16], ROWS[:24], cell_px=8) is busy


@pytest.mark.parametrize("colour", [0, 1, 128, 255])
def test_integers_get_the_same_grain_as_floats(colour):
    window = np.random.default_rng(0).integers(0, 256, (32, 40, 3), dtype=np.uint8)
    window[8:24] = colour
    window[24:, 8:16] = window[24:, 8:9]  # rows of one colour each, no cell of one
    out = with_grain(window, ROWS[:32], ROWS[:40], cell_px=8)
    expected = with_grain(pixels.to_float(window), ROWS[:32], ROWS[:40], cell_px=8)
    assert out.dtype == np.uint8 and not np.array_equal(out, window)
    np.testing.assert_array_equal(out, pixels.to_integer(expected))
    np.testing.assert_array_equal(out[24:], window[24:])


def test_a_graph_gives_the_same():
    window = np.random.default_rng(0).uniform(-1, 1, (32, 40, 3)).astype(np.float32)
    window[8:24] = 0.5
    ys, xs = np.arange(32)[::-1] + 5000, np.arange(40) + 70000
    out = tensor_with_grain(
        tf.constant(window), tf.constant(ys, tf.int32), tf.constant(xs, tf.int32), cell_px=8
    )
    expected = with_grain(window, ys, xs, cell_px=8)
    np.testing.assert_allclose(out, expected, atol=1e-7)
    assert not np.array_equal(expected, window)


@pytest.fixture(scope="module", params=[0, 2])
def model(request, tmp_path_factory):
    """With random weights, without and with noise."""
    config = apply_overrides(PRESETS["smoke"], [f"generator.noise_channels={request.param}"])
    generator, rng = Generator(config.generator), np.random.default_rng(0)
    generator.set_weights([rng.normal(size=w.shape, scale=0.2) for w in generator.get_weights()])
    folder = tmp_path_factory.mktemp("grain") / "model"
    export_generator(generator, folder, config=config, step=1, serving_tile_px=32)
    return Translator(folder), bool(request.param)


def test_a_white_sky_is_painted_the_same_whatever_the_tile_and_whoever_paints(model):
    translator, noisy = model
    picture = np.random.default_rng(1).integers(0, 256, (90, 140, 3), dtype=np.uint8)
    picture[:70] = 255
    whole = translator.translate_whole(picture)
    middle = whole[30:40, 40:100].astype(int)  # nothing but white within reach
    assert (np.ptp(middle, axis=(0, 1)).max() > 10) == noisy
    for options in ({"tile_px": 32}, {"tile_px": 48, "origin": (8, 4)}):
        assert np.abs(translator.translate(picture, **options).astype(int) - whole).max() <= 1
    served = tf.saved_model.load(str(translator.folder)).signatures["translate"](pixels=tf.constant(picture))
    assert np.abs(served["pixels"].numpy().astype(int) - whole).max() <= 1
