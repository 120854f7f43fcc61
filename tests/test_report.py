"""What an evaluation prints and writes, and its command."""

import base64
import dataclasses
import io
import json
import math
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from gan_hd import report
from gan_hd.config import PRESETS
from gan_hd.evaluation import Distance, Evaluation, Report, Settings
from gan_hd.export import export_generator
from gan_hd.metrics.style import DISTANCES
from gan_hd.models.generator import Generator

ROOT = Path(__file__).parent.parent


def _report(gap=0.5, *, interval=(0.4, 0.6), truth=None):
    distance = Distance(value=2.0, floor=1.0, start=3.0, gap_closed=gap, interval=interval)
    names = (*DISTANCES, "swd_128px", "swd_64px")
    return Report(
        dict.fromkeys(names, distance), (0.9, 0.8, 0.7), 0.66, 12.34, truth, 0.95, 0.01, {"exact_ssz": 1.5}
    )


def test_the_table_has_a_column_for_each_painter():
    lines = report.table(
        {"first": _report(), "<b>": _report(-0.25, interval=(math.nan, math.nan))}
    ).splitlines()
    assert lines[0].split() == ["first", "<b>"]
    kid = next(line for line in lines if "KID" in line)
    assert "50 ±10 %" in kid and "-25 %" in kid
    assert any(line.startswith("colour of areas moved") and line.split()[-1] == "12.3" for line in lines)
    assert any(line.startswith("tones kept") and line.split()[-1] == "0.66" for line in lines)
    assert not any("truth" in line for line in lines)
    assert any("exact ssz" in line for line in lines)
    assert len({len(line) for line in lines}) == 1


def test_what_is_not_there_is_said():
    table = report.table({"a": _report(math.nan), "b": _report(truth=3.21)})
    assert "no gap" in table
    truth = next(line for line in table.splitlines() if "truth" in line)
    assert truth.rstrip().endswith("3.2") and truth.count("3.2") == 1


def test_json_has_all_figures_and_no_nan():
    text = json.dumps(report.as_dict({"a": _report(math.nan)}, {"seed": 3}), allow_nan=False)
    back = json.loads(text)
    assert back["about"] == {"seed": 3}
    assert back["figures"]["a"]["distances"]["kid"]["gap_closed"] is None
    assert back["figures"]["a"]["distances"]["swd_64px"]["floor"] == 1.0
    assert back["figures"]["a"]["edges"] == [0.9, 0.8, 0.7]


def test_inception_has_its_rows_where_it_was_measured():
    with_it = dataclasses.replace(
        _report(), inception=dict.fromkeys(("fid", "inception_kid"), _report().distances["kid"]), artfid=3.9
    )
    table = report.table({"a": _report(), "b": with_it})
    assert sum("FID" in line for line in table.splitlines()) == 3
    assert next(line for line in table.splitlines() if "content lost" in line).endswith("3.9")
    assert "FID" not in report.table({"a": _report()})
    back = report.as_dict({"b": with_it}, {})["figures"]["b"]
    assert back["inception"]["fid"]["start"] == 3.0 and back["artfid"] == 3.9


def test_a_collapse_and_copies_raise_an_alarm():
    ill = dataclasses.replace(_report(), effective_rank=0.03, copy_rate=0.4)
    first, second = report.alarms({"well": _report(), "ill": ill})
    assert "ill gives one answer" in first and "0.03" in first and "ill may copy: 40 %" in second
    page = report.page({"ill": ill}, {"content": [], "style": []}, {"photograph": []}, [])
    assert "<strong>ill gives one answer" in page


def test_heat_maps_are_on_one_scale_for_each_mode():
    heats = {"first": {"grid": np.array([[0.0, 40.0]])}, "second": {"grid": np.array([[20.0, 0.0]])}}
    about, pictures = {"content": [], "style": []}, {"photograph": []}
    page = report.page({"first": _report()}, about, pictures, [], heats=heats)
    found = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    decoded = [np.asarray(PIL.Image.open(io.BytesIO(base64.b64decode(text)))) for text in found]
    assert [picture[0].tolist() for picture in decoded] == [
        [[0, 0, 0], [255, 255, 255]],
        [[255, 128, 0], [0, 0, 0]],
    ]
    assert page.count("white: 40 levels<") == 2
    assert "tile grid" not in report.page({"first": _report()}, about, pictures, [])


def test_the_page_is_one_file_with_every_picture_and_nothing_from_outside():
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (300, 400, 3), dtype=np.uint8) for _ in range(2)]
    about = {"content": ["a", "b"], "style": ["c"], "seed": 0}
    names = {"photograph": pictures, "<script>": pictures}
    page = report.page({"<script>": _report()}, about, names, pictures[:1])
    assert len(re.findall(r'src="data:image/jpeg;base64,', page)) == 5
    assert not re.search(r"https?://|<script|<link|@import", page)
    assert "&lt;script&gt;" in page and "<polyline" in page and "50 ±10 %" in page
    assert "photographs 2" in page and "paintings 1" in page


