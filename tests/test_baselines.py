"""CycleGAN and CUT of benchmarks/baselines: losses by hand, single steps, a training from folders to a translation."""

import dataclasses
import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from benchmarks.baselines import adversarial, cut, cyclegan, training
from gan_hd.config import PRESETS, apply_overrides
from gan_hd.models.generator import Generator
from gan_hd.thumbnail import Whole
from gan_hd.translator import Translator


@pytest.fixture
def config():
    """Without the identity start, whose zero kernel keeps a first step from most weights."""
    return apply_overrides(
        PRESETS["smoke"],
        [
            "generator.context_size=0",
            "generator.scale_range_px=[]",
            "generator.identity_start=false",
            "train.batch_size=2",
        ],
    )


def _crops(config, seed=0):
    rng = np.random.default_rng(seed)
    shape = (config.train.batch_size, *config.crop_px, 3)
    return tuple(tf.constant(rng.uniform(-1, 1, shape), tf.float32) for _ in range(2))


# === Losses ===


def test_least_squares_by_hand():
    real, fake = tf.constant([[1.0], [0.5]]), tf.constant([[0.0], [2.0]])
    assert adversarial.least_squares(fake, target=1.0).numpy() == pytest.approx((1 + 1) / 2)
    expected = 0.5 * ((0 + 0.25) / 2 + (0 + 4) / 2)
    assert adversarial.discriminator_loss(real, fake).numpy() == pytest.approx(expected)


def test_patch_nce_is_a_cross_entropy_over_the_places_of_one_image():
    rng = np.random.default_rng(0)
    queries, keys = rng.normal(size=(2, 3, 5, 4)).astype(np.float32)
    tau, total = 0.3, 0.0
    for image in range(3):
        for place in range(5):
            shares = [math.exp(queries[image, place] @ keys[image, other] / tau) for other in range(5)]
            total -= math.log(shares[place] / sum(shares))
    found = cut.patch_nce(tf.constant(queries), tf.constant(keys), temperature=tau)
    assert found.numpy() == pytest.approx(total / 15, rel=1e-5)


def test_patch_nce_teaches_queries_only_and_knows_what_is_right():
    eye = tf.constant(np.eye(6, dtype=np.float32)[None])
    assert cut.patch_nce(eye, eye).numpy() < 1e-4
    assert cut.patch_nce(eye, tf.roll(eye, 1, axis=1)).numpy() > 10
    with tf.GradientTape() as tape:
        tape.watch(eye)
        loss = cut.patch_nce(tf.ones([1, 6, 6]), eye)
    assert tape.gradient(loss, eye) is None


def test_patches_are_of_the_same_places_in_all_images_and_none_comes_twice():
    places = tf.reshape(tf.range(2 * 5 * 4, dtype=tf.float32), [2, 5, 4, 1])
    seed = tf.constant([3, 4], tf.int64)
    taken = cut.take_patches(places, seed=seed, count=7).numpy()[..., 0]
    np.testing.assert_array_equal(taken[1] - taken[0], 20)
    assert len(set(taken[0])) == 7 and set(taken[0]) <= set(range(20))
    assert sorted(cut.take_patches(places, seed=seed, count=99).numpy()[0, :, 0]) == list(range(20))
    assert list(cut.take_patches(places, seed=seed + 1, count=7).numpy()[0, :, 0]) != list(taken[0])


# === Networks ===


def test_a_score_sees_70_pixels():
    discriminator = adversarial.patch_discriminator(width=2)
    sees = 1
    for layer in reversed(discriminator.layers):
        if isinstance(layer, keras.layers.Conv2D):
            sees = (sees - 1) * layer.strides[0] + layer.kernel_size[0]
    assert sees == 70
    scores = adversarial.patch_discriminator(width=2, dtype="mixed_bfloat16")(tf.zeros([2, 64, 32, 3]))
    assert scores.shape == (2, 8, 4, 1) and scores.dtype == tf.float32


def test_features_are_the_generators_own(config):
    generator = Generator(config.generator)
    model = cut.feature_model(generator)
    picture = tf.constant(np.random.default_rng(0).uniform(-1, 1, (1, 32, 48, 3)), tf.float32)
    *features, translation = model(picture)
    np.testing.assert_array_equal(features[0], picture)
    np.testing.assert_allclose(translation, generator(picture), atol=1e-6)
    areas = [feature.shape[1] * feature.shape[2] for feature in features]
    assert len(features) == len(config.generator.widths) + 2  # pixels, one per scale, after the blocks
    assert areas == sorted(areas, reverse=True) and areas[-1] < areas[1] < areas[0]


# === Steps ===


