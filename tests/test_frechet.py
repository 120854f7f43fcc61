"""The Fréchet distance against normal distributions whose distance is known."""

import numpy as np
import pytest

from gan_hd.metrics.frechet import frechet_distance


def _rng(seed=0):
    return np.random.default_rng(seed)


def _exactly(mean, covariance, *, n=400, seed=0):
    """Points whose sample mean and covariance are these, not only on average."""
    points = _rng(seed).normal(size=(n, len(mean)))
    points -= points.mean(axis=0)
    whitened = points @ np.linalg.inv(np.linalg.cholesky(np.cov(points.T))).T
    return whitened @ np.linalg.cholesky(covariance).T + mean


def _covariance(d, seed):
    factor = _rng(seed).normal(size=(d, d))
    return factor @ factor.T + 0.1 * np.eye(d)


def test_equal_sets_are_at_no_distance():
    points = _rng().normal(size=(50, 6))
    assert frechet_distance(points, points) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(points, points[::-1]) == pytest.approx(0, abs=1e-9)


def test_a_shift_is_its_squared_length():
    points = _rng().normal(size=(300, 4))
    assert frechet_distance(points + [3, 0, 4, 0], points) == pytest.approx(25, rel=1e-9)


def test_deviations_along_the_axes_differ_by_their_squares():
    """tr(C₁ + C₂ − 2(C₁C₂)^½) = Σ(σ₁ − σ₂)² where the covariances commute; sets of unequal sizes."""
    first = _exactly(np.zeros(3), np.diag([1.0, 4.0, 9.0]), n=200)
    second = _exactly(np.array([0, 0, 2.0]), np.diag([4.0, 1.0, 0.25]), n=90, seed=1)
    assert frechet_distance(first, second) == pytest.approx(1 + 1 + 2.5**2 + 4, rel=1e-9)


def test_any_covariances_against_the_root_of_their_product():
    means = [np.array([1.0, -1, 0, 2, 0]), np.zeros(5)]
    covariances = [_covariance(5, 3), _covariance(5, 4)]
    values, vectors = np.linalg.eig(covariances[0] @ covariances[1])
    root = (vectors * np.sqrt(values)) @ np.linalg.inv(vectors)
    expected = 6 + np.trace(covariances[0] + covariances[1] - 2 * root).real
    sets = [_exactly(m, c, seed=k) for k, (m, c) in enumerate(zip(means, covariances, strict=True))]
    assert frechet_distance(*sets) == pytest.approx(expected, rel=1e-8)


def test_fewer_points_than_features():
    """Three points on a line in 50 dimensions against the same line, stretched: (2σ − σ)²."""
    direction = np.eye(50)[7]
    points = np.array([-1.0, 0, 1])[:, None] * direction
    assert frechet_distance(2 * points, points) == pytest.approx(1, rel=1e-9)


@pytest.mark.parametrize("shapes", [((1, 3), (4, 3)), ((4, 3), (4, 2)), ((4,), (4, 2))])
def test_bad_sets_are_refused(shapes):
    with pytest.raises(ValueError, match="Received"):
        frechet_distance(*map(np.zeros, shapes))
