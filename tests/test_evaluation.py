import dataclasses
import math

import numpy as np
import pytest

from gan_hd import gap
from gan_hd.evaluation import Evaluation, Settings
from gan_hd.metrics import style
from gan_hd.metrics.style import DISTANCES
from gan_hd.report import alarms

SMALL = Settings(crops=24, crop_px=64, feature_crops=150, resamples=0)


def _picture(seed, *, cells, colour, shape=(96, 128)):
    """Blocks of a size and a colour of their own: a texture with a scale and a palette."""
    rng = np.random.default_rng(seed)
    coarse = rng.normal(size=(-(-shape[0] // cells), -(-shape[1] // cells), 3)) * 25 + colour
    blocks = np.kron(coarse, np.ones((cells, cells, 1)))[: shape[0], : shape[1]]
    return np.clip(blocks + rng.normal(size=(*shape, 1)) * 4, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def photos():
    return [_picture(k, cells=16, colour=[90, 120, 170]) for k in range(6)]


@pytest.fixture(scope="module")
def paintings():
    return [_picture(100 + k, cells=4, colour=[170, 140, 60]) for k in range(10)]


@pytest.fixture(scope="module")
def evaluated(photos, paintings):
    return Evaluation(photos, paintings, settings=SMALL)


def _paint(photo):
    """The style exactly, and nothing of the photograph."""
    return _picture(int(photo[0, 0, 0]) + 1000, cells=4, colour=[170, 140, 60], shape=photo.shape[:2])


def test_photographs_have_closed_nothing_and_paintings_everything(evaluated):
    untouched, painted = evaluated.report(lambda photo: photo), evaluated.report(_paint)
    for name in DISTANCES:
        assert untouched.distances[name].gap_closed == pytest.approx(0, abs=1e-9), name
        assert untouched.distances[name].value == untouched.distances[name].start
        assert painted.distances[name].gap_closed > 0.8, name
    assert untouched.tones == pytest.approx(1) and abs(painted.tones) < 0.5
    assert untouched.edges == pytest.approx((1, 1, 1)) and untouched.colour_difference == 0
    assert max(painted.edges) < 0.5 and painted.colour_difference > 20


def test_a_constant_is_farther_away_than_the_photographs_and_has_no_rank(evaluated):
    report = evaluated.report(lambda photo: np.zeros_like(photo) + photo.mean(axis=(0, 1)).astype(np.uint8))
    for name in ("swd", "channel_w1", "spectrum"):
        assert report.distances[name].gap_closed < 0, name
    assert report.effective_rank < 0.05
    assert "one answer to everything" in alarms({"constant": report})[0]
    assert report.edges == (0, 0, 0)


def test_half_the_way_is_about_half(evaluated):
    def recoloured(photo):
        return np.clip(photo.astype(float) + [40, 10, -55], 0, 255).astype(np.uint8)

    distances = evaluated.report(recoloured).distances
    assert 0.3 < distances["channel_w1"].gap_closed < 0.7
    assert distances["swd_64px"].gap_closed < 0.1  # the fine texture is the photographs' still


def test_copies_are_found(evaluated, paintings):
    order = iter(range(100))

    def copy(photo):
        return paintings[next(order) % len(paintings)]

    assert evaluated.report(copy).copy_rate > 0.2 > evaluated.report(lambda photo: photo).copy_rate


def test_the_truth_gives_a_paired_error(photos, paintings):
    truths = [photo // 2 for photo in photos]
    with_truths = Evaluation(photos, paintings, settings=SMALL, truths=truths)
    assert with_truths.report(lambda photo: photo // 2).paired_error == 0
    assert with_truths.report(lambda photo: photo // 2 + 3).paired_error == pytest.approx(3, rel=1e-4)


def test_intervals_hold_the_figure(photos, paintings):
    settings = Settings(crops=12, crop_px=64, feature_crops=60, resamples=12)
    distance = Evaluation(photos, paintings, settings=settings).report(_paint).distances["swd"]
    low, high = distance.interval
    assert low < distance.gap_closed < high < low + 0.6


def test_more_halvings_make_the_figure_depend_less_on_chance(photos):
    """Paintings of two palettes: which half has more of either decides the colour figures."""
    palettes = [_picture(200 + k, cells=4, colour=[[170, 140, 60], [60, 60, 50]][k % 2]) for k in range(8)]

    def spread(halvings):
        gaps = []
        for seed in range(4):
            settings = Settings(
                crops=4, crop_px=64, feature_crops=20, halvings=halvings, resamples=0, seed=seed
            )
            distances = Evaluation(photos, palettes, settings=settings).report(_paint).distances
            gaps.append(distances["channel_w1"].gap_closed)
        return np.std(gaps)

    assert spread(4) < spread(1) / 2


def test_a_figure_is_that_of_the_mean_distances(photos, paintings):
    twice = Evaluation(photos, paintings, settings=dataclasses.replace(SMALL, halvings=2))
    parts = []
    for reference, others in twice._halvings:
        reference, others = map(twice._style.resampled, (reference, others))
        parts.append(style.distances([twice._start, others, twice._start], reference, seed=SMALL.seed)["swd"])
    distance = twice.report(lambda photo: photo).distances["swd"]
    assert parts[0] != parts[1]
    assert (distance.value, distance.floor, distance.start) == pytest.approx(tuple(np.mean(parts, axis=0)))


def test_a_resample_of_the_same_pictures_measures_the_same(evaluated):
    start = evaluated._start
    again = start.resampled(np.unique(start.pictures))
    same = style.distances([again], evaluated._reference, seed=0)
    assert same == style.distances([start], evaluated._reference, seed=0)
    doubled = start.resampled(np.repeat(np.unique(start.pictures), 2))
    assert style._kid(doubled, evaluated._reference) == pytest.approx(
        style._kid(start, evaluated._reference), rel=1e-5
    )


def test_the_same_seed_gives_the_same_figures(evaluated, photos, paintings):
    again = Evaluation(photos, paintings, settings=SMALL).report(_paint)
    assert repr(again) == repr(evaluated.report(_paint))  # nan is not equal to nan


def test_where_the_start_is_at_the_floor_there_is_no_gap():
    assert math.isnan(gap.gaps_closed({"swd": (1.0, 0.5, 0.5)})["swd"])
    assert gap.gaps_closed({"swd": (0.6, 0.5, 0.9)})["swd"] == pytest.approx(0.75)


def test_an_interval_stands_where_a_resample_has_no_gap():
    """Deviations of 1 − (value − floor)/(start − floor) around the plain distances, by hand."""
    plain, resamples = (
        {"swd": (0.6, 0.5, 0.9)},
        [{"swd": (0.7, 0.8, 0.8)}, {"swd": (0.5, 0.5, 0.9)}, {"swd": (0.6, 0.4, 1.0)}],
    )
    distance = gap.on_scale(plain, resamples)["swd"]
    by_hand = 1.96 * np.std(
        [(0.25 * s + 0.75 * f - v) / 0.4 for v, f, s in (r["swd"] for r in resamples)], ddof=1
    )
    assert distance.interval == pytest.approx((0.75 - by_hand, 0.75 + by_hand))
    assert math.isnan(gap.on_scale(plain, resamples[:1])["swd"].interval[0])
    assert math.isnan(gap.on_scale({"swd": (0.6, 0.9, 0.9)}, resamples)["swd"].interval[0])


def test_progress_counts_every_picture(photos, paintings):
    seen, painted = [], []
    evaluated = Evaluation(photos, paintings, settings=SMALL, progress=lambda: seen.append(1))
    assert len(seen) == len(photos) + len(paintings)
    evaluated.report(lambda photo: photo, painted=lambda: painted.append(1))
    assert len(painted) == len(photos)


def test_bad_input_is_named(photos, paintings, evaluated):
    with pytest.raises(ValueError, match="four paintings"):
        Evaluation(photos, paintings[:3], settings=SMALL)
    with pytest.raises(ValueError, match="must be 64 px at least. Received: 128x60"):
        Evaluation([photos[0][:60]], paintings, settings=SMALL)
    with pytest.raises(ValueError, match="a truth of its own size"):
        Evaluation(photos, paintings, settings=SMALL, truths=photos[:2])
    with pytest.raises(ValueError, match="a painter must give uint8"):
        evaluated.report(lambda photo: photo[:-1])
    with pytest.raises(ValueError, match="Received: 0"):
        Settings(crops=0)
    with pytest.raises(ValueError, match="halvings must be 1"):
        Settings(halvings=0)
