"""The rule of the best generator, and what is kept of it."""

import dataclasses
import json
import math

import numpy as np
import pytest

from gan_hd.best import BestKeeper, score
from gan_hd.evaluation import Report
from gan_hd.export import ExportError, load_run
from gan_hd.gan import SiameseGAN
from gan_hd.gap import Distance


def _report(kid, swd, *, edges=0.7, tones=0.8):
    gaps = {"kid": kid, "swd": swd, "spectrum": 1.0}
    distances = {name: Distance(0, 0, 1, gap, (math.nan, math.nan)) for name, gap in gaps.items()}
    return Report(distances, (edges + 0.1, edges, edges - 0.1), tones, 10.0, None, 0.9, 0.01)


@pytest.fixture
def gan(smoke):
    return SiameseGAN(smoke)


def _keeper(gan, tmp_path, watched="the same pictures"):
    return BestKeeper(tmp_path / "best", gan, watched=watched)


def _offers(gan, keeper, reports):
    kept = []
    for step, report in reports:
        gan.step.assign(step)
        for weight in gan.ema_generator.variables:
            weight.assign(np.full(weight.shape, step, np.float32))
        kept.append(keeper.offer(report))
    return kept


def test_the_score_is_the_mean_of_the_headlines():
    assert score(_report(0.8, 0.4)) == pytest.approx(0.6)
    assert math.isnan(score(_report(math.nan, 0.4)))


def test_the_highest_score_with_enough_edges_is_kept(gan, tmp_path, smoke):
    kept = _offers(
        gan,
        _keeper(gan, tmp_path),
        [
            (10, _report(math.nan, 0.9)),  # no gap: no score
            (20, _report(0.9, 0.9, edges=0.49)),  # another picture
            (25, _report(0.9, 0.9, tones=0.49)),  # partly its negative
            (30, _report(0.2, 0.4)),
            (40, _report(0.5, 0.3, edges=0.5)),
            (50, _report(0.4, 0.4)),  # equal: the first stays
            (60, _report(0.3, 0.1)),
        ],
    )
    assert kept == [False, False, False, True, True, False, False]
    about = json.loads((tmp_path / "best/best.json").read_text())
    assert (about["step"], about["edges"]) == (40, pytest.approx(0.5)) and about["score"] == pytest.approx(
        0.4
    )
    assert len(list((tmp_path / "best").glob("*.index"))) == 1
    from gan_hd import config as config_lib

    (tmp_path / "config.json").write_text(config_lib.to_json(smoke))
    generator, _, step = load_run(tmp_path, which="best")
    assert step == 40 and all((weight.numpy() == 40).all() for weight in generator.variables)


def test_a_later_process_has_the_same_score_to_beat_and_other_pictures_begin_anew(gan, tmp_path):
    assert _offers(gan, _keeper(gan, tmp_path), [(10, _report(0.6, 0.6))]) == [True]
    assert _offers(gan, _keeper(gan, tmp_path), [(20, _report(0.5, 0.6))]) == [False]
    assert _offers(gan, _keeper(gan, tmp_path, "others"), [(30, _report(0.1, 0.1))]) == [True]


def test_where_no_evaluation_met_the_rule_export_says_so(gan, tmp_path, smoke):
    from gan_hd import config as config_lib

    (tmp_path / "config.json").write_text(config_lib.to_json(smoke))
    _offers(gan, _keeper(gan, tmp_path), [(10, dataclasses.replace(_report(0.9, 0.9), edges=(0, 0, 0)))])
    with pytest.raises(ExportError, match="no evaluation has met the rule"):
        load_run(tmp_path, which="best")
