import numpy as np
import pytest

from gan_hd.metrics import features
from gan_hd.metrics.features import FEATURES, RandomFeatures, standardised
from gan_hd.metrics.kid import kernels, kid


def _points(n, d=8, *, seed=0, shift=0.0):
    return np.random.default_rng(seed).normal(shift, 1, (n, d))


def _textures(n, *, seed=0, cells=16, gain=0.3, shift=0.0):
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(n, cells, cells, 3)) * gain + shift
    return np.kron(noise, np.ones((1, 64 // cells, 64 // cells, 1))).astype(np.float32)


# --- the distance -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "m"), [(2, 2), (5, 9), (12, 4)])
def test_against_a_double_loop(n, m):
    x, y = _points(n), _points(m, seed=1, shift=0.5)

    def kernel(a, b):
        return (np.dot(a, b) / len(a) + 1) ** 3

    same = [np.mean([kernel(a, b) for a in s for b in s if a is not b]) for s in (list(x), list(y))]
    between = np.mean([kernel(a, b) for a in x for b in y])
    assert kid(x, y) == pytest.approx(sum(same) - 2 * between, rel=1e-9)


def test_samples_of_one_distribution_are_at_no_distance_on_average():
    """Of unequal sizes, too: the biased estimator would be larger by several deviations here."""
    distances = [kid(_points(20, seed=2 * k), _points(35, seed=2 * k + 1)) for k in range(300)]
    assert abs(np.mean(distances)) < 3 * np.std(distances) / np.sqrt(300)
    assert min(distances) < 0


def test_a_shift_has_the_known_distance():
    """E (x·y/d + 1)³ of independent x ~ N(a, I), y ~ N(b, I), from the moments of normal variables."""
    d, shift = 8, 0.5

    def expected(a, b):  # both means have equal coordinates
        ab, aa, bb = d * a * b, d * a * a, d * b * b
        z1, z2 = ab / d, (d + aa + bb + ab**2) / d**2
        z3 = (ab**3 + 3 * ab * aa + 3 * ab * (d + bb + 2)) / d**3
        return 1 + 3 * z1 + 3 * z2 + z3

    truth = expected(0, 0) + expected(shift, shift) - 2 * expected(0, shift)
    distances = [kid(_points(2000, d, seed=k), _points(1500, d, seed=k + 50, shift=shift)) for k in range(12)]
    assert np.mean(distances) == pytest.approx(truth, rel=0.05)


def test_taking_points_several_times_is_no_likeness():
    x, y = _points(6), _points(7, seed=1)
    matrices = kernels(x, y)
    assert matrices.distance(np.ones(6), np.ones(7)) == pytest.approx(kid(x, y), rel=1e-12)
    assert matrices.distance(np.full(6, 2), np.full(7, 5)) == pytest.approx(kid(x, y), rel=1e-12)
    chosen = matrices.distance(np.array([1, 1, 0, 0, 1, 1]), None)
    assert chosen == pytest.approx(kid(x[[0, 1, 4, 5]], y), rel=1e-12)


@pytest.mark.parametrize("shapes", [((1, 3), (4, 3)), ((4, 3), (4, 2)), ((4,), (4, 2))])
def test_bad_sets_are_refused(shapes):
    with pytest.raises(ValueError, match="Received"):
        kid(*map(np.zeros, shapes))


# --- the features -----------------------------------------------------------------------------------------------


def test_features_are_a_function_of_the_seed_and_each_crop_alone():
    crops = _textures(3)
    vectors = RandomFeatures()(crops)
    assert vectors.shape == (3, FEATURES) and vectors.dtype == np.float32 and np.isfinite(vectors).all()
    np.testing.assert_allclose(RandomFeatures()(crops[1:2])[0], vectors[1], rtol=1e-4, atol=1e-5)
    assert np.abs(RandomFeatures(seed=1)(crops) - vectors).max() > 0.1


def test_the_first_layer_is_a_convolution_with_the_filters():
    """The answer of one 11x11 filter on a crop of 64 px, by hand."""
    crop = _textures(1)
    filters = RandomFeatures()._first[2]
    answers = [
        max(0.0, float((crop[0, y : y + 11, x : x + 11] * filters[..., 0]).sum()))
        for y in range(54)
        for x in range(54)
    ]
    vector = RandomFeatures()(crop)[0]
    assert np.isclose(vector, np.mean(answers), rtol=1e-3).any()
    assert np.isclose(vector, np.std(answers), rtol=1e-3).any()


def test_textures_are_told_apart_better_than_samples_of_one():
    bank = RandomFeatures()
    reference = bank(_textures(60))

    def distance(crops):
        return kid(*(standardised(v, reference=reference) for v in (bank(crops), reference)))

    floor = abs(distance(_textures(40, seed=5)))
    for other in ({"cells": 32}, {"cells": 8}, {"gain": 0.2}, {"shift": 0.1}):
        assert distance(_textures(40, seed=5, **other)) > 20 * max(floor, 1e-3), other


def test_standardised_takes_the_reference_sets_measure():
    reference, sample = _points(50, 3) * [1, 3, 6], _points(5, 3, seed=1) + 7
    np.testing.assert_allclose(standardised(reference, reference=reference).std(axis=0), 1, rtol=1e-9)
    expected = (sample - reference.mean(axis=0)) / reference.std(axis=0)
    np.testing.assert_allclose(standardised(sample, reference=reference), expected, rtol=1e-9)
    silent = np.concatenate([reference, np.full((50, 1), 2.0)], axis=1)
    answers = np.concatenate([sample, np.full((5, 1), 3.0)], axis=1)
    median = np.median([*reference.std(axis=0), 0])
    assert standardised(answers, reference=silent)[0, -1] == pytest.approx(1 / (0.1 * median))
    still = np.zeros((5, 2))
    assert np.isfinite(standardised(still, reference=still)).all()


@pytest.mark.parametrize("shape", [(2, 63, 64, 3), (64, 64, 3)])
def test_bad_crops_are_refused(shape):
    with pytest.raises(ValueError, match="Received"):
        features.RandomFeatures()(np.zeros(shape, np.float32))
