"""Each loss against numbers worked by hand; float32, bfloat16 and float16; zero vectors."""

import numpy as np
import pytest
import tensorflow as tf

from gan_hd import losses

DTYPES = [tf.float32, tf.bfloat16, tf.float16]
# Lengths 5 and 13: exact in every dtype.
Z = [[3.0, 4.0], [5.0, 12.0]]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (lambda z: losses.style_realism(z), (25 + 169) / 2),
        (lambda z: losses.translation_realism(z), (25 + 169) / 2),
        (lambda z: losses.translation_margin(z, margin=7.0), (4 + 0) / 2),
        (lambda z: losses.anti_collapse(z, margin=7.0), (4 + 0) / 2),
        (lambda z: losses.travel(z, tf.zeros_like(z)), (25 + 169) / 2),
        (lambda z: losses.content_cosine(z, 2 * z), -1.0),
        (lambda z: losses.content_cosine(z, -z), 1.0),
        # (3,4)·(−4,3) = 0, (5,12)·(−12,5) = 0
        (lambda z: losses.content_cosine(z, tf.stack([-z[:, 1], z[:, 0]], 1)), 0.0),
        (
            lambda z: losses.lecam(z, z, mean_b=tf.constant(5.0), mean_ab=tf.constant(13.0)),
            (64 + 0) / 2 + (0 + 64) / 2,
        ),
    ],
)
def test_values_worked_by_hand(loss, expected, dtype):
    value = loss(tf.constant(Z, dtype))
    assert value.dtype == tf.float32
    np.testing.assert_allclose(value, expected, rtol=1e-6, atol=1e-6)


def test_cosine_agrees_with_keras():
    import keras

    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 6, 8)).astype(np.float32)
    np.testing.assert_allclose(losses.content_cosine(a, b), keras.losses.CosineSimilarity()(a, b), rtol=1e-5)


def test_pairs_are_all_rotations():
    z = tf.constant([[1.0], [2.0], [4.0]])
    assert losses.pair_differences(z).numpy().ravel().tolist() == [-3, 1, 2]
    assert losses.pair_differences(z, rotations=2).numpy().ravel().tolist() == [-3, 1, 2, -1, -2, 3]


def test_identity_and_gradient_penalty():
    b = tf.zeros([1, 2, 2, 3])
    assert float(losses.identity(b, b + 0.5)) == pytest.approx(0.5)
    assert float(losses.gradient_penalty(tf.ones([2, 2, 2, 3]))) == pytest.approx(0.5 * 12)


def _painted(seed):
    """Marks: the mean of each cell of 16 px is 0."""
    cells = 0.2 * np.random.default_rng(seed).normal(size=(2, 2, 16, 3, 16, 3))
    return tf.constant((cells - cells.mean(axis=(2, 4), keepdims=True)).reshape(2, 32, 48, 3), tf.float32)


def test_seams_are_where_marks_are_not_how_strong():
    y = _painted(0)
    assert float(losses.seam(y, y)) == pytest.approx(0, abs=1e-5)
    assert float(losses.seam(0.3 * y, y)) == pytest.approx(0, abs=0.01)
    assert float(losses.seam(-y, y)) == pytest.approx(2, abs=0.02)
    assert float(losses.seam(_painted(1), y)) == pytest.approx(1, abs=0.05)
    other = _painted(1)
    third = tf.where(tf.range(48)[:, None] < 16, y, other)
    assert float(losses.seam(third, y)) == pytest.approx(2 / 3, abs=0.05)


def test_seams_of_areas_without_marks():
    plain, painted = tf.fill([1, 16, 16, 3], 0.4), _painted(0)[:1, :16, :16]
    assert float(losses.seam(plain, plain)) == pytest.approx(0, abs=1e-6)
    assert float(losses.seam(plain, plain - 64 / 255)) == pytest.approx(1, abs=1e-5)  # a step of 32 levels
    assert float(losses.seam(plain * 0, painted)) > 0.9  # nothing is gained by leaving a tile bare
    assert float(losses.seam(plain[:, :4, :8], plain[:, :4, :8])) == pytest.approx(
        0, abs=1e-6
    )  # below a cell


def test_fading_a_tile_does_not_pay_seams_back():
    """Along the contrast of the marks the slope is none, where a difference of pixels falls as they fade."""
    y, noise = _painted(0), _painted(1)
    x = y + noise  # half of it cannot be known from the tile
    strength = tf.Variable(1.0)

    def slope(loss):
        with tf.GradientTape() as tape:
            value = loss(strength * x, y)
        return float(tape.gradient(value, strength))

    assert abs(slope(losses.seam)) < 0.01
    assert slope(lambda x, y: tf.reduce_mean(tf.abs(x - y))) > 0.05


