"""Planted faults, and that no headline figure prefers the photographs or a constant to paintings."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import faults
from data.samples import build
from gan_hd.evaluation import Evaluation, Settings
from gan_hd.metrics import seams
from gan_hd.metrics.style import DISTANCES
from gan_hd.streaming import ArrayRows

ROOT = Path(__file__).parent.parent


def _picture(seed, *, cells, colour, shape=(128, 192)):
    """Blocks of one size and palette under a little grain."""
    rng = np.random.default_rng(seed)
    coarse = rng.normal(size=(-(-shape[0] // cells), -(-shape[1] // cells), 3)) * 25 + colour
    blocks = np.kron(coarse, np.ones((cells, cells, 1)))[: shape[0], : shape[1]]
    return np.clip(blocks + rng.normal(size=(*shape, 1)) * 4, 0, 255).astype(np.uint8)


PHOTOS = [_picture(k, cells=24, colour=[90, 120, 170]) for k in range(4)]
PAINTINGS = [_picture(100 + k, cells=5, colour=[170, 140, 60], shape=(120, 150)) for k in range(12)]


# --- the faults -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", faults.FAULTS)
def test_a_fault_is_a_picture_of_the_same_size_and_always_the_same(name):
    first, second = (faults.FAULTS[name](PHOTOS[0]) for _ in range(2))
    assert first.shape == PHOTOS[0].shape and first.dtype == np.uint8
    np.testing.assert_array_equal(first, second)
    assert (name == "identity") == bool((first == PHOTOS[0]).all())


def test_faults_do_what_their_names_say():
    photo = PHOTOS[0]
    values = photo.astype(float)
    assert np.ptp(faults.constant(photo)) == 0
    np.testing.assert_array_equal(np.sort(faults.hue_shift(photo), axis=-1), np.sort(photo, axis=-1))
    np.testing.assert_allclose(
        faults.half_contrast(photo).std(axis=(0, 1)), values.std(axis=(0, 1)) / 2, rtol=0.02
    )
    dot = np.zeros((41, 41, 3), np.uint8)
    dot[20, 20] = 255
    blurred = faults.blur(dot).astype(float)[..., 0]
    y, x = np.indices(blurred.shape) - 20
    expected = 255 * np.exp(-(x**2 + y**2) / (2 * 2.0**2)) / (2 * np.pi * 2.0**2)
    assert np.abs(blurred - expected).max() < 0.6
    assert (faults.noise(photo) - values).std() == pytest.approx(20, rel=0.05)
    steps = faults.seams(photo).astype(int) - photo
    assert np.ptp(steps[:64, :64]) == 0 and np.abs(steps).max() <= faults.SEAM_LEVELS < np.ptp(steps) + 5
    moved = faults.seams(photo, origin=(32, 32)).astype(int) - photo
    assert np.ptp(moved[:32, :32]) == np.ptp(moved[32:96, 32:96]) == 0 and (moved != steps).any()


def test_a_palette_is_taken_over_and_structure_is_kept():
    painted = faults.palette_of(PAINTINGS)(PHOTOS[0])
    pooled = np.concatenate([painting.reshape(-1, 3) for painting in PAINTINGS])
    for share in (10, 50, 90):
        found, wanted = (np.percentile(p.reshape(-1, 3), share, axis=0) for p in (painted, pooled))
        np.testing.assert_allclose(found, wanted, atol=4)
    order = np.argsort(PHOTOS[0][..., 0].reshape(-1), kind="stable")
    assert (np.diff(painted[..., 0].reshape(-1)[order].astype(int)) >= 0).all()


def test_paintings_take_turns_and_are_mirrored_on():
    instead = faults.paintings_instead(PAINTINGS[:2])
    first, second, third = (instead(PHOTOS[0]) for _ in range(3))
    np.testing.assert_array_equal(first[:120, :150], PAINTINGS[0])
    np.testing.assert_array_equal(first[120:, :150], PAINTINGS[0][:-9:-1])
    assert (second[:120, :150] == PAINTINGS[1]).all() and (third == first).all()


# --- the figures ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def measured():
    evaluation = Evaluation(
        PHOTOS, PAINTINGS[::2], settings=Settings(crops=12, crop_px=64, feature_crops=48, resamples=0)
    )
    rows = faults.FAULTS | {"paintings": faults.paintings_instead(PAINTINGS[1::2])}
    return {name: evaluation.report(fault) for name, fault in rows.items()}


@pytest.mark.slow
@pytest.mark.parametrize("name", DISTANCES)
def test_no_style_figure_prefers_the_photographs_or_a_constant_to_paintings(measured, name):
    painted = measured["paintings"].distances[name].gap_closed
    assert painted > 0.5
    for fault in set(faults.FAULTS):
        assert measured[fault].distances[name].gap_closed < painted, fault
    assert measured["identity"].distances[name].gap_closed == pytest.approx(0, abs=1e-9)


@pytest.mark.slow
def test_each_fault_moves_the_figure_that_is_there_for_it(measured):
    identity = measured["identity"]

    def gap(fault, name):
        return measured[fault].distances[name].gap_closed

    assert abs(gap("hue shift", "colour_w1")) > 0.05 and abs(gap("hue shift", "spectrum")) < 0.15
    assert gap("half contrast", "swd") < 0 and gap("half contrast", "spectrum") < 0
    assert gap("blur", "swd_64px") < 0 and abs(gap("blur", "channel_w1")) < 0.05
    assert abs(gap("noise", "colour_w1")) < 0.2 and measured["noise"].edges[0] < 0.9 * identity.edges[0]
    assert measured["hue shift"].colour_difference > 10 > measured["blur"].colour_difference
    assert measured["constant"].effective_rank < 0.1 < measured["hue shift"].effective_rank


@pytest.mark.slow
def test_seams_are_seen_by_their_own_figure_and_by_hardly_another(measured):
    grid = {"tile": (64, 64)}
    natural = [_textured(k) for k in range(3)]
    for photo in natural:
        assert seams.seam_step_z(ArrayRows(photo), **grid).z < 3
        assert seams.seam_step_z(ArrayRows(faults.seams(photo)), **grid).z > 3
    for name in DISTANCES:
        assert measured["seams"].distances[name].gap_closed < 0.35, name
    assert min(measured["seams"].edges) > 0.9


def _textured(seed, *, side=512):
    """Smooth noise at all scales, like a photograph's."""
    rng = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None])
    spectrum = np.fft.rfft2(rng.normal(size=(3, side, side))) / np.maximum(frequency, 1 / side) ** 1.5
    values = np.fft.irfft2(spectrum, s=(side, side)).transpose(1, 2, 0)
    return np.clip(128 + 30 * values / values.std(), 0, 255).astype(np.uint8)


# --- the script -------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_script_makes_its_table_of_the_sample_set(tmp_path):
    manifest = build.plan(count=12, seed=0, long_side_px=512, hd_width_px=64, hd_height_px=48)
    build.write(manifest, tmp_path / "samples", overwrite=False, workers=2)
    done = subprocess.run(
        [
            sys.executable,
            "benchmarks/bench_sensitivity.py",
            f"--content_dir={tmp_path / 'samples/photos'}",
            f"--style_dir={tmp_path / 'samples/paintings'}",
            "--content_px=512",
            "--style_px=512",
            "--crops=16",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=500,
    )
    header, *rows, verdict, line = done.stdout.splitlines()
    summary = json.loads(line)
    assert done.returncode == 0 and summary["wrong"] == [], done.stderr
    assert verdict.startswith("no headline prefers")
    assert [row.split("  ")[0] for row in rows] == list(summary["rows"]) and "coherence" in header
    found = summary["rows"]
    assert found["identity"]["kid"] == pytest.approx(0, abs=1e-6)
    assert found["identity"]["edges"] == pytest.approx(1) and found["constant"]["edges"] == 0
    assert found["seams"]["GSE"] > found["identity"]["GSE"] == 0
