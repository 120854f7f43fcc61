"""The benchmark of translate.py, as its command is typed, on small pictures."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from gan_hd.config import PRESETS
from gan_hd.export import export_generator
from gan_hd.models.generator import Generator

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.slow


def _run(*command):
    process = subprocess.run(
        [sys.executable, *map(str, command)], capture_output=True, text=True, timeout=300
    )
    assert "Traceback" not in process.stderr, process.stderr
    return process


def _bench(*flags):
    return _run(ROOT / "benchmarks" / "bench_translate.py", *flags)


def test_table_and_json_line_agree_with_what_was_done(tmp_path):
    model, work = tmp_path / "saved_model", tmp_path / "work"
    export_generator(Generator(PRESETS["smoke"].generator), model, config=PRESETS["smoke"], step=1)
    work.mkdir()
    PIL.Image.new("RGB", (224, 224), (90, 120, 60)).save(work / "landscape_224x224.png")  # used, not redrawn
    before = (work / "landscape_224x224.png").read_bytes()
    process = _bench(
        f"--model={model}",
        f"--work_dir={work}",
        "--sizes_mp=0.05,0.1",
        "--format=png",
        "--precision=float32",
        "--extra=--strength=0.5 --tile_px=64",
    )
    assert process.returncode == 0, process.stderr
    start_up, header, *table, line = process.stdout.splitlines()
    assert start_up.startswith("start-up: ") and "peak GiB" in header
    assert [row.split()[1] for row in table] == ["224x224", "316x316"]
    result = json.loads(line)
    assert result["precision"] == "float32" and result["extra"] == ["--strength=0.5", "--tile_px=64"]
    assert result["cpus"] >= 1 and result["versions"]["tensorflow"] and result["python"]
    assert result["startup_sec"] > 0
    first, second = result["rows"]
    assert (first["width"], first["height"], first["megapixels"]) == (224, 224, 0.050176)
    assert first["seconds_ratio"] == first["mp_per_sec_ratio"] == first["peak_gib_ratio"] == 1
    for name in ("seconds", "mp_per_sec", "peak_gib"):
        assert second[f"{name}_ratio"] == pytest.approx(second[name] / first[name], abs=1e-3)
    for row in (first, second):
        # TensorFlow alone is larger than 0.1 GiB, and no picture here is larger than 1 MB.
        assert 0.1 < row["peak_gib"] < 10
        assert row["mp_per_sec"] == pytest.approx(row["megapixels"] / row["seconds"], rel=0.01)
        if row["sec_per_mp"] is not None:
            more = row["seconds"] - result["startup_sec"]
            assert row["sec_per_mp"] == pytest.approx(more / row["megapixels"], abs=0.03)
    assert (work / "landscape_224x224.png").read_bytes() == before
    assert not list(work.glob("*_painted*"))  # without --keep
    assert "landscape_316x316_painted.png" in (work / "landscape_316x316.log").read_text()


def test_a_failing_translation_is_one_line(tmp_path):
    process = _bench("--model=nowhere", f"--work_dir={tmp_path}", "--sizes_mp=0.05")
    assert process.returncode == 1 and process.stdout == ""
    lines = process.stderr.splitlines()
    assert lines[-1].startswith("error: translate.py ended with status 2 on landscape_64x64.jpg")
    assert any("nowhere" in line for line in lines[:-1])  # the end of its log


@pytest.mark.parametrize(
    ("flag", "word"),
    [
        ("--sizes_mp=12,0", "--sizes_mp"),
        ("--sizes_mp=", "--sizes_mp"),
        ("--sizes_mp=5000", "--format=tif"),
        ("--format=bmp", "--format"),
    ],
)
def test_bad_command_lines_are_named(tmp_path, flag, word):
    process = _bench("--model=nowhere", f"--work_dir={tmp_path}", flag)
    assert process.returncode == 2 and process.stdout == ""
    assert len(process.stderr.splitlines()) == 1 and word in process.stderr


def test_pictures_are_coloured_landscapes_that_a_seed_repeats(tmp_path):
    # In a process of its own: flags of a command are defined once per process.
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); import bench_translate as bench\n"
        "for name, seed in (('a', 0), ('b', 0), ('c', 1)):\n"
        "    bench.draw_picture(f'{sys.argv[2]}/{name}.png', 300, 200, seed=seed)"
    )
    assert _run("-c", script, ROOT / "benchmarks", tmp_path).returncode == 0
    a, b, c = (np.asarray(PIL.Image.open(tmp_path / f"{name}.png")).astype(int) for name in "abc")
    assert a.shape == (200, 300, 3)
    np.testing.assert_array_equal(a, b)
    assert np.abs(a - c).mean() > 2
    sky, field = a[:40].mean((0, 1)), a[-40:].mean((0, 1))
    assert sky[2] > sky[0] + 20 and field[0] > field[2] + 20  # blue above, ochre below