@pytest.mark.parametrize("method", training.METHODS)
@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_one_step_changes_all_weights(config, method, dtype):
    model = training.METHODS[method](config, dtype=dtype)
    trained = [*model.g_variables, *model.d_variables]
    assert len(trained) > 20
    before = [variable.numpy() for variable in (*trained, *model.ema_generator.variables)]
    # As the pipeline gives them: with what there is to tell of their pictures.
    model.train_step(tuple((crops, Whole(crops[:, :16, :16])) for crops in _crops(config)))
    after = (*trained, *model.ema_generator.variables)
    same = [v.path for v, old in zip(after, before, strict=True) if np.array_equal(v.numpy(), old)]
    assert not same
    assert model.step.numpy() == 1
    assert all(np.isfinite(mean.result().numpy()) for mean in model.means.values())


def test_float16_lowers_its_loss_scale_until_a_step_is_taken(config):
    model = cut.CUT(config, dtype="mixed_float16")
    before = [variable.numpy() for variable in model.g_variables]
    step = tf.function(model.train_step)
    for _ in range(20):
        step(_crops(config))
        after = [variable.numpy() for variable in model.g_variables]
        if not all(np.array_equal(old, new) for old, new in zip(before, after, strict=True)):
            break
    else:
        pytest.fail("every step overflowed")
    assert all(np.isfinite(array).all() for array in after)


def test_cyclegan_adds_up_its_terms(config):
    model = cyclegan.CycleGAN(config)
    a, b = _crops(config)
    g_loss, d_loss, terms = model.objectives(a, b)
    forth, back = (lambda x: model.generator(x).numpy()), (lambda x: model.back(x).numpy())

    def difference(x, y):
        return np.abs(x - y).mean()

    cycle = difference(back(forth(a)), a) + difference(forth(back(b)), b)
    identity = difference(forth(b), b) + difference(back(a), a)
    scores = model.style_discriminator(forth(a)).numpy(), model.content_discriminator(back(b)).numpy()
    fooled = sum(((score - 1) ** 2).mean() for score in scores)
    assert g_loss.numpy() == pytest.approx(fooled + 10 * cycle + 5 * identity, rel=1e-4)
    own = model.style_discriminator(b).numpy(), model.content_discriminator(a).numpy()
    expected = sum(0.5 * (((o - 1) ** 2).mean() + (s**2).mean()) for o, s in zip(own, scores, strict=True))
    assert d_loss.numpy() == pytest.approx(expected, rel=1e-4)
    assert terms["cycle"].numpy() == pytest.approx(cycle, rel=1e-4)


def test_cut_contrasts_each_translation_with_its_own_source(config):
    model = cut.CUT(config)
    a, b = _crops(config)
    g_loss, _, terms = model.objectives(a, b)
    expected = []
    for source in (a, b):
        both = [model.encoder(x) for x in (model.generator(source), source)]
        found = []
        for layer, head in enumerate(model.heads):
            seed = tf.random.experimental.stateless_fold_in(tf.constant([0, 0], tf.int64), layer)
            queries, keys = (head(cut.take_patches(x[layer], seed=seed)) for x in both)
            found.append(cut.patch_nce(queries, keys).numpy())
        expected.append(np.mean(found))
    assert [terms["nce"].numpy(), terms["nce_identity"].numpy()] == pytest.approx(expected, rel=1e-3)
    fooled = ((model.discriminator(model.generator(a)).numpy() - 1) ** 2).mean()
    assert g_loss.numpy() == pytest.approx(fooled + np.mean(expected), rel=1e-3)


# === From folders to a translation ===


@pytest.mark.slow
@pytest.mark.parametrize("method", training.METHODS)
def test_trains_resumes_exactly_and_translates_an_odd_size(smoke, method, noise_folder, tmp_path):
    folders = {"content_dir": noise_folder("a"), "style_dir": noise_folder("b", seed=1)}

    def train(run_dir, steps):
        return training.train(
            method, smoke, **folders, run_dir=tmp_path / run_dir, steps=steps, precision="float32"
        )

    assert train("stopped", 1).saved_model == tmp_path / "stopped" / "saved_model"
    resumed, straight = train("stopped", 3), train("straight", 3)
    picture = np.random.default_rng(0).integers(0, 256, (45, 77, 3), dtype=np.uint8)
    models = [Translator(outcome.saved_model) for outcome in (resumed, straight)]
    first, second = (model.translate(picture) for model in models)
    assert first.shape == picture.shape and np.any(first != picture)
    np.testing.assert_array_equal(first, second)
    assert models[0].metadata["step"] == 3 and method in models[0].metadata["description"]
    log = (tmp_path / "straight" / "logs" / "train.jsonl").read_text()
    assert '"step": 3' in log and '"g_loss"' in log
    assert (tmp_path / "straight" / "samples" / "step_0000003.png").is_file()
    other = dataclasses.replace(smoke, train=dataclasses.replace(smoke.train, seed=5))
    with pytest.raises(training.BaselineError, match="other settings"):
        training.train(method, other, **folders, run_dir=str(tmp_path / "straight"), steps=4)
