import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from gan_hd.config import DiscriminatorConfig
from gan_hd.layers import Gate
from gan_hd.models.discriminator import Discriminator

RNG = np.random.default_rng(0)
CONFIG = DiscriminatorConfig(widths=(4, 8), latent_size=6)


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("spectral_norm", [False, True])
@pytest.mark.parametrize(("head", "scales"), [("plain", 1), ("plain", 2), ("gated", 1), ("gated", 2)])
def test_crops_become_float32_vectors_and_the_model_reloads(tmp_path, dtype, spectral_norm, head, scales):
    config = DiscriminatorConfig(
        widths=(4, 8), latent_size=6, spectral_norm=spectral_norm, head=head, scales=scales
    )
    model = Discriminator(config, crop_px=(16, 24), dtype=dtype)
    x = np.random.default_rng(0).uniform(-1, 1, (3, 16, 24, 3)).astype(np.float32)
    z = model(x)
    assert z.shape == (3, 6) and z.dtype == tf.float32
    model.save(tmp_path / "d.keras")
    np.testing.assert_array_equal(keras.saving.load_model(tmp_path / "d.keras")(x), z)


def test_it_is_one_network_for_all_crops():
    model = Discriminator(CONFIG, crop_px=(16, 16))
    x = np.random.default_rng(0).uniform(-1, 1, (2, 16, 16, 3)).astype(np.float32)
    np.testing.assert_allclose(model(x)[:1], model(x[:1]), atol=1e-6)


def test_crops_that_do_not_halve_are_refused():
    with pytest.raises(ValueError, match="multiples of 4"):
        Discriminator(CONFIG, crop_px=(18, 16))
    with pytest.raises(ValueError, match="multiples of 8"):
        Discriminator(dataclasses.replace(CONFIG, scales=2), crop_px=(20, 16))
    with pytest.raises(ValueError, match="at least 1"):
        Discriminator(dataclasses.replace(CONFIG, scales=0), crop_px=(16, 16))


def test_scales_add_patches_of_the_halved_crop_and_no_weight():
    keras.utils.set_random_seed(0)
    one, two = (
        Discriminator(DiscriminatorConfig(widths=(4, 8, 8), latent_size=6, scales=n), crop_px=(16, 32))
        for n in (1, 2)
    )
    assert [v.path.split("/", 1)[1] for v in one.variables] == [
        v.path.split("/", 1)[1] for v in two.variables
    ]
    two.set_weights(one.get_weights())
    halved = Discriminator(DiscriminatorConfig(widths=(4, 8, 8), latent_size=6), crop_px=(8, 16))
    for layer in halved.layers:
        if layer.name != "latent" and layer.weights:
            layer.set_weights(one.get_layer(layer.name).get_weights())
    x = RNG.uniform(-1, 1, (3, 16, 32, 3)).astype(np.float32)
    half = tf.nn.avg_pool2d(x, 2, 2, "VALID")
    lengths = [tf.norm(z, axis=-1).numpy() for z in (one(x), halved(half), two(x))]
    scores = [
        np.select([length < 1, length < 2], [1 - 1 / length, length - 1], np.exp(length - 2))
        for length in lengths
    ]  # the gate's inverse
    np.testing.assert_allclose(scores[2], scores[0] + scores[1], rtol=1e-4, atol=1e-5)
    directions = [z / length[:, None] for z, length in ((one(x), lengths[0]), (two(x), lengths[2]))]
    np.testing.assert_allclose(*directions, atol=1e-5)  # what is in the crop is told by the crop itself


def test_pooled_is_a_mean_over_places_and_has_no_size():
    pooled = Discriminator(dataclasses.replace(CONFIG, pooled=True), crop_px=(16, 24))
    other = Discriminator(dataclasses.replace(CONFIG, pooled=True), crop_px=(32, 16))
    assert [w.shape for w in pooled.get_weights()] == [w.shape for w in other.get_weights()]
    flat = Discriminator(CONFIG, crop_px=(16, 24))
    for layer in flat.layers:
        if layer.weights:
            layer_weights = pooled.get_layer(layer.name).get_weights()
            if layer.name == "latent":  # 4x6 places, each with the pooled kernel over their number
                layer_weights[0] = np.tile(layer_weights[0], (24, 1)) / 24
            layer.set_weights(layer_weights)
    x = RNG.uniform(-1, 1, (3, 16, 24, 3)).astype(np.float32)
    np.testing.assert_allclose(pooled(x), flat(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("score_is", "length"), [(9.0, 4.1972), (1.0, 2.0), (0.5, 1.5), (0.0, 1.0), (-3.0, 0.25)]
)
def test_the_gated_length_follows_from_the_patch_scores(score_is, length):
    model = Discriminator(CONFIG, crop_px=(16, 16))
    x = RNG.uniform(-1, 1, (2, 16, 16, 3)).astype(np.float32)
    score = model.get_layer("score2")
    score.set_weights([np.zeros_like(score.kernel), np.array([score_is])])
    np.testing.assert_allclose(np.linalg.norm(model(x), axis=-1), length, rtol=1e-4)


def test_the_gate_is_smooth_and_leaves_no_score_without_a_gradient():
    gate, x = Gate(), tf.ones([1, 4])
    scores = tf.constant([-100.0, -1e-3, 1e-3, 1 - 1e-3, 1 + 1e-3, 100.0])[:, None]
    with tf.GradientTape() as tape:
        tape.watch(scores)
        squares = tf.reduce_sum(tf.square(gate(tf.repeat(x, 6, axis=0), scores)), axis=-1)
    slopes = tape.gradient(squares, scores).numpy()[:, 0]
    assert (slopes > 1e-7).all()
    np.testing.assert_allclose([slopes[1], slopes[3]], [slopes[2], slopes[4]], rtol=0.01)
    assert slopes[5] < slopes[4] / 10  # of one translation that is far too bad
