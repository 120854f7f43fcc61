"""Inception's resizing and weights, and the figures made of any features."""

import math

import keras
import numpy as np
import pytest

from gan_hd.evaluation import Evaluation, Settings
from gan_hd.inception_scores import InceptionScores, artfid
from gan_hd.metrics import inception
from gan_hd.metrics.inception import Inception, WeightsMissingError


def _colours(crops):
    """Features that anybody can compute: mean and deviation of each channel."""
    values = crops.astype(np.float64)
    return np.concatenate([values.mean(axis=(1, 2)), values.std(axis=(1, 2))], axis=1)


def _picture(seed, colour, *, shape=(96, 128)):
    return np.clip(np.random.default_rng(seed).normal(colour, 20, (*shape, 3)), 0, 255).astype(np.uint8)


PHOTOS = [_picture(k, [80, 110, 160 + 4 * k]) for k in range(4)]
PAINTINGS = [_picture(50 + k, [170 + 3 * k, 140, 60]) for k in range(8)]


def _scores(**options):
    options = {"crops": 64, "crop_px": 64, "resamples": 0} | options
    return InceptionScores(PHOTOS, PAINTINGS, _colours, **options)


# --- resizing ---------------------------------------------------------------------------------------------------


def test_a_constant_stays_and_a_ramp_is_not_rounded():
    flat = np.full((1, 64, 64, 3), [10, 200, 255], np.uint8)
    np.testing.assert_allclose(inception.resized(flat), np.full((1, 299, 299, 3), [10, 200, 255]), atol=1e-3)
    ramp = np.repeat(np.arange(128, dtype=np.uint8)[None, None, :, None], 128, axis=1).repeat(3, axis=3)
    found = inception.resized(ramp)[0, 150, 50:250, 1]
    expected = (np.arange(50, 250) + 0.5) * 128 / 299 - 0.5  # pixel centres
    np.testing.assert_allclose(found, expected, atol=0.01)


def test_shrinking_averages_instead_of_picking():
    """Stripes of one pixel, four times too fine for 299 px: grey, where a filter of fixed width gives beats."""
    stripes = np.zeros((1, 1196, 1196, 3), np.uint8)
    stripes[:, :, ::2] = 255
    assert np.abs(inception.resized(stripes)[0, 20:-20, 20:-20] - 127.5).max() < 2


def test_what_overshoots_is_clipped():
    edge = np.zeros((1, 100, 100, 3), np.uint8)
    edge[:, :, 50:] = 255
    found = inception.resized(edge)
    assert found.min() == 0 and found.max() == 255


# --- weights ----------------------------------------------------------------------------------------------------


def test_missing_and_wrong_weights_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    with pytest.raises(WeightsMissingError, match="models/inception_v3_weights"):
        Inception()
    wrong = tmp_path / "wrong.h5"
    wrong.write_text("no weights")
    with pytest.raises(WeightsMissingError, match="wrong.h5 holds no weights"):
        Inception(wrong)


@pytest.mark.slow
def test_the_network_reads_its_weights_from_a_file(tmp_path):
    keras.utils.set_random_seed(0)
    network = keras.applications.InceptionV3(include_top=False, weights=None, pooling="avg")
    network.save_weights(tmp_path / "some.weights.h5")
    crops = np.stack([PHOTOS[0][:64, :64], PAINTINGS[0][:64, :64]])
    found = Inception(tmp_path / "some.weights.h5")(crops)
    assert found.shape == (2, inception.FEATURES) and found.dtype == np.float32
    expected = network(inception.resized(crops) / 127.5 - 1, training=False).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


# --- figures ----------------------------------------------------------------------------------------------------


def test_photographs_have_closed_nothing_and_paintings_everything():
    scores = _scores()
    untouched = scores.distances(PHOTOS)
    painted = scores.distances([_picture(200 + k, [180, 140, 60]) for k in range(4)])
    constant = scores.distances([np.full_like(photo, 128) for photo in PHOTOS])
    for name in ("fid", "inception_kid"):
        assert untouched[name].gap_closed == pytest.approx(0, abs=1e-9)
        assert untouched[name].value == untouched[name].start > untouched[name].floor
        assert painted[name].gap_closed > 0.9 > constant[name].gap_closed
        assert math.isnan(painted[name].interval[0])


def test_intervals_hold_the_figure_and_the_seed_decides():
    distances = [_scores(resamples=12).distances(PAINTINGS[:4]) for _ in range(2)]
    assert repr(distances[0]) == repr(distances[1])
    low, high = distances[0]["fid"].interval
    assert low < distances[0]["fid"].gap_closed < high


def test_artfid_counts_lost_content_and_distance():
    assert artfid(0, (1, 1, 1)) == 1
    assert artfid(9, (1, 1, 1)) == 10
    assert artfid(9, (0.6, 0.5, 0.4)) == 15
    assert artfid(9, (-0.2, 0, 0)) == 20  # nothing is left; less is not possible


def test_a_report_takes_them_and_prefers_a_painting_to_the_photograph_and_to_a_constant():
    seen = []
    scores = _scores(progress=lambda: seen.append(1))
    assert len(seen) == len(PHOTOS) + len(PAINTINGS)
    evaluation = Evaluation(PHOTOS, PAINTINGS, settings=Settings(crops=8, crop_px=64, resamples=0))

    def measured(painter):
        return scores.added_to(evaluation.report(painter), [painter(photo) for photo in PHOTOS])

    def painting(photo):  # the photograph's structure in the paintings' colours
        return np.clip(
            photo.astype(int) - photo.mean(axis=(0, 1), dtype=int) + [180, 140, 60], 0, 255
        ).astype(np.uint8)

    reports = [measured(p) for p in (painting, lambda photo: photo, lambda photo: np.full_like(photo, 128))]
    assert reports[0].inception["fid"].gap_closed > 0.8
    assert reports[0].artfid < min(reports[1].artfid, reports[2].artfid)
