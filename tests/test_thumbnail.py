import numpy as np
import pytest
import tensorflow as tf

from gan_hd import thumbnail


@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 7), (16, 16), (37, 90), (200, 33)])
def test_each_cell_is_the_mean_of_its_pixels(height, width):
    picture = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    found = thumbnail.thumbnail(picture, 16)
    for i in range(16):
        for j in range(16):
            top, left = i * height // 16, j * width // 16
            bottom, right = max(top + 1, (i + 1) * height // 16), max(left + 1, (j + 1) * width // 16)
            mean = picture[top:bottom, left:right].mean(axis=(0, 1))
            np.testing.assert_allclose(found[i, j], mean / 127.5 - 1, atol=1e-6)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (5, 300), (300, 5), (129, 257)])
def test_numpy_bands_and_tensors_agree_bit_for_bit(height, width):
    picture = np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)
    whole = thumbnail.thumbnail(picture, 32)
    graph = tf.function(
        lambda pixels: thumbnail.of_tensor(pixels, 32),
        input_signature=[tf.TensorSpec([None, None, 3], tf.uint8)],
    )
    np.testing.assert_array_equal(graph(picture), whole)
    np.testing.assert_array_equal(thumbnail.of_tensor(tf.constant(picture), 32), whole)


def test_sixteen_bits_give_the_same_thumbnail():
    picture = np.random.default_rng(2).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    np.testing.assert_allclose(
        thumbnail.thumbnail(picture.astype(np.uint16) * 257, 16), thumbnail.thumbnail(picture, 16), atol=1e-6
    )
