import numpy as np
import pytest

from gan_hd.metrics.wasserstein import sliced_w1, unit_vectors, w1


def _rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize(("n", "m"), [(1, 1), (1, 7), (5, 5), (6, 4), (13, 8), (100, 33)])
def test_w1_is_the_integral_between_the_quantile_functions(n, m):
    """Against the definition, by repeating every point until the samples have the same size."""
    first, second = _rng(n).normal(size=(n, 3)), _rng(m + 50).normal(1, 2, size=(m, 3))
    repeated = np.sort(np.repeat(first, m, axis=0), axis=0), np.sort(np.repeat(second, n, axis=0), axis=0)
    expected = np.abs(repeated[0] - repeated[1]).mean(axis=0)
    np.testing.assert_allclose(w1(first, second), expected, rtol=1e-12)
    np.testing.assert_allclose(w1(second, first), expected, rtol=1e-12)


def test_a_shift_is_its_length_and_equal_samples_are_nothing():
    points = _rng().normal(size=(40, 2))
    np.testing.assert_allclose(w1(points, points[::-1]), 0, atol=0)
    np.testing.assert_allclose(w1(points, points + [3, -0.5]), [3, 0.5], rtol=1e-12)
    # The order of points and their number do not matter, their distribution does.
    np.testing.assert_allclose(w1(points, np.concatenate([points, points])), 0, atol=1e-12)


def test_two_normal_distributions_have_the_known_distance():
    """W1 between N(0, 1) and N(0, s²) is |s − 1|·E|z|, E|z| = √(2/π)."""
    first, second = _rng(1).normal(size=(200_000, 1)), 3 * _rng(2).normal(size=(150_000, 1))
    assert w1(first, second)[0] == pytest.approx(2 * np.sqrt(2 / np.pi), rel=0.02)


def test_a_shift_in_three_dimensions_is_half_its_length_on_average():
    """The mean of |cos| over the sphere in three dimensions is 1/2."""
    points = _rng().normal(size=(50, 3)).astype(np.float32)
    shift = np.array([0.6, 0, 0.8], np.float32) * 5
    assert sliced_w1(points, points + shift, directions=20_000) == pytest.approx(2.5, rel=0.02)


def test_directions_are_unit_vectors_and_follow_from_the_seed():
    vectors = unit_vectors(5, 300, seed=3)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=0), 1, rtol=1e-6)
    np.testing.assert_array_equal(vectors, unit_vectors(5, 300, seed=3))
    assert np.abs(vectors - unit_vectors(5, 300, seed=4)).max() > 0.1
    assert np.abs(vectors.mean(axis=1)).max() < 0.15


@pytest.mark.parametrize("shapes", [((0, 2), (3, 2)), ((3, 2), (3, 4)), ((3,), (3,))])
def test_bad_samples_are_refused(shapes):
    with pytest.raises(ValueError, match="Received"):
        w1(*map(np.zeros, shapes))
