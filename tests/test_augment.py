import numpy as np
import pytest
import tensorflow as tf

from gan_hd.augment import moved_and_cut


def _by_hand(crop, draw, reach):
    """Move, then cut, pixel by pixel."""
    h, w, _ = crop.shape
    y_most, x_most = int(reach * h), int(reach * w)
    dy, dx = int(draw[0] * (2 * y_most + 1)) - y_most, int(draw[1] * (2 * x_most + 1)) - x_most

    def mirrored(place, side):
        return -place if place < 0 else 2 * (side - 1) - place if place >= side else place

    out = np.zeros_like(crop)
    for y in range(h):
        for x in range(w):
            if abs(y - draw[2] * h) >= reach * h or abs(x - draw[3] * w) >= reach * w:
                out[y, x] = crop[mirrored(y + dy, h), mirrored(x + dx, w)]
    return out


@pytest.mark.parametrize("reach", [0.125, 0.3, 0.5])
def test_crops_are_moved_and_cut_as_by_hand(reach):
    rng = np.random.default_rng(0)
    crops = rng.uniform(-1, 1, (6, 8, 12, 3)).astype(np.float32)
    draws = rng.uniform(0, 1, (6, 4)).astype(np.float32)
    draws[0], draws[1] = 0, 0.9999
    found = moved_and_cut(tf.constant(crops), tf.constant(draws), reach=reach).numpy()
    for crop, draw, mine in zip(crops, draws, found, strict=True):
        np.testing.assert_array_equal(mine, _by_hand(crop, draw, reach))
    assert len({mine.tobytes() for mine in found}) == 6


def test_gradients_come_back_from_what_is_seen_alone():
    crops = tf.Variable(tf.ones([1, 8, 8, 3]))
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(moved_and_cut(crops, tf.constant([[0.5, 0.5, 0.5, 0.5]]), reach=0.25))
    gradient = tape.gradient(total, crops).numpy()[0, ..., 0]
    assert gradient[4, 4] == 0 and gradient[0, 0] == 1 and gradient.sum() == float(total) / 3
