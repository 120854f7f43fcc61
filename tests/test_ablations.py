"""The harness of the ablations, as its command is typed, on the smallest trainings."""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from benchmarks import ablation_table, processes, sample_pictures
from data.samples import paint
from gan_hd.config import PRESETS, apply_overrides, validate

ROOT = Path(__file__).parent.parent
_SMALL = ["--preset=smoke", "--steps=2", "--crop_px=64", "--crops=4", "--pictures=2", "--precision=float32"]


def _run(*flags):
    command = [sys.executable, ROOT / "benchmarks" / "ablations.py", *flags]
    process = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert "Traceback" not in process.stderr, process.stderr
    return process


def _table(process):
    """Cells by the row's name, and the JSON line."""
    *lines, last = process.stdout.splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {cells[0]: dict(zip(rows[0], cells, strict=True)) for cells in rows[2:]}, json.loads(last)


@pytest.fixture
def folders(noise_folder):
    return [
        f"--content_dir={noise_folder('a')}",
        f"--style_dir={noise_folder('b', seed=1, count=4)}",
    ]


@pytest.mark.slow
@pytest.mark.timeout(1800)  # nine processes that each wait for TensorFlow
def test_each_row_is_trained_once_and_has_its_command(folders, tmp_path):
    work = tmp_path / "work"
    flags = [*folders, *_SMALL, f"--work_dir={work}"]
    first = _run(*flags, "--only=default,head_gated,cut")
    assert first.returncode == 0, first.stderr
    table, result = _table(first)
    assert list(table) == ["photographs", "default", "head_gated", "cut"]
    assert table["head_gated"]["steps"] == "as default"  # what the preset has already
    for name in ("default", "cut"):
        assert table[name]["steps"] == "2" and float(table[name]["s"]) > 0
        assert f"--run_dir={work / name}" in table[name]["command"] and "%" in table[name]["KID"]
    assert "-m benchmarks.baselines --method=cut" in table["cut"]["command"]
    rows = {row["name"]: row for row in result["rows"]}
    assert rows["photographs"]["figures"]["distances"]["kid"]["gap_closed"] == 0
    assert rows["photographs"]["figures"]["edges"] == [1, 1, 1]
    assert rows["cut"]["figures"] != rows["default"]["figures"]

    # The same again does nothing; more steps train on what is there, and measure that.
    again = _run(*flags, "--only=default,cut")
    assert again.returncode == 0 and again.stderr == ""
    assert _table(again)[0] == {name: cells for name, cells in table.items() if name != "head_gated"}
    longer = _run(*flags, "--only=default", "--steps=3")
    commands = [line for line in longer.stderr.splitlines() if line.startswith("python ")]
    assert ["train.py" in commands[0], "evaluate" in commands[1], len(commands)] == [True, True, 2]
    assert "resuming at step 2 of 3" in (work / "default.log").read_text()
    row = _table(longer)[1]["rows"][1]
    assert row["figures"] != rows["default"]["figures"] and row["seconds"] > rows["default"]["seconds"]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_failing_variant_is_named_and_the_others_are_done(folders, tmp_path):
    # Two crops leave one rotation of pairs: the preset's two cannot be.
    flags = [*folders, *_SMALL, f"--work_dir={tmp_path / 'work'}", "--set=train.batch_size=2"]
    process = _run(*flags, "--only=default,rotations_1")
    assert process.returncode == 1
    errors = [line for line in process.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and "default: ended with status 2: losses.rotations" in errors[0]
    table, result = _table(process)
    assert list(table) == ["photographs", "rotations_1"] and table["rotations_1"]["edges"]
    assert result["rows"][1]["overrides"] == ["losses.rotations=1"]
    assert "--set=losses.rotations=1" in table["rotations_1"]["command"]
    config = json.loads((tmp_path / "work" / "rotations_1" / "config.json").read_text())
    assert (config["losses"]["rotations"], config["train"]["batch_size"]) == (1, 2)


def test_every_variant_is_a_valid_training_of_its_own():
    listed = _run("--list").stdout.splitlines()
    variants = {line.split()[0]: line.split()[1:] for line in listed}
    assert variants.pop("cyclegan") == ["--method=cyclegan"] and variants.pop("cut") == ["--method=cut"]
    for preset, off_already in (
        ("default", set()),
        (
            "demo",
            {
                "context_off",
                "noise_off",
                "scale_untold",
                "tones_0",
                "tones_8px",
                "seam_0",
                "unbounded",
            },
        ),
    ):
        configs = {n: validate(apply_overrides(PRESETS[preset], text)) for n, text in variants.items()}
        same = [name for name, config in configs.items() if config == configs["default"]]
        head = PRESETS[preset].discriminator.head
        assert set(same) == {"default", f"head_{head}"} | off_already
        assert len(set(configs.values())) == len(configs) - len(same) + 1


@pytest.mark.parametrize(
    ("flags", "word"),
    [
        (["--only=nothing"], "nothing"),
        (["--content_dir=a"], "--style_dir"),
        (["--truth_dir=a"], "--content_dir"),
        (["--set=losses.hinge=1"], "losses.hinge"),
    ],
)
def test_bad_command_lines_are_named(tmp_path, flags, word):
    process = _run(*flags, f"--work_dir={tmp_path / 'work'}")
    assert process.returncode == 2 and process.stdout == ""
    assert len(process.stderr.splitlines()) == 1 and word in process.stderr
    assert not (tmp_path / "work").exists()


def test_a_command_is_done_once_and_its_seconds_add_up(tmp_path):
    product, record, log = (tmp_path / name for name in ("product", "record.json", "log"))

    def once(script, **options):
        return processes.once(["-c", script], log=log, record=record, is_done=product.is_file, **options)

    with pytest.raises(processes.RunError, match="status 3: no paint"):
        once("import sys; print('error: no paint'); print('bye'); sys.exit(3)")
    with pytest.raises(processes.RunError, match="status 0"):
        once("pass")
    work = f"import pathlib; pathlib.Path({str(product)!r}).open('a').write('x')"
    first = once(work)
    assert (once(work), product.read_text()) == (first, "x")  # not again
    product.unlink()
    once(work)
    assert product.read_text() == "x"  # again, for the product was gone
    record.write_text(json.dumps({"command": ["earlier"], "seconds": 1000, "done": True, "status": 0}))
    assert once(work, resumes=True).seconds > 1000 > first.seconds
    record.write_text(json.dumps({"command": ["earlier"], "seconds": 1000, "done": True, "status": 0}))
    assert once(f"{work}; raise SystemExit(1)").status == 1  # another command; some pictures were unreadable
    assert json.loads(record.read_text())["seconds"] < 1000
    with pytest.raises(processes.RunError, match="status 1"):  # crashed: what lay there is not its product
        once("raise ZeroDivisionError", replaces=product)


def test_what_stops_the_harness_lets_the_command_save(tmp_path):
    """SIGTERM reaches the process once, and its end is waited for."""
    saved = tmp_path / "saved"
    child = (
        "import pathlib, signal, time\n"
        "def save(*_):\n"
        f"    time.sleep(0.3); pathlib.Path({str(saved)!r}).write_text('saved'); raise SystemExit(143)\n"
        "signal.signal(signal.SIGTERM, save)\n"
        "print('ready', flush=True)\n"
        "time.sleep(60)"
    )
    parent = (
        "import pathlib, signal, sys\n"
        "from benchmarks import processes\n"
        "signal.signal(signal.SIGTERM, signal.default_int_handler)\n"
        f"processes.call(['-c', {child!r}], pathlib.Path({str(tmp_path / 'log')!r}))"
    )
    process = subprocess.Popen([sys.executable, "-c", parent], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    while not (tmp_path / "log").is_file() or "ready" not in (tmp_path / "log").read_text():
        time.sleep(0.05)
        assert process.poll() is None
    process.terminate()
    _, errors = process.communicate(timeout=60)
    assert process.returncode and "KeyboardInterrupt" in errors and saved.read_text() == "saved"


def test_cells_of_the_table():
    distance = {"gap_closed": 0.583, "interval": [0.553, 0.613]}
    nothing = {"gap_closed": None, "interval": [None, None]}
    figures = {
        "distances": {"kid": distance, "swd": nothing, "colour_w1": distance | {"interval": [None, None]}},
        "edges": [0.712, 0.5, 0.5],
        "tones": 0.876,
        "colour_difference": 12.34,
        "paired_error": None,
        "effective_rank": 1.0,
        "seams": {},
    }
    row = {"name": "a", "command": "python train.py", "steps": 5, "seconds": 12.4, "figures": figures}
    head, rule, line, failed = ablation_table.markdown([row, {"name": "b", "command": "python"}]).splitlines()
    assert head.startswith("| variant | steps | s | KID | SWD | colour | edges | tones |")
    assert (
        line
        == "| a | 5 | 12 | 58 ± 3 % | no gap | 58 % | 0.71 | 0.88 | 12.3 |  | 1.00 |  |  | `python train.py` |"
    )
    assert head.count("|") == rule.count("|") == line.count("|") == failed.count("|")


@pytest.mark.slow
def test_the_sample_set_comes_with_other_pictures_and_their_truths(tmp_path):
    folders = sample_pictures.draw(tmp_path, count=2, side_px=64)
    found = {flag: sorted(Path(folder).iterdir()) for flag, folder in folders.items()}
    assert [len(found[flag]) for flag in folders] == [2, 2, 2, 2, 2]
    photo, truth = found["eval_content_dir"][1], found["truth_dir"][1]
    assert photo.stem == truth.stem
    pictures = [np.asarray(PIL.Image.open(path)) for path in (photo, truth)]
    seeds = json.loads((photo.parent.parent / "manifest.json").read_text())["pictures"]
    seed = next(p["scene_seed"] for p in seeds if p["path"].endswith(photo.name))
    np.testing.assert_array_equal(pictures[1], paint(pictures[0], seed=seed))
    trained_on = np.asarray(PIL.Image.open(found["content_dir"][1]))
    assert trained_on.shape != pictures[0].shape or np.any(trained_on != pictures[0])
    before = [path.stat().st_mtime_ns for path in found["truth_dir"]]
    sample_pictures.draw(tmp_path, count=2, side_px=64)
    assert [path.stat().st_mtime_ns for path in found["truth_dir"]] == before