# --- the command ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small random model, photographs of one kind and paintings of another."""
    folder = tmp_path_factory.mktemp("evaluate")
    generator = Generator(PRESETS["smoke"].generator)
    rng = np.random.default_rng(0)
    generator.set_weights([rng.normal(size=w.shape, scale=0.15) for w in generator.get_weights()])
    export_generator(generator, folder / "model", config=PRESETS["smoke"], step=1)
    for kind, cells, count in (("photos", 16, 3), ("paintings", 4, 4), ("truths", 16, 3)):
        (folder / kind).mkdir()
        for k in range(count):
            noise = rng.uniform(0, 255, (96 // cells, 128 // cells, 3))
            blocks = np.kron(noise, np.ones((cells, cells, 1))).astype(np.uint8)
            PIL.Image.fromarray(blocks).save(folder / kind / f"p{k}.png")
    return folder


def _run(*flags):
    return subprocess.run(
        [sys.executable, "-m", "gan_hd.cli.evaluate", *map(str, flags)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )


def _flags(folder, **more):
    flags = {
        "model": f"{folder / 'model'},identity",
        "content_dir": folder / "photos",
        "style_dir": folder / "paintings",
        "crops": 8,
        "crop_px": 64,
        "content_px": 128,
        "style_px": 128,
        "resamples": 3,
    }
    return [f"--{name}={value}" for name, value in (flags | more).items() if value is not None]


def _floor(folder, *, halvings):
    photos, paintings = (
        [np.asarray(PIL.Image.open(path)) for path in sorted((folder / kind).iterdir())]
        for kind in ("photos", "paintings")
    )
    settings = Settings(crops=8, crop_px=64, halvings=halvings, resamples=0)
    report = Evaluation(photos, paintings, settings=settings).report(lambda photo: photo)
    return report.distances["swd"].floor


@pytest.mark.slow
def test_the_command_measures_models_side_by_side(folder, tmp_path):
    flags = _flags(folder, json=tmp_path / "e.json", html=tmp_path / "e.html", truth_dir=folder / "truths")
    done = _run(*flags)
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / "e.json").read_text())
    model, identity = figures["figures"].values()
    assert list(figures["figures"])[1] == "identity" and len(figures["about"]["content"]) == 3
    assert identity["distances"]["swd"]["gap_closed"] == pytest.approx(0, abs=1e-6)
    assert figures["about"]["halvings"] == 10
    once, ten = (_floor(folder, halvings=halvings) for halvings in (1, 10))
    assert identity["distances"]["swd"]["floor"] == pytest.approx(ten) and once != pytest.approx(ten)
    assert identity["edges"] == pytest.approx([1, 1, 1]) and identity["paired_error"] > 5
    assert model["distances"]["swd"]["gap_closed"] != 0 and model["colour_difference"] > 1
    assert model["seams"]["exact_gse_max"] <= 1 and "grid_ssz" in model["seams"] and not identity["seams"]
    assert model["seams"]["exact_whole_max"] <= 1
    assert "identity" in done.stdout and "SWD" in done.stdout
    page = (tmp_path / "e.html").read_text()
    assert page.count("data:image/jpeg") == 3 * 3 + 4 and page.count("data:image/png") == 2


@pytest.mark.slow
def test_bad_pictures_are_named_and_the_others_measured(folder, tmp_path):
    for path in (folder / "photos").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "text.jpg").write_text("no picture")
    PIL.Image.new("RGB", (63, 200)).save(tmp_path / "small.png")
    done = _run(*_flags(folder, content_dir=tmp_path, model="identity", resamples=0))
    assert done.returncode == 1
    assert "text.jpg" in done.stderr and "small.png: smaller than a crop of 64 px" in done.stderr
    assert "SWD" in done.stdout and "Traceback" not in done.stderr


@pytest.mark.slow
def test_without_inception_weights_there_is_one_line_and_the_rest_is_measured(folder, tmp_path):
    done = _run(*_flags(folder, model="identity", resamples=0, inception_weights=tmp_path / "none.h5"))
    assert done.returncode == 0 and "SWD" in done.stdout and "FID" not in done.stdout
    lines = [line for line in re.split(r"[\r\n]", done.stderr) if "FID" in line]
    assert len(lines) == 1 and "none.h5" in lines[0] and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"style_dir": None}, "--style_dir"),
        ({"content_dir": "nowhere"}, "nowhere"),
        ({"model": "nowhere"}, "--model=nowhere"),
        ({"model": "identity", "content_px": None}, "--content_px"),
        (
            {
                "truth_dir": "{folder}/paintings",
                "content_dir": "{folder}/truths",
                "style_dir": "{folder}/truths",
            },
            "four",
        ),
        ({"truth_dir": "{folder}/model"}, "--truth_dir has no picture named as p0.png"),
    ],
)
def test_bad_command_lines_are_one_line(folder, change, words):
    change = {name: value and value.format(folder=folder) for name, value in change.items()}
    done = _run(*_flags(folder, **change))
    lines = [line for line in re.split(r"[\r\n]", done.stderr) if line.startswith("error")]
    assert done.returncode == 2 and len(lines) == 1 and words in lines[0], done.stderr
    assert "Traceback" not in done.stderr
