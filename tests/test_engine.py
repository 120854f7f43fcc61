"""Plans carried out with simple predictors over odd sizes, in one go and resumed."""

import threading

import numpy as np
import pytest

from gan_hd import engine, tiling
from gan_hd.streaming import ArrayRows

SIZES = [(1, 1), (1, 37), (5, 3), (16, 16), (33, 70), (64, 17)]
PLANS = {
    "exact": lambda h, w, o: tiling.plan_exact(h, w, tile_px=16, radius_px=5, stride_px=4, origin=o),
    "grid": lambda h, w, o: tiling.plan_grid(h, w, tile_px=16, stride_px=4, origin=o),
    "blend": lambda h, w, o: tiling.plan_blend(h, w, tile_px=16, overlap_px=8, stride_px=4, origin=o),
}


def _to_float(pixels, ys, xs):
    assert pixels.shape[:2] == (len(ys), len(xs))
    return pixels.astype(np.float32)


def _run(picture, plan, predict, *, into=None, **options):
    result = ArrayRows(np.full(picture.shape, np.nan, np.float32) if into is None else into)
    engine.paint(
        ArrayRows(picture),
        plan,
        predict,
        result.write,
        to_float=_to_float,
        from_float=lambda x: x,
        **options,
    )
    return result.pixels


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
    picture = np.random.default_rng(0).uniform(-1, 1, (*size, 3)).astype(np.float32)
    plan = tiling.plan_exact(*size, tile_px=tile_px, radius_px=5, stride_px=4, origin=origin)
    whole = np.pad(picture, [(8, 8), (8, 8), (0, 0)], "symmetric")
    expected = _box_blur(5)(whole[None])[0, 8:-8, 8:-8]
    np.testing.assert_allclose(_run(picture, plan, _box_blur(5)), expected, atol=1e-5)


def test_grid_tiles_do_not_see_each_other():
    picture = np.random.default_rng(0).uniform(-1, 1, (32, 32, 3)).astype(np.float32)
    out = _run(picture, tiling.plan_grid(32, 32, tile_px=16), _box_blur(2))
    np.testing.assert_allclose(out[16:, :16], _box_blur(2)(picture[None, 16:, :16])[0], atol=1e-6)
    assert np.abs(out - _box_blur(2)(picture[None])[0]).max() > 0.01


@pytest.mark.parametrize("mode", PLANS)
@pytest.mark.parametrize("origin", [(0, 0), (8, 4)])
def test_work_that_stopped_goes_on_with_the_same_result(mode, origin):
    picture = np.random.default_rng(0).uniform(-1, 1, (70, 41, 3)).astype(np.float32)
    plan = PLANS[mode](70, 41, origin)
    expected = _run(picture, plan, _box_blur(5))
    calls, told, half = 0, [], np.full(picture.shape, np.nan, np.float32)

    def tires(windows):
        nonlocal calls
        calls += 1
        if calls > len(plan.tiles) // 2:
            raise MemoryError
        return _box_blur(5)(windows)

    with pytest.raises(MemoryError):
        _run(picture, plan, tires, into=half, rows_done=told.append)
    assert told and 0 < told[-1] < 70
    np.testing.assert_array_equal(half[: told[-1]], expected[: told[-1]])
    seen = []

    def counts(windows):
        seen.append(1)
        return _box_blur(5)(windows)

    half[told[-1] :] = np.nan
    _run(picture, plan, counts, into=half, first_row=told[-1], rows_done=told.append)
    # What sums overlapping tiles up adds the same numbers, perhaps in another order.
    np.testing.assert_allclose(half, expected, atol=0 if mode != "blend" else 1e-6)
    assert len(seen) < len(plan.tiles) and told[-1] == 70 and told == sorted(set(told))


def test_rows_are_reported_only_when_they_are_written():
    picture, written, told = np.zeros((64, 40, 3)), np.zeros((64, 40), bool), []

    def write(y, x, pixels):
        written[y : y + pixels.shape[0], x : x + pixels.shape[1]] = True

    def rows_done(rows):
        assert written[:rows].all()
        told.append(rows)

    engine.paint(
        ArrayRows(picture),
        PLANS["exact"](64, 40, (0, 0)),
        lambda x: x,
        write,
        to_float=_to_float,
        from_float=lambda x: x,
        rows_done=rows_done,
    )
    assert told == [16, 32, 48, 64]


@pytest.mark.parametrize("column", [0, 32])  # the first and the last tile of a band
def test_a_failed_write_stops_the_work_and_is_not_reported_as_done(column):
    told, calls = [], []

    def write(y, x, pixels):
        if y >= 16 and x == column:
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        engine.paint(
            ArrayRows(np.zeros((64, 40, 3))),
            PLANS["exact"](64, 40, (0, 0)),
            lambda x: calls.append(1) or x,
            write,
            to_float=_to_float,
            from_float=lambda x: x,
            rows_done=told.append,
        )
    assert told == [16] and len(calls) < 12


def test_the_next_windows_are_read_while_one_batch_is_predicted():
    """The first prediction waits until the second batch was read: it would hang if reading came after."""

    class Watched(ArrayRows):
        def __init__(self, pixels):
            super().__init__(pixels)
            self.second = threading.Event()
            self.waits = []

        def wait(self, last):
            self.waits.append(last)
            if len(self.waits) == 2:
                self.second.set()

    source = Watched(np.zeros((64, 16, 3)))

    def predict(windows):
        assert source.second.wait(20)
        return windows

    engine.paint(
        source,
        PLANS["exact"](64, 16, (0, 0)),
        predict,
        lambda y, x, pixels: None,
        to_float=_to_float,
        from_float=lambda x: x,
    )
    assert source.waits == [24, 40, 56, 64]  # tiles of 16 rows, halo 8: no more than each band needs


@pytest.mark.parametrize("mode", PLANS)
def test_progress_adds_up_to_the_picture(mode):
    pixels = []
    _run(np.zeros((40, 30, 3)), PLANS[mode](40, 30, (0, 0)), lambda x: x, done=pixels.append)
    assert sum(pixels) == pytest.approx(40 * 30)


def test_a_predictor_that_changes_the_shape_is_refused():
    with pytest.raises(ValueError, match="keep the shape"):
        _run(np.zeros((8, 8, 3)), PLANS["grid"](8, 8, (0, 0)), lambda x: x[:, 1:])
