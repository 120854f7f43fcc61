"""The generator that ships: found without a flag, small, exact, and of a kind that can be shown."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from data.samples import build
from gan_hd import pictures, pixels
from gan_hd.metrics import content
from gan_hd.translator import PRETRAINED, Translator, find_model

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def translator():
    return Translator(None)


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    """A landscape that the project draws; the generator never saw one."""
    folder = tmp_path_factory.mktemp("drawn") / "samples"
    manifest = build.plan(count=4, seed=0, long_side_px=512, hd_width_px=64, hd_height_px=48)
    build.write(manifest, folder, overwrite=False, workers=2)
    return sorted((folder / "photos").iterdir())[0]


def test_it_is_small_and_says_what_it_is():
    assert find_model(None) == PRETRAINED
    files = [path for path in PRETRAINED.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 12e6
    metadata = json.loads((PRETRAINED / "metadata.json").read_text())
    card = (PRETRAINED / "README.md").read_text()
    assert metadata["description"] and metadata["licence"] and str(metadata["step"]) in card.replace(" ", "")


def test_everything_of_it_is_installed():
    """setup.cfg names package data by patterns; none of the model's files may fall through."""
    import configparser

    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    patterns = [p.strip() for p in setup["options.package_data"]["gan_hd"].split(",")]
    package = ROOT / "gan_hd"
    covered = {path for pattern in patterns for path in package.glob(pattern)}
    assert {path for path in PRETRAINED.rglob("*") if path.is_file()} <= covered


def test_tiles_do_not_show_in_it(translator):
    picture = np.random.default_rng(0).integers(0, 256, (270, 350, 3), dtype=np.uint8)
    picture = np.asarray(PIL.Image.fromarray(picture[::9, ::9]).resize((350, 270)))
    whole = translator.translate_whole(picture).astype(int)
    assert np.abs(whole - picture).mean() > 5
    for tile_px in (128, 200):
        assert np.abs(translator.translate(picture, tile_px=tile_px) - whole).max() <= 1


def test_it_repaints_and_keeps_what_is_there(translator, photo):
    before = pictures.read_rgb(photo)
    after = translator.translate(before)
    a, ab = (pixels.to_float(x) for x in (before, after))
    assert np.abs(a - ab).mean() > 0.05  # it does something
    assert content.tone_correlation(a, ab) > 0.7  # and dark stays dark
    assert np.mean(content.edge_correlation(a, ab)) > 0.4
    assert after.reshape(-1, 3).std(axis=0).min() > 10  # nor is it one colour


def _run(folder, *command):
    done = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_translate_needs_no_model_flag(photo, tmp_path):
    _run(tmp_path, ROOT / "translate.py", f"--input={photo}", f"--output={tmp_path / 'painted.png'}")
    assert pictures.read_rgb(tmp_path / "painted.png").shape == pictures.read_rgb(photo).shape


@pytest.mark.slow
def test_export_and_evaluate_need_none_either(photo, tmp_path):
    _run(tmp_path, "-m", "gan_hd.cli.export", "--output=copy")
    ours, copy = (
        json.loads((folder / "metadata.json").read_text()) for folder in (PRETRAINED, tmp_path / "copy")
    )
    assert copy["step"] == ours["step"] and copy["description"] == ours["description"]
    folders = [f"--content_dir={photo}", f"--style_dir={photo.parent}"]
    table = _run(tmp_path, "-m", "gan_hd.cli.evaluate", *folders, "--crops=4", "--resamples=0")
    assert "vangogh" in table.splitlines()[0] and "tones kept" in table
