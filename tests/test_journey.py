"""The user's commands as they are typed: train, stop, kill, resume, translate; odd files; exit statuses."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import odd_pictures
import PIL.Image
import pytest
import tensorflow as tf

from gan_hd import pictures

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.slow


def _start(script, *flags, **variables):
    return subprocess.Popen(
        [sys.executable, str(ROOT / script), *map(str, flags)],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | variables,
    )


def _run(script, *flags, expect=0):
    process = _start(script, *flags)
    out, err = process.communicate(timeout=300)
    assert process.returncode == expect, err[-3000:]
    assert "Traceback" not in err, err
    return out, err


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("journey")
    rng = np.random.default_rng(0)
    for name in ("photos", "paintings"):
        (root / name).mkdir()
        for number in range(3):
            coarse = PIL.Image.fromarray(rng.integers(0, 256, (9, 12, 3), dtype=np.uint8))
            coarse.resize((130, 97), PIL.Image.Resampling.BICUBIC).save(root / name / f"{number}.png")
    return root


def _flags(folders, run, steps=60):
    return [
        f"--content_dir={folders}/photos",
        f"--style_dir={folders}/paintings",
        f"--run_dir={folders / run}",
        "--preset=smoke",
        f"--steps={steps}",
        "--checkpoint_every=10",
        "--log_every=5",
        "--sample_every=50",
    ]


def _wait_for(path, process):
    for _ in range(1200):
        if path.exists():
            return
        assert process.poll() is None, process.communicate()[1][-3000:]
        time.sleep(0.05)
    raise AssertionError(f"{path} never came")


def _weights(run):
    reader = tf.train.load_checkpoint(str(run / "ckpt"))
    return {
        name: reader.get_tensor(name)
        for name in reader.get_variable_to_shape_map()
        if not name.startswith("_CHECKPOINTABLE") and "save_counter" not in name
    }


def _log(run):
    lines = [json.loads(line) for line in (run / "logs/train.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "crops_per_sec"} for line in lines]


@pytest.fixture(scope="module")
def uninterrupted(folders):
    out, _ = _run("train.py", *_flags(folders, "straight"))
    assert "translate.py --model=" in out
    return folders / "straight"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_stopped_run_ends_as_an_uninterrupted_one_bit_for_bit(folders, uninterrupted, number):
    flags = _flags(folders, number.name)
    process = _start("train.py", *flags)
    # The file that makes a checkpoint count; it comes after the checkpoint's own files.
    _wait_for(folders / number.name / "ckpt/checkpoint", process)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    if number == signal.SIGKILL:
        assert process.returncode == -9
    else:
        assert process.returncode == 128 + number and "resumes there" in out, err[-2000:]
        step = int(out.rpartition("at step ")[2].split(";")[0])
        assert (folders / number.name / f"ckpt/ckpt-{step}.index").exists()
    assert not (folders / number.name / "saved_model").exists()
    _, err = _run("train.py", *flags)
    assert "resuming at step" in err

    straight, resumed = _weights(uninterrupted), _weights(folders / number.name)
    assert straight.keys() == resumed.keys() and len(straight) > 50
    for name, value in straight.items():
        np.testing.assert_array_equal(value, resumed[name], err_msg=name)
    if number == signal.SIGKILL:  # stopped at a checkpoint, so the intervals of the logs agree too
        first, second = _log(uninterrupted), _log(folders / number.name)
        assert len(first) == len(second) == 12
        for line, again in zip(first, second, strict=True):
            # Sums that only the log sees are rounded as each process's graph happens to be optimised.
            assert line == pytest.approx(again, rel=1e-5)


def test_another_configuration_is_refused(folders, uninterrupted):
    before = sorted(os.listdir(uninterrupted))
    _, err = _run("train.py", *_flags(folders, "straight"), "--set=losses.margin=1", expect=2)
    assert "losses.margin is 2.0, asked for 1.0" in err and len(err.strip().splitlines()[-1]) < 400
    assert sorted(os.listdir(uninterrupted)) == before


@pytest.mark.parametrize("mode", ["exact", "grid", "blend"])
def test_translate_gives_the_same_size_and_never_overwrites(folders, uninterrupted, tmp_path, mode):
    photo = tmp_path / "ünï cödé.jpg"
    PIL.Image.fromarray(np.random.default_rng(0).integers(0, 256, (131, 87, 3), dtype=np.uint8)).save(photo)
    flags = [f"--input={photo}", f"--model={uninterrupted}", f"--mode={mode}"]
    out, _ = _run("translate.py", *flags)
    painted = tmp_path / "ünï cödé_painted.jpg"
    assert str(painted) in out and pictures.read_rgb(painted).shape == (131, 87, 3)
    stamp = painted.stat().st_mtime_ns
    _, err = _run("translate.py", *flags)
    assert "--overwrite" in err and painted.stat().st_mtime_ns == stamp
    _run("translate.py", *flags, "--overwrite")
    assert painted.stat().st_mtime_ns > stamp


def test_odd_files_in_a_training_folder(folders, tmp_path):
    _, bad = odd_pictures.make(tmp_path / "odd")
    _, err = _run("train.py", *_flags(folders, "odd", steps=4), f"--content_dir={tmp_path / 'odd'}", expect=1)
    for name in bad:
        assert name in err
    assert (folders / "odd/saved_model/saved_model.pb").exists()


def test_odd_files_in_a_translate_folder(uninterrupted, tmp_path):
    good, bad = odd_pictures.make(tmp_path / "odd")
    out, err = _run(
        "translate.py",
        f"--input={tmp_path / 'odd'}",
        f"--output={tmp_path / 'out'}",
        f"--model={uninterrupted}",
        expect=1,
    )
    for name in bad:
        assert any(name in line for line in err.splitlines() if line.startswith("error:")), name
    for name, (width, height) in good.items():
        target = tmp_path / "out" / (name if not name.endswith(".gif") else name.replace(".gif", ".png"))
        assert pictures.read_rgb(target).shape == (height, width, 3), name
    assert re.search(rf"done +{len(good)} ", err) and re.search(rf"failed +{len(bad)}\n", err)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_stopped_translation_goes_on_to_the_same_bytes(uninterrupted, tmp_path, number):
    rng = np.random.default_rng(0)
    PIL.Image.fromarray(rng.integers(0, 256, (2600, 700, 3), dtype=np.uint8)).save(tmp_path / "a.png")
    flags = [f"--input={tmp_path / 'a.png'}", f"--model={uninterrupted}", "--tile_px=64"]
    _run("translate.py", *flags, f"--output={tmp_path / 'whole.png'}")

    flags.append(f"--output={tmp_path / 'b.png'}")
    process = _start("translate.py", *flags)
    _wait_for(tmp_path / ".b.png.partial" / "manifest.json", process)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == (-9 if number == signal.SIGKILL else 130), err[-2000:]
    assert not (tmp_path / "b.png").exists() and "Traceback" not in err
    if number == signal.SIGINT:
        assert "the same command goes on from there" in err
    _, err = _run("translate.py", *flags)
    assert "a.png: going on at" in err
    assert (tmp_path / "b.png").read_bytes() == (tmp_path / "whole.png").read_bytes()
    assert sorted(os.listdir(tmp_path)) == ["a.png", "b.png", "whole.png"]


def test_two_hundred_files_of_which_twenty_are_broken(uninterrupted, tmp_path):
    rng = np.random.default_rng(0)
    for number in range(200):
        path = tmp_path / "in" / f"{number % 7}" / f"{number:03}.{('jpg', 'png', 'webp', 'tif')[number % 4]}"
        path.parent.mkdir(parents=True, exist_ok=True)
        PIL.Image.fromarray(rng.integers(0, 256, (37, 41, 3), dtype=np.uint8)).save(path)
        if number % 10 == 3:
            path.write_bytes(path.read_bytes()[: (0, 10, 900)[number % 3]])
    flags = [f"--input={tmp_path / 'in'}", f"--output={tmp_path / 'out'}", f"--model={uninterrupted}"]
    _, err = _run("translate.py", *flags, expect=1)
    errors = [line for line in err.splitlines() if line.startswith("error:")]
    assert len(errors) == 20
    for number in range(3, 200, 10):
        assert any(f"/{number:03}." in line for line in errors), number
    assert re.search(r"done +180 ", err) and re.search(r"failed +20\n", err)
    outputs = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert len(outputs) == 180 and not list((tmp_path / "out").rglob(".*"))
    _, err = _run("translate.py", *flags, expect=1)
    assert re.search(r"skipped +180\n", err)


def test_creative_controls_and_formats(uninterrupted, tmp_path):
    photo = np.random.default_rng(0).integers(60, 190, (90, 140, 3), dtype=np.uint8)
    PIL.Image.fromarray(photo).save(tmp_path / "a.png")
    flags = [f"--input={tmp_path / 'a.png'}", f"--model={uninterrupted}"]
    _run("translate.py", *flags, f"--output={tmp_path / 'same.png'}", "--strength=0")
    np.testing.assert_array_equal(pictures.read_rgb(tmp_path / "same.png"), photo)
    _run(
        "translate.py",
        *flags,
        "--scale=0.5,1",
        "--preserve_color",
        "--report_seams",
        "--format=tif",
        "--pyramid",
    )
    assert pictures.read_rgb(tmp_path / "a_painted.tif").shape == photo.shape
    report = json.loads((tmp_path / "a_painted.seams.json").read_text())
    assert report["grid_shift_error"]["max"] <= 1 and (tmp_path / "a_painted.seams.png").exists()
    _run("translate.py", *flags, "--format=dzi", "--quality=80")
    # In a folder of several formats, an option is for those that have it.
    PIL.Image.fromarray(photo).save(tmp_path / "b.jpg")
    many = [f"--input={tmp_path / '[ab].*'}", f"--model={uninterrupted}", f"--output={tmp_path / 'out'}"]
    _run("translate.py", *many, "--quality=20", "--compression=9")
    assert sorted(os.listdir(tmp_path / "out")) == ["a.png", "b.jpg"]
    assert (tmp_path / "a_painted.dzi").exists() and (tmp_path / "a_painted_files").is_dir()


@pytest.mark.parametrize(
    ("script", "flags", "named"),
    [
        ("train.py", ["--content_dir=x"], "--style_dir"),
        (
            "train.py",
            ["--content_dir=/nonexistent", "--style_dir=y", "--data_hint=Fetch them."],
            "Fetch them.",
        ),
        ("train.py", ["--content_dir=x", "--style_dir=y", "--tile_px=50"], "tile_px"),
        ("train.py", ["--content_dir=x", "--style_dir=y", "--preset=best"], "preset"),
        ("train.py", ["--content_dir=x", "--style_dir=y", "--discriminator_from=z"], "--init_from"),
        ("train.py", ["--stepz=3"], "stepz"),
        ("train.py", ["stray"], "stray"),
        ("translate.py", [], "--input"),
        ("translate.py", ["--input=/nonexistent.jpg"], "/nonexistent.jpg"),
        ("translate.py", [f"--input={ROOT / 'LICENSE'}", "--model=/nonexistent"], "/nonexistent"),
        ("translate.py", ["--input=x", "--strength=2"], "strength"),
        ("translate.py", [f"--input={ROOT / 'LICENSE'}", "--scale=1,0.5"], "--scale"),
        ("translate.py", [f"--input={ROOT / 'LICENSE'}", "--scale=big"], "--scale"),
        ("translate.py", [f"--input={ROOT / 'LICENSE'}", "--format=png", "--quality=3"], "--quality"),
        (
            "translate.py",
            [f"--input={ROOT / 'LICENSE'}", "--format=tif", "--compression=zip"],
            "--compression",
        ),
    ],
)
def test_bad_command_lines_give_one_line_and_status_two(tmp_path, script, flags, named):
    flags = [*flags, f"--run_dir={tmp_path / 'run'}"] if script == "train.py" else flags
    out, err = _run(script, *flags, expect=2)
    errors = [line for line in err.splitlines() if line.startswith("error:")]
    assert len(errors) == 1 and named in errors[0]
    assert not (tmp_path / "run").exists()


def test_dry_run_prints_the_settings_and_writes_nothing(folders):
    out, _ = _run("train.py", *_flags(folders, "dry"), "--dry_run")
    assert '"tile_px": 16' in out and "3 pictures" in out and not (folders / "dry").exists()


@pytest.mark.parametrize("script", ["train.py", "translate.py"])
def test_help_teaches(script):
    process = _start(script, "--help")
    out, _ = process.communicate(timeout=60)
    assert f"python {script}" in out and "Exit status" in out


def test_two_workers_train_together_and_only_the_chief_writes(folders):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    workers = [f"127.0.0.1:{s.getsockname()[1]}" for s in sockets]
    for s in sockets:
        s.close()
    flags = [*_flags(folders, "workers", steps=10), "--strategy=multi_worker", "--set=losses.rotations=1"]
    processes = [
        _start(
            "train.py",
            *flags,
            TF_CONFIG=json.dumps(
                {"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}}
            ),
        )
        for index in range(2)
    ]
    outputs = [process.communicate(timeout=300) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert "saved_model" in outputs[0][0] and "chief worker writes" in outputs[1][0]
    run = folders / "workers"
    assert [line["step"] for line in _log(run)] == [5, 10]
    assert len(list((run / "logs").glob("events.*"))) == 1
    assert (run / "ckpt/ckpt-10.index").exists() and (run / "saved_model/saved_model.pb").exists()
