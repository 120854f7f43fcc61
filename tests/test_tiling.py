"""Geometry over odd sizes; tests/test_engine.py carries plans out."""

import numpy as np
import pytest

from gan_hd import tiling


def _exact(h, w, **options):
    return tiling.plan_exact(h, w, tile_px=16, radius_px=5, stride_px=4, **options)


def test_windows_start_on_the_stride_and_kept_parts_cover_the_picture_once():
    plan = tiling.plan_exact(45, 70, tile_px=16, radius_px=6, stride_px=4, origin=(8, 12))
    covered = np.zeros((45, 70), int)
    for tile in plan.tiles:
        assert tile.read_y % 4 == tile.read_x % 4 == 0
        covered[tile.y : tile.y + tile.height, tile.x : tile.x + tile.width] += 1
    assert (covered == 1).all()


@pytest.mark.parametrize("overlap", [1, 4, 8])
def test_blend_weights_sum_to_one(overlap):
    plan = tiling.plan_blend(50, 40, tile_px=16, overlap_px=overlap)
    total, weights = np.zeros((50, 40)), tiling.blend_weights(plan)[..., 0]
    for t in plan.tiles:
        top, left = t.y - t.read_y, t.x - t.read_x
        total[t.y : t.y + t.height, t.x : t.x + t.width] += weights[
            top : top + t.height, left : left + t.width
        ]
    np.testing.assert_allclose(total, 1, atol=1e-6)


def test_reflection_goes_on_as_often_as_it_must():
    assert tiling.reflected(-4, 11, 3).tolist() == [2, 2, 1, 0, 0, 1, 2, 2, 1, 0, 0]
    wide = np.pad(np.arange(12).reshape(3, 4), ((5, 6), (9, 2)), "symmetric")
    picked = np.arange(12).reshape(3, 4)[np.ix_(tiling.reflected(-5, 14, 3), tiling.reflected(-9, 15, 4))]
    np.testing.assert_array_equal(picked, wide)


def test_halo_is_a_multiple_of_the_stride():
    assert [tiling.halo_px(radius_px=r, stride_px=8) for r in (0, 1, 8, 9)] == [0, 8, 8, 16]


@pytest.mark.parametrize("side", [1, 7, 16, 17, 33, 100, 130])
@pytest.mark.parametrize("limit", [16, 30, 64])
def test_exact_tiles_are_even_and_as_few_as_the_limit_allows(side, limit):
    plan = tiling.plan_exact(side, 5, tile_px=limit, radius_px=5, stride_px=4)
    rounded = -(-limit // 4) * 4
    assert plan.pitch[0] <= rounded and plan.pitch[0] % 4 == 0
    assert len(plan.bands) <= -(-side // rounded)
    # No window is empty but for the rounding: at most a stride less per tile.
    assert plan.pitch[0] * len(plan.bands) < side + 4 * len(plan.bands)


def test_the_last_row_read_is_the_last_a_window_shows():
    plan = _exact(45, 20)
    for k, band in enumerate(plan.bands):
        shown = tiling.reflected(band[0].read_y, plan.window_h, 45)
        assert plan.last_row_read(k) == shown.max() + 1
    # Halo 8: the second band of 16 rows keeps 16…31 and reads 8…39.
    assert plan.last_row_read(1) == 40


def test_bad_requests_are_refused():
    with pytest.raises(ValueError, match="8 px: use larger tiles"):
        tiling.plan_blend(8, 8, tile_px=16, overlap_px=9)
    with pytest.raises(ValueError, match="multiple of 4"):
        tiling.plan_grid(8, 8, tile_px=6, stride_px=4)
    with pytest.raises(ValueError, match="origin"):
        _exact(8, 8, origin=(2, 0))
    with pytest.raises(ValueError, match="at least 1"):
        tiling.plan_grid(0, 8, tile_px=4)
