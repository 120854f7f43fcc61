import keras
import numpy as np
import pytest
import tensorflow as tf

from gan_hd import layers

RNG = np.random.default_rng(0)


def _conv(**options):
    layer = layers.Conv(5, **options)
    layer.build((None, None, None, 3))
    layer.set_weights([RNG.normal(size=w.shape).astype(np.float32) for w in layer.get_weights()])
    return layer


@pytest.mark.parametrize(("kernel_size", "stride"), [(1, 1), (3, 1), (5, 1), (4, 2), (2, 2)])
def test_conv_equals_a_plain_convolution_of_the_replicated_picture(kernel_size, stride):
    layer = _conv(kernel_size=kernel_size, stride=stride)
    x = RNG.normal(size=(2, 8, 6, 3)).astype(np.float32)
    margin = (kernel_size - stride) // 2
    padded = np.pad(x, [(0, 0), (margin, margin), (margin, margin), (0, 0)], "edge")
    expected = tf.nn.conv2d(padded, layer.kernel.value, stride, "VALID") + layer.bias.value
    np.testing.assert_allclose(layer(x), expected, atol=1e-5)
    assert layer(x).shape == layer.compute_output_shape(x.shape) == (2, 8 // stride, 6 // stride, 5)


def test_zero_padding_equals_same():
    layer = _conv(kernel_size=3, padding="zero")
    x = RNG.normal(size=(1, 6, 6, 3)).astype(np.float32)
    expected = tf.nn.conv2d(x, layer.kernel.value, 1, "SAME") + layer.bias.value
    np.testing.assert_allclose(layer(x), expected, atol=1e-5)


def test_odd_paddings_are_refused():
    with pytest.raises(ValueError, match="must be even"):
        layers.Conv(3, 3, stride=2)
    with pytest.raises(ValueError, match="padding"):
        layers.Conv(3, padding="reflect")


@pytest.mark.parametrize("make", [lambda **o: layers.Conv(5, **o), lambda **o: layers.Dense(5, **o)])
@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_spectral_norm_converges_to_one_and_leaves_the_kernel_alone(make, dtype):
    layer = make(spectral_norm=True, dtype=dtype)
    x = tf.ones([2, 8, 8, 3]) if isinstance(layer, layers.Conv) else tf.ones([2, 3])
    layer(x)
    # Bits that bfloat16 cannot hold must survive.
    kernel = (RNG.normal(size=layer.kernel.shape) + 1e-5).astype(np.float32)
    layer.kernel.assign(kernel)
    for _ in range(50):
        used = layer.used_kernel(training=True)
    assert np.array_equal(layer.kernel.numpy(), kernel)
    sigma = np.linalg.svd(np.asarray(used, np.float32).reshape(-1, 5), compute_uv=False)[0]
    assert sigma == pytest.approx(1, abs=0.02)
    before = layer.u.numpy()
    layer.used_kernel(training=False)
    assert np.array_equal(layer.u.numpy(), before)


def test_spectral_norm_is_differentiated_through_sigma():
    layer = layers.Dense(1, spectral_norm=True)
    layer.build((None, 2))
    layer.kernel.assign([[3.0], [4.0]])
    layer.u.assign([[1.0]])
    with tf.GradientTape() as tape:
        out = tf.reduce_sum(layer.used_kernel(training=False) * [[1.0], [0.0]])
    # d/dW of w₁/‖W‖ at (3, 4): (1/5 − 9/125, −12/125)
    np.testing.assert_allclose(
        tape.gradient(out, layer.kernel.value), [[0.2 - 9 / 125], [-12 / 125]], rtol=1e-4
    )


def test_upsample_repeats_and_space_to_depth_keeps_every_value():
    x = RNG.normal(size=(1, 2, 3, 2)).astype(np.float32)
    np.testing.assert_array_equal(layers.Upsample()(x), x.repeat(2, 1).repeat(2, 2))
    y = RNG.normal(size=(1, 4, 6, 3)).astype(np.float32)
    np.testing.assert_array_equal(tf.nn.depth_to_space(layers.SpaceToDepth()(y), 2), y)


def test_identity_start():
    x = np.linspace(-1, 1, 12, dtype=np.float32).reshape(1, 2, 2, 3)
    np.testing.assert_allclose(layers.IdentityStart()(x, np.zeros_like(x)), 0.97 * x, atol=1e-6)
    assert np.all(layers.IdentityStart()(x, np.ones_like(x)).numpy() > 0.97 * x)


def test_what_is_added_to_the_picture_is_bounded_and_never_without_a_gradient():
    x = tf.constant([-1.0, 0.0, 1.0])[:, None, None, None] * tf.ones([3, 1, 1, 3])
    for h in (-50.0, 50.0):
        added = tf.fill([3, 1, 1, 3], h)
        with tf.GradientTape() as tape:
            tape.watch(added)
            y = layers.IdentityStart(bounded=True)(x, added)
        assert (np.diff(y[:, 0, 0, 0]) > 1e-3).all()  # darker stays darker
        far = 0 if h > 0 else 2  # what it moves the farthest
        assert 0.5 < abs(float(y[far, 0, 0, 0])) < 0.73
        assert (np.abs(tape.gradient(y, added)) > 1e-7).all()


@pytest.mark.parametrize(
    "layer",
    [
        layers.Conv(4, 4, stride=2, padding="zero", spectral_norm=True),
        layers.Dense(4, spectral_norm=True),
        layers.SpaceToDepth(),
        layers.Upsample(),
    ],
)
def test_layers_survive_their_config(layer):
    twin = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(twin) is type(layer) and twin.get_config() == layer.get_config()


@pytest.mark.parametrize(
    ("margin", "size"), [(1, (5, 4)), (1, (1, 3)), (1, (2, 1)), (2, (6, 5)), (2, (1, 4))]
)
def test_replicated_borders_and_their_gradient(margin, size):
    x = tf.constant(RNG.normal(size=(2, *size, 3)).astype(np.float32))
    pads = [(0, 0), (margin, margin), (margin, margin), (0, 0)]
    weights = RNG.normal(size=np.pad(x, pads).shape).astype(np.float32)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layers.replicated(x, margin)
        total = tf.reduce_sum(y * weights)
    np.testing.assert_array_equal(y, np.pad(x, pads, "edge"))
    # Each pixel's gradient is the sum over its copies: found by asking which pixel each copy is of.
    numbers = np.pad(np.arange(size[0] * size[1]).reshape(size), margin, "edge").ravel()
    expected = np.zeros((2, size[0] * size[1], 3), np.float32)
    np.add.at(expected, (slice(None), numbers), weights.reshape(2, -1, 3))
    np.testing.assert_allclose(tape.gradient(total, x), expected.reshape(x.shape), atol=1e-5)


def test_replicated_borders_where_the_sides_are_not_known():
    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3])])
    def gradient(x):
        return tf.gradients(tf.square(layers.replicated(x, 1)), x)[0]

    x = RNG.normal(size=(2, 4, 5, 3)).astype(np.float32)
    copies = (
        np.ones((1, 4, 5, 1)) * np.array([2, 1, 1, 2])[:, None, None] * np.array([2, 1, 1, 1, 2])[:, None]
    )
    np.testing.assert_allclose(gradient(x), 2 * x * copies, rtol=1e-5)


