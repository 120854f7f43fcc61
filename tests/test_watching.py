"""Evaluations while training: on which pictures, what they leave, and that they change nothing else."""

import json
import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from gan_hd import files, training, watching
from gan_hd.config import apply_overrides
from gan_hd.gan import SiameseGAN
from gan_hd.thumbnail import Whole
from gan_hd.training import Intervals

ROOT = Path(__file__).parent.parent


@pytest.fixture
def folders(noise_folder):
    """Style is darker and has less contrast: without a gap to close there is no score."""
    style = noise_folder("style", count=24, seed=1, size=(140, 100))
    for path in Path(style).iterdir():
        with PIL.Image.open(path) as picture:
            dark = picture.point(lambda value: value // 4)
        dark.save(path)
    return {"content_dir": noise_folder("content", count=12, size=(140, 100)), "style_dir": style}


def _config(smoke, *overrides):
    return apply_overrides(smoke, ["train.holdout=0.3", *overrides])


def _train(smoke, folders, run_dir, *, steps=4, evaluate=2, overrides=()):
    return training.train(
        _config(smoke, *overrides),
        **folders,
        run_dir=str(run_dir),
        steps=steps,
        precision="float32",
        strategy="none",
        intervals=Intervals(log=2, sample=100, checkpoint=2, evaluate=evaluate),
    )


def _lines(run_dir):
    lines = [json.loads(line) for line in (run_dir / "logs/evaluation.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "seconds"} for line in lines]


def _weights(run_dir):
    reader = tf.train.load_checkpoint(str(run_dir / "ckpt"))
    names = sorted(reader.get_variable_to_shape_map())
    return {name: reader.get_tensor(name) for name in names if name.startswith(("generator", "ema", "disc"))}


# --- the pictures -----------------------------------------------------------------------------------------------


def test_held_out_pictures_are_watched_and_not_trained_on(smoke, folders, tmp_path, monkeypatch, caplog):
    read, trained = [], []
    original = watching.pictures.read_rgb
    monkeypatch.setattr(
        watching.pictures,
        "read_rgb",
        lambda path, **options: read.append(Path(path)) or original(path, **options),
    )
    with caplog.at_level(logging.INFO):
        watched = watching.choose(_config(smoke), **folders, stride_px=8)
    for folder in folders.values():
        training_paths, held = files.held_out(files.find_pictures(folder), 0.3)
        assert held and set(held) <= set(read)
        trained += training_paths
    assert not set(trained) & set(read)
    assert "held out by --holdout=0.3" in caplog.text
    assert len(watched.regions) == len(watched.wholes) <= watching.PHOTOS
    assert len(watched.paintings) <= watching.PAINTINGS
    assert all(side % 8 == 0 for region in watched.regions for side in region.shape[:2])


def test_without_a_holdout_training_pictures_are_watched_and_that_is_said(
    smoke, folders, caplog, monkeypatch
):
    monkeypatch.setattr(watching, "PHOTOS", 8)
    monkeypatch.setattr(watching, "PAINTINGS", 16)
    with caplog.at_level(logging.INFO):
        watched = watching.choose(_config(smoke, "train.holdout=0"), **folders, stride_px=8)
    assert len(watched.regions) == 8 and len(watched.paintings) == 16
    assert "among those trained on" in caplog.text


def test_the_same_pictures_every_time_and_others_have_another_fingerprint(smoke, folders):
    first, second = (watching.choose(_config(smoke), **folders, stride_px=8) for _ in range(2))
    assert first.fingerprint == second.fingerprint
    for one, other in zip(first.regions + first.paintings, second.regions + second.paintings, strict=True):
        np.testing.assert_array_equal(one, other)
    same = watching.choose(_config(smoke, "train.seed=3"), **folders, stride_px=8)
    assert same.fingerprint == first.fingerprint  # trainings with other seeds compare
    other = watching.choose(_config(smoke, "train.holdout=0.5"), **folders, stride_px=8)
    assert other.fingerprint != first.fingerprint


def test_too_few_or_broken_pictures_are_told_and_leave_training_alone(smoke, folders, tmp_path, caplog):
    held = files.held_out(files.find_pictures(folders["style_dir"]), 0.3)[1]
    for path in held[3:]:
        path.write_text("no picture")
    _train(smoke, folders, tmp_path / "run")
    assert "no evaluation while training: it needs a photograph and 4 paintings" in caplog.text
    assert "skipped" in caplog.text and not (tmp_path / "run/logs/evaluation.jsonl").exists()


def test_the_middle_of_a_large_photograph_is_taken(smoke):
    photo = np.arange(600 * 403, dtype=np.uint32).reshape(600, 403, 1).repeat(3, axis=2)
    middle = watching._middle(photo, 8)
    assert middle.shape == (256, 256, 3) and (middle == photo[172:428, 73:329]).all()
    assert watching._middle(photo[:99], 8).shape == (96, 256, 3)


# --- the callback -----------------------------------------------------------------------------------------------


def test_what_an_evaluation_leaves(smoke, folders, tmp_path):
    outcome = _train(smoke, folders, tmp_path / "run", steps=5)
    lines = _lines(tmp_path / "run")
    assert [line["step"] for line in lines] == [2, 4, 5]  # the last step counts, too
    assert {"score", "kid", "swd", "colour_w1", "edges", "effective_rank", "is_best"} < set(lines[0])
    assert lines[0]["score"] == pytest.approx((lines[0]["kid"] + lines[0]["swd"]) / 2)
    assert lines[0]["edges"] > 0.9  # five steps from the identity
    best = json.loads((tmp_path / "run/best/best.json").read_text())
    assert best["score"] == max(line["score"] for line in lines)
    assert [line["step"] for line in lines if line["is_best"]][-1] == best["step"]
    metadata = json.loads((tmp_path / "run/best/saved_model/metadata.json").read_text())
    assert metadata["step"] == best["step"] and outcome.saved_model == tmp_path / "run/saved_model"
    events = [
        value.tag
        for file in (tmp_path / "run/logs").glob("events.*")
        for event in tf.compat.v1.train.summary_iterator(str(file))
        for value in event.summary.value
    ]
    assert events.count("evaluation/score") == 3


@pytest.mark.slow
def test_a_stop_changes_no_evaluation_and_evaluations_change_no_weight(smoke, folders, tmp_path):
    _train(smoke, folders, tmp_path / "whole", steps=6)
    _train(smoke, folders, tmp_path / "parts", steps=4)
    _train(smoke, folders, tmp_path / "parts", steps=6)
    assert _lines(tmp_path / "parts") == _lines(tmp_path / "whole")
    bests = [json.loads((tmp_path / f"{name}/best/best.json").read_text()) for name in ("parts", "whole")]
    assert bests[0] == bests[1]
    _train(smoke, folders, tmp_path / "without", steps=6, evaluate=0)
    assert not (tmp_path / "without/logs/evaluation.jsonl").exists()
    expected = _weights(tmp_path / "without")
    for name in ("parts", "whole"):
        found = _weights(tmp_path / name)
        assert found.keys() == expected.keys()
        for key, value in expected.items():
            np.testing.assert_array_equal(found[key], value, err_msg=key)


@pytest.mark.slow
def test_a_killed_run_measures_again_what_it_lost(smoke, folders, tmp_path):
    _train(smoke, folders, tmp_path / "run")
    log = tmp_path / "run/logs/evaluation.jsonl"
    lines = log.read_text().splitlines()
    log.write_text("\n".join([*lines, json.dumps({"step": 6, "score": 1.0}), '{"step": 8, "sc']))
    _train(smoke, folders, tmp_path / "run", steps=6)
    assert [line["step"] for line in _lines(tmp_path / "run")] == [2, 4, 6]
    assert _lines(tmp_path / "run")[2]["score"] != 1.0


def test_an_evaluation_that_fails_is_told_and_training_goes_on(smoke, folders, tmp_path, monkeypatch, capsys):
    def broken(gan, region, small):
        raise tf.errors.ResourceExhaustedError(None, None, "no memory left")

    monkeypatch.setattr(watching, "paint", broken)
    outcome = _train(smoke, folders, tmp_path / "run", steps=2)
    assert outcome.step == 2 and outcome.saved_model is not None and not outcome.broken
    assert "no evaluation at step 2: no memory left; training goes on" in capsys.readouterr().err
    assert not (tmp_path / "run/best").exists()


def test_what_is_watched_has_the_grain_of_translations(smoke):
    class Spy:
        config = smoke

        def __call__(self, values, whole):
            self.seen = values
            return tf.constant(values)

    spy, flat = Spy(), np.full((32, 32, 3), 255, np.uint8)
    watching.paint(spy, flat, Whole(np.zeros((1, 16, 16, 3), np.float32), [64.0]))
    assert len(np.unique(spy.seen)) == 2


def test_broken_weights_are_no_picture(smoke):
    gan = SiameseGAN(smoke)
    gan.ema_generator.set_weights([w * np.nan for w in gan.ema_generator.get_weights()])
    region = np.zeros((32, 32, 3), np.uint8)
    side = smoke.generator.thumbnail_px
    with pytest.raises(ValueError, match="not|NaN"):
        watching.paint(gan, region, Whole(np.zeros((1, side, side, 3), np.float32), [64.0]))


# --- the commands -----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_flags_reach_the_training_and_best_can_be_named(folders, tmp_path):
    def run(*command):
        return subprocess.run([sys.executable, *map(str, command)], cwd=ROOT, capture_output=True, text=True)

    flags = [f"--{name}={value}" for name, value in folders.items()]
    flags += ["--preset=smoke", "--steps=2", f"--run_dir={tmp_path / 'run'}", "--holdout=0.3"]
    dry = run("train.py", *flags, "--dry_run")
    held = len(files.held_out(files.find_pictures(folders["content_dir"]), 0.3)[1])
    assert (
        dry.returncode == 0
        and f"12 pictures in {folders['content_dir']}, {held} of them held out" in dry.stdout
    )
    done = run("train.py", *flags, "--evaluate_every=1")
    assert done.returncode == 0, done.stderr
    assert "held out by --holdout=0.3" in done.stderr
    assert [line["step"] for line in _lines(tmp_path / "run")] == [1, 2]
    step = json.loads((tmp_path / "run/best/best.json").read_text())["step"]
    out = tmp_path / "best_model"
    exported = run(
        "-m", "gan_hd.cli.export", f"--model={tmp_path / 'run'}", f"--output={out}", "--which=best"
    )
    assert exported.returncode == 0 and f"step {step}," in exported.stdout, exported.stderr
    photo = tmp_path / "photo.png"
    PIL.Image.new("RGB", (70, 50), (90, 120, 150)).save(photo)
    done = run("translate.py", f"--input={photo}", f"--model={tmp_path / 'run/best'}")
    assert done.returncode == 0, done.stderr
    other = run("train.py", *flags[:-1], "--evaluate_every=1")
    assert other.returncode == 2 and "train.holdout is 0.3, asked for 0.0" in other.stderr
