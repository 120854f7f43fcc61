"""Geometry against simple predictors over odd sizes."""

import numpy as np
import pytest

from gan_hd import tiling

SIZES = [(1, 1), (1, 37), (5, 3), (16, 16), (33, 70), (64, 17)]
PLANS = {
    "exact": lambda h, w, o: tiling.plan_exact(h, w, tile_px=16, radius_px=5, stride_px=4, origin=o),
    "grid": lambda h, w, o: tiling.plan_grid(h, w, tile_px=16, stride_px=4, origin=o),
    "blend": lambda h, w, o: tiling.plan_blend(h, w, tile_px=16, overlap_px=8, stride_px=4, origin=o),
}


def _run(picture, plan, predict, **options):
    return tiling.run_plan(
        picture, plan, predict, to_float=lambda x: x.astype(np.float32), from_float=lambda x: x, **options
    )


def _box_blur(radius):
    """A predictor of known radius: the mean over (2r+1)², edges replicated."""

    def predict(windows):
        padded = np.pad(windows, [(0, 0), (radius, radius), (radius, radius), (0, 0)], "edge")
        h, w = windows.shape[1:3]
        return sum(
            padded[:, y : y + h, x : x + w] for y in range(2 * radius + 1) for x in range(2 * radius + 1)
        ) / np.float32((2 * radius + 1) ** 2)

    return predict


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("mode", PLANS)
@pytest.mark.parametrize("origin", [(0, 0), (8, 4)])
@pytest.mark.parametrize("batch", [1, 3])
def test_the_identity_gives_the_picture_back(mode, size, origin, batch):
    picture = np.random.default_rng(0).uniform(-1, 1, (*size, 3)).astype(np.float32)
    shapes = set()

    def identity(windows):
        shapes.add(windows.shape)
        return windows

    out = _run(picture, PLANS[mode](*size, origin), identity, batch=batch)
    np.testing.assert_allclose(out, picture, atol=0 if mode != "blend" else 1e-6)
    assert len(shapes) == 1  # one constant shape, the last batch too


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("tile_px", [4, 16, 100])
@pytest.mark.parametrize("origin", [(0, 0), (4, 8)])
def test_exact_tiles_equal_the_whole_picture(size, tile_px, origin):
    picture = np.random.default_rng(0).uniform(-1, 1, (*size, 2)).astype(np.float32)
    plan = tiling.plan_exact(*size, tile_px=tile_px, radius_px=5, stride_px=4, origin=origin)
    whole = np.pad(picture, [(8, 8), (8, 8), (0, 0)], "symmetric")
    expected = _box_blur(5)(whole[None])[0, 8:-8, 8:-8]
    np.testing.assert_allclose(_run(picture, plan, _box_blur(5)), expected, atol=1e-5)


def test_grid_tiles_do_not_see_each_other():
    picture = np.random.default_rng(0).uniform(-1, 1, (32, 32, 1)).astype(np.float32)
    out = _run(picture, tiling.plan_grid(32, 32, tile_px=16), _box_blur(2))
    np.testing.assert_allclose(out[16:, :16], _box_blur(2)(picture[None, 16:, :16])[0], atol=1e-6)
    assert np.abs(out - _box_blur(2)(picture[None])[0]).max() > 0.01


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


def test_windows_beyond_the_border_are_reflected():
    picture = np.arange(3)[None, :, None]
    window = tiling.read_window(picture, 0, -4, 1, 11)
    assert window[0, :, 0].tolist() == [2, 2, 1, 0, 0, 1, 2, 2, 1, 0, 0]
    wide = np.pad(np.arange(12).reshape(3, 4), ((5, 6), (9, 2)), "symmetric")
    got = tiling.read_window(np.arange(12).reshape(3, 4, 1), -5, -9, 14, 15)
    np.testing.assert_array_equal(got[..., 0], wide)


def test_halo_is_a_multiple_of_the_stride():
    assert [tiling.halo_px(radius_px=r, stride_px=8) for r in (0, 1, 8, 9)] == [0, 8, 8, 16]


def test_progress_adds_up_to_the_picture():
    shares = []
    _run(np.zeros((40, 30, 3)), PLANS["blend"](40, 30, (0, 0)), lambda x: x, done=shares.append)
    assert sum(shares) == pytest.approx(1)


def test_bad_requests_are_refused():
    with pytest.raises(ValueError, match="keep the shape"):
        _run(np.zeros((8, 8, 3)), PLANS["grid"](8, 8, (0, 0)), lambda x: x[:, 1:])
    with pytest.raises(ValueError, match="8 px: use larger tiles"):
        tiling.plan_blend(8, 8, tile_px=16, overlap_px=9)
    with pytest.raises(ValueError, match="multiple of 4"):
        tiling.plan_grid(8, 8, tile_px=6, stride_px=4)
    with pytest.raises(ValueError, match="origin"):
        PLANS["exact"](8, 8, (2, 0))
    with pytest.raises(ValueError, match="at least 1"):
        tiling.plan_grid(0, 8, tile_px=4)
