"""The training procedure in one process: strategies, precisions, alarms, what lands in the run folder."""

import json
import math

import numpy as np
import pytest
import tensorflow as tf

from gan_hd import training
from gan_hd.config import apply_overrides
from gan_hd.training import Intervals

EVERY = Intervals(log=2, sample=4, checkpoint=2)


@pytest.fixture
def train(noise_folder, tmp_path, smoke):
    content, style = noise_folder("content"), noise_folder("style", seed=1)

    def run(*overrides, **options):
        options = {
            "steps": 4,
            "precision": "float32",
            "strategy": "none",
            "intervals": EVERY,
            "run_dir": str(tmp_path / "run"),
        } | options
        return training.train(
            apply_overrides(smoke, list(overrides)), content_dir=content, style_dir=style, **options
        )

    return run


def test_the_run_folder_holds_what_it_promises(train, tmp_path):
    outcome = train("combo.random_phase=true")
    assert (outcome.step, outcome.skipped, outcome.signal_number, outcome.broken) == (4, {}, None, None)
    run = tmp_path / "run"
    lines = [json.loads(line) for line in (run / "logs/train.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4] and lines[1]["images_seen"] == 16
    from gan_hd.gan import METRICS

    assert set(METRICS) < set(lines[0]) and all(math.isfinite(v) for v in lines[0].values())
    assert [p.name for p in (run / "samples").iterdir()] == ["step_0000004.png"]
    assert list((run / "logs").glob("events.*")) and (run / "config.json").exists()
    assert outcome.saved_model == run / "saved_model" and (run / "saved_model/metadata.json").exists()
    from gan_hd import pictures

    assert pictures.read_rgb(run / "samples/step_0000004.png").shape == (5 * 64, 4 * 64, 3)


def test_a_new_run_is_told_where_both_networks_come_from(train, monkeypatch):
    def start_from(gan, model, *, discriminator_from):
        raise ValueError(f"G of {model}, D of {discriminator_from}")  # ends it before the first, slow step

    monkeypatch.setattr(training, "start_from", start_from)
    with pytest.raises(ValueError, match="G of one, D of other"):
        train(init_from="one", discriminator_from="other")


def test_more_steps_continue_and_fewer_only_export(train):
    assert train(steps=2).step == 2
    assert train(steps=4).step == 4
    assert train(steps=3).step == 4  # nothing to do, nothing lost


@pytest.mark.parametrize(
    ("precision", "strategy"),
    [
        ("mixed_bfloat16", "none"),
        ("mixed_float16", "none"),
        ("float32", "mirrored"),
        ("mixed_float16", "mirrored"),
    ],
)
def test_precisions_and_strategies_train_under_fit(train, precision, strategy):
    outcome = train("losses.rotations=1", precision=precision, strategy=strategy)
    assert outcome.step == 4 and not outcome.broken


def test_nan_stops_with_an_alarm_and_keeps_the_last_good_checkpoint(train, tmp_path, capsys):
    train(steps=2)
    outcome = train(
        "train.generator_lr=1e20",
        "train.discriminator_lr=1e20",
        steps=40,
        run_dir=str(tmp_path / "hot"),
        intervals=Intervals(log=4, sample=100, checkpoint=3),
    )
    assert outcome.broken and outcome.step < 40 and outcome.saved_model is None
    assert "NaN" in capsys.readouterr().err
    # Checkpoints between the lines of the log must not hold the broken weights either.
    for checkpoint in (tmp_path / "hot/ckpt").glob("*.index"):
        reader = tf.train.load_checkpoint(str(checkpoint.with_suffix("")))
        for name in reader.get_variable_to_shape_map():
            if name.startswith(("generator", "discriminator")):
                assert np.isfinite(reader.get_tensor(name)).all(), (checkpoint, name)


def test_a_silent_discriminator_ends_the_training_and_is_not_saved(train, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("gan_hd.callbacks.HealthAlarms.GRACE_STEPS", 4)
    monkeypatch.setattr("gan_hd.callbacks.HealthAlarms.SILENCE", 1e6)  # any length is silence
    outcome = train(
        steps=40, run_dir=str(tmp_path / "silent"), intervals=Intervals(log=3, sample=100, checkpoint=2)
    )
    assert outcome.broken == "D fell silent" and outcome.step == 6 and outcome.saved_model is None
    assert "--init_from" in capsys.readouterr().err
    assert tf.train.latest_checkpoint(tmp_path / "silent/ckpt").endswith("-4")


@pytest.mark.parametrize(
    ("options", "overrides", "named"),
    [
        ({"strategy": "mirrored"}, ["train.batch_size=5"], "--batch_size"),
        ({"strategy": "mirrored"}, ["losses.rotations=3"], "rotations"),
        ({"jit_compile": True}, ["combo.random_phase=true"], "--jit_compile"),
        ({"content_dir": None}, [], "--content_dir"),
    ],
)
def test_what_cannot_work_is_named_before_anything_is_written(train, tmp_path, options, overrides, named):
    if "content_dir" in options:
        (tmp_path / "content").rename(tmp_path / "gone")
        options = {}
    with pytest.raises(ValueError, match=named):
        train(*overrides, **options)
    assert not (tmp_path / "run").exists()


def test_the_seed_decides_the_run(train, tmp_path):
    from gan_hd.translator import Translator

    outputs = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        folder = train(f"train.seed={seed}", run_dir=str(tmp_path / name)).saved_model
        outputs.append(Translator(folder).predict(np.full((1, 16, 16, 3), 0.3, np.float32)))
    np.testing.assert_array_equal(outputs[0], outputs[1])
    assert not np.array_equal(outputs[0], outputs[2])