def test_seams_have_a_finite_gradient_where_nothing_is_painted():
    x = tf.Variable(tf.fill([1, 16, 16, 3], 0.4))
    with tf.GradientTape() as tape:
        value = losses.seam(x, _painted(0)[:1, :16, :16])
    assert np.isfinite(tape.gradient(value, x)).all()


def _blocks(seed=0):
    """Crops of 8x8-px blocks, one random colour each: what tones() looks at is the blocks themselves."""
    cells = np.random.default_rng(seed).uniform(-0.4, 0.4, (3, 4, 2, 3)).astype(np.float32)
    return cells, tf.constant(cells.repeat(8, axis=1).repeat(8, axis=2))


def _tones(a, ab):
    return losses.tones(a, ab, cell_px=8)


def _opponent(rgb):
    luma = rgb @ [0.299, 0.587, 0.114]
    return np.stack([luma, rgb[..., 2] - luma, rgb[..., 0] - luma], axis=-1)


def test_tones_are_one_minus_the_correlation_over_the_batch():
    cells_a, a = _blocks()
    cells_ab, ab = _blocks(seed=1)
    first, second = (_opponent(cells).reshape(-1, 3) for cells in (cells_a, cells_ab))
    expected = [np.corrcoef(first[:, k], second[:, k])[0, 1] for k in range(3)]
    assert float(_tones(a, ab)) == pytest.approx(1 - np.mean(expected), abs=1e-4)


def test_tones_take_any_palette_and_no_negative():
    _, a = _blocks()
    luma = tf.constant(_opponent(a.numpy())[..., :1], tf.float32)
    warmer = luma * 0.5 + (a - luma) * 1.5 + [0.2, 0.1, -0.3]
    assert float(_tones(a, warmer)) == pytest.approx(0, abs=1e-4)
    assert float(_tones(a, -a)) == pytest.approx(2, abs=1e-4)
    assert float(_tones(a, luma - (a - luma))) == pytest.approx(4 / 3, abs=1e-4)  # blue for orange
    fine = np.random.default_rng(2).choice([-0.2, 0.2], (3, 4, 8, 2, 8, 3)).astype(np.float32)
    fine -= fine.mean(axis=(2, 4), keepdims=True)  # strokes that leave the mean of each cell as it is
    assert float(_tones(a, a + fine.reshape(a.shape))) == pytest.approx(0, abs=1e-4)


def test_tones_of_larger_cells_leave_smaller_marks_free():
    a = 4 * _blocks()[1]  # blocks of 8 px, of so much contrast that ε does not count
    marked = a + tf.constant([1.2, -1.2], tf.float32)[tf.newaxis, tf.newaxis, :, tf.newaxis].numpy().repeat(
        8, axis=2
    )
    values = [float(losses.tones(a, marked, cell_px=side)) for side in (8, 16)]
    assert values[0] > 0.05 and values[1] == pytest.approx(0, abs=1e-4)


def test_tones_know_a_dark_crop_from_a_light_one():
    """Crops of one colour have no tones within; the batch has."""
    shades = tf.reshape(tf.constant([-0.5, 0.0, 0.5]), [3, 1, 1, 1]) * tf.ones([3, 16, 16, 3])
    shades = shades * [1.0, 0.8, 0.5]
    assert float(_tones(shades, shades)) == pytest.approx(0, abs=1e-4)
    assert float(_tones(shades, tf.reverse(shades, [0]))) == pytest.approx(2, abs=1e-4)


def test_tones_of_one_colour_have_a_finite_gradient():
    _, a = _blocks()
    flat = tf.zeros_like(a)
    with tf.GradientTape() as tape:
        tape.watch(flat)
        value = _tones(a, flat)
    assert float(value) == pytest.approx(1)
    gradient = tape.gradient(value, flat).numpy()
    assert np.isfinite(gradient).all() and np.abs(gradient).max() > 0


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "loss",
    [
        losses.style_realism,
        losses.translation_realism,
        lambda z: losses.translation_margin(z, margin=2.0),
        lambda z: losses.content_cosine(losses.pair_differences(z), losses.pair_differences(z)),
        lambda z: losses.travel(z, z),
        lambda z: losses.anti_collapse(z, margin=1.0),
        lambda z: losses.lecam(z, z, mean_b=tf.constant(1.0), mean_ab=tf.constant(1.0)),
        losses.effective_rank,
    ],
)
def test_zero_vectors_have_finite_values_and_gradients(loss, dtype):
    z = tf.zeros([4, 8], dtype)
    with tf.GradientTape() as tape:
        tape.watch(z)
        value = loss(z)
    assert np.isfinite(value)
    assert np.isfinite(tape.gradient(value, z).numpy().astype(np.float32)).all()


def test_effective_rank_counts_directions():
    assert float(losses.effective_rank(tf.eye(5))) == pytest.approx(5)
    line = tf.constant([[1.0, 2.0], [2.0, 4.0], [-3.0, -6.0]])
    assert float(losses.effective_rank(line)) == pytest.approx(1, rel=1e-5)
