"""Seam figures of stand-in models whose faults are known."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

from gan_hd import seam_figures, tiling


class _Model:
    """Gives the picture back; `fault` levels are added on every second tile of the given modes."""

    metadata = {"stride_px": 8, "radius_px": 8, "tile_px": 64}

    def __init__(self, fault, *, modes):
        self.fault, self.modes = fault, modes

    def plan(self, height, width, *, mode, tile_px):
        side = tile_px or self.metadata["tile_px"]
        if mode == "grid":
            return tiling.plan_grid(height, width, tile_px=side, stride_px=8)
        return SimpleNamespace(pitch=(64, 64))

    def translate(self, photo, *, mode, tile_px, origin):
        y, x = np.indices(photo.shape[:2])
        odd = ((y + 64 - origin[0]) // 64 + (x + 64 - origin[1]) // 64) % 2
        return photo + (odd[..., None] * self.fault * (mode in self.modes)).astype(np.uint8)

    def translate_whole(self, photo):
        return photo.copy()


@pytest.fixture
def photos():
    rng = np.random.default_rng(0)
    return [rng.integers(60, 180, (192, 256, 3), dtype=np.uint8) for _ in range(2)]


def test_a_model_without_a_fault_has_none(photos):
    measured = seam_figures.measure(_Model(0, modes=()), photos)
    for mode in ("exact", "grid"):
        assert measured.figures[f"{mode}_gse_mean"] == measured.figures[f"{mode}_gse_max"] == 0
        assert measured.figures[f"{mode}_ssz"] == measured.figures[f"{mode}_ssz_of_photos"] < 3
        assert measured.heats[mode].max() == 0
    assert measured.figures["exact_whole_mean"] == measured.figures["exact_whole_max"] == 0


def test_tiles_that_differ_from_one_piece_are_told_in_levels(photos):
    figures = seam_figures.measure(_Model(6, modes=("exact",)), photos).figures
    assert figures["exact_whole_max"] == 6 and figures["exact_whole_mean"] == pytest.approx(3)
    assert figures["exact_gse_max"] == 6 and figures["grid_gse_max"] == 0
    assert "grid_whole_max" not in figures


def test_the_heat_map_is_of_the_first_photograph(photos):
    measured = seam_figures.measure(_Model(6, modes=("grid",)), photos)
    assert measured.heats["grid"].shape == (192, 256) and measured.heats["grid"].max() == 6


def test_photographs_too_large_for_one_piece_are_left_out(photos, monkeypatch):
    monkeypatch.setattr(seam_figures, "WHOLE_PX", 192 * 256 - 1)
    assert "exact_whole_max" not in seam_figures.measure(_Model(6, modes=("exact",)), photos).figures


def test_figures_that_no_photograph_has_are_nan():
    assert math.isnan(seam_figures._summary("grid_ssz", [math.nan, math.nan]))
    assert seam_figures._summary("grid_ssz", [math.nan, 2.0, 4.0]) == 3
    assert seam_figures._summary("grid_gse_max", [1.0, 5.0]) == 5