def _levels(*shape):
    return RNG.integers(0, 256, shape).astype(np.float32) / 127.5 - 1.0


def test_noise_of_cells_is_white():
    noise = layers.CellNoise(8, 3)(_levels(1, 512, 512, 3)).numpy()[0]
    assert noise.shape == (64, 64, 3) and np.abs(noise).max() <= 3**0.5
    assert abs(noise.mean()) < 0.05 and abs(noise.std() - 1) < 0.05
    neighbours = [(noise[1:] * noise[:-1]).mean(), (noise[:, 1:] * noise[:, :-1]).mean()]
    channels = np.corrcoef(noise.reshape(-1, 3).T)[np.triu_indices(3, 1)]
    assert np.abs([*neighbours, *channels]).max() < 0.08


def test_noise_of_cells_depends_on_their_own_pixels_alone():
    layer = layers.CellNoise(4, 2)
    x = _levels(1, 32, 48, 3)
    whole = layer(x).numpy()
    np.testing.assert_array_equal(layer(x[:, 8:24, 12:44]), whole[:, 2:6, 3:11])
    np.testing.assert_array_equal(layer(x + np.float32(1e-6)), whole)  # rounding of a runtime
    x[0, 9, 13, 1] += np.float32(np.where(x[0, 9, 13, 1] < 0, 1, -1) / 127.5)  # one level
    rows, columns = np.nonzero((layer(x).numpy() != whole).any(-1)[0])
    assert (rows.tolist(), columns.tolist()) == ([2], [3])
    flat = layer(np.full((1, 16, 16, 3), 0.2, np.float32)).numpy()
    assert len(np.unique(flat[..., 0])) == 1


def test_noise_of_cells_is_the_same_whoever_computes_it():
    layer = layers.CellNoise(8, 4)
    x = _levels(1, 64, 64, 3)
    np.testing.assert_allclose(tf.function(layer, jit_compile=True)(x), layer(x), atol=1e-6)
