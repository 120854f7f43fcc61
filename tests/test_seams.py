"""Seam metrics against loops over single pixels, and against seams planted on purpose."""

import json
import math
from dataclasses import dataclass

import numpy as np
import pytest

from gan_hd.metrics import seams

# (height, width), tile, origin: odd sizes, tiles that are not square, slivers, origins off and beyond the tile.
GEOMETRIES = [
    ((61, 83), (26, 31), (0, 0)),
    ((61, 83), (26, 31), (13, 15)),
    ((75, 40), (40, 27), (3, 100)),
    ((53, 90), (52, 30), (0, -7)),
    ((30, 64), (5, 32), (1, 30)),
]


@dataclass
class _Rows:
    """A picture in memory behind the protocol; insists on bands in order, without gaps."""

    pixels: np.ndarray
    read: int = 0

    @property
    def height(self) -> int:
        return self.pixels.shape[0]

    @property
    def width(self) -> int:
        return self.pixels.shape[1]

    def rows(self, y0: int, y1: int) -> np.ndarray:
        assert y0 == self.read and y0 < y1 <= self.height
        self.read = y1
        return self.pixels[y0:y1]


def _noise(size, *, dtype=np.uint8, seed=0):
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max + 1, (*size, 3), dtype=dtype)


def _textured(size, *, seed):
    """Waves of several lengths and directions, and noise: float, away from 0 and 255."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: size[0], : size[1]][..., None]
    waves = sum(
        2 * np.sin(fy * y + fx * x + shift)
        for fy, fx, shift in zip(*rng.uniform(-0.3, 0.3, (2, 8)), rng.uniform(0, 6.3, (8, 3)), strict=True)
    )
    return 128 + waves + rng.normal(0, 3, (*size, 3))


def _gse(a, b, *, tile=(64, 64), origins=((0, 0), (32, 32)), **options):
    first, second = _Rows(a), _Rows(b)
    result = seams.grid_shift_error(first, second, tile=tile, origins=origins, **options)
    assert first.read == second.read == len(a)
    return result


def _ssz(pixels, *, tile=(64, 64), origin=(0, 0)):
    picture = _Rows(pixels)
    result = seams.seam_step_z(picture, tile=tile, origin=origin)
    assert picture.read == len(pixels)
    return result


# --- oracles: one pixel, one border, one side at a time ---


def _borders(side, tile, origin):
    return [p for p in range(1, side) if (p - origin) % tile == 0]


def _gse_by_hand(a, b, *, tile, origins, unit):
    height, width = a.shape[:2]
    ys = [y for o in origins for y in _borders(height, tile[0], o[0])]
    xs = [x for o in origins for x in _borders(width, tile[1], o[1])]
    at, elsewhere = [], []
    for y in range(height):
        for x in range(width):
            near = any(p - 8 <= y < p + 8 for p in ys) or any(p - 8 <= x < p + 8 for p in xs)
            target = at if near else elsewhere
            target.extend(abs(int(a[y, x, c]) - int(b[y, x, c])) / unit for c in range(3))
    values = sorted(at + elsewhere)
    return {
        "mean": np.mean(values),
        "p99": values[math.ceil(0.99 * len(values)) - 1],
        "max": values[-1],
        "share_differing": np.mean([v > 0 for v in values]),
        "border_ratio": np.mean(at) / np.mean(elsewhere) if at and elsewhere else math.nan,
    }


def _ssz_by_hand(pixels, *, tile, origin, unit):
    """(z, step, usual) of the vertical borders; the horizontal ones are those of the transposed picture."""
    height, width = pixels.shape[:2]
    cuts = [0, *_borders(height, tile[0], origin[0]), height]
    means = {}
    for phase in range(tile[1]):
        steps, weights = [], []
        for x in range(4, width - 3):
            if (x - origin[1]) % tile[1] != phase:
                continue
            for y0, y1 in zip(cuts[:-1], cuts[1:], strict=True):
                medians = [
                    np.median(
                        [
                            pixels[y, x : x + 4, c].mean() - pixels[y, x - 4 : x, c].mean()
                            for y in range(y0, y1)
                        ]
                    )
                    for c in range(3)
                ]
                steps.append(np.mean(np.abs(medians)) / unit)
                weights.append(y1 - y0)
        if steps:
            means[phase] = np.average(steps, weights=weights)
    others = [m for phase, m in means.items() if 4 < phase < tile[1] - 4]
    step = means.get(0, math.nan)
    if len(others) < 16:
        return math.nan, step, math.nan
    usual = np.median(others)
    spread = 1.4826 * np.median(np.abs(np.array(others) - usual))
    return (step - usual) / spread, step, usual


@pytest.mark.parametrize("dtype, unit", [(np.uint8, 1), (np.uint16, 257)])
@pytest.mark.parametrize("size, tile, origin", [*GEOMETRIES, ((61, 99), (39, 61), (2, 5))])
def test_gse_agrees_with_single_pixels(size, tile, origin, dtype, unit):
    a, b = _noise(size, dtype=dtype), _noise(size, dtype=dtype, seed=1)
    b[::3] = a[::3]
    origins = (origin, (origin[0] + tile[0] // 2, origin[1] + tile[1] // 2))
    got = _gse(a, b, tile=tile, origins=origins)
    expected = _gse_by_hand(a, b, tile=tile, origins=origins, unit=unit)
    assert {key: getattr(got, key) for key in expected} == pytest.approx(expected, rel=1e-12, nan_ok=True)
    largest = np.abs(a.astype(int) - b).max(axis=2) / unit
    np.testing.assert_allclose(got.heat, largest, rtol=1e-6)  # a small picture: one pixel per cell


@pytest.mark.parametrize("dtype, unit", [(np.uint8, 1), (np.uint16, 257)])
@pytest.mark.parametrize("size, tile, origin", GEOMETRIES)
def test_ssz_agrees_with_single_sides(size, tile, origin, dtype, unit):
    pixels = _noise(size, dtype=dtype)
    got = _ssz(pixels, tile=tile, origin=origin)
    for side, expected in (
        (got.vertical, _ssz_by_hand(pixels, tile=tile, origin=origin, unit=unit)),
        (
            got.horizontal,
            _ssz_by_hand(pixels.transpose(1, 0, 2), tile=tile[::-1], origin=origin[::-1], unit=unit),
        ),
    ):
        assert (side.z, side.step, side.usual) == pytest.approx(expected, nan_ok=True)


def test_the_geometries_leave_numbers_to_compare():
    results = [_ssz(_noise(size), tile=tile, origin=origin) for size, tile, origin in GEOMETRIES]
    assert sum(math.isfinite(side.z) for r in results for side in (r.vertical, r.horizontal)) >= 6


# --- GSE ---


def test_equal_translations_have_no_error():
    a = _noise((200, 150))
    got = _gse(a, a.copy())
    assert got.as_dict() == {"mean": 0, "p99": 0, "max": 0, "share_differing": 0, "border_ratio": 1}
    assert got.heat.shape == (200, 150) and not got.heat.any()


@pytest.mark.parametrize("dtype, level", [(np.uint8, 1), (np.uint16, 257)])
@pytest.mark.parametrize("levels", [1, 7])
def test_a_constant_difference_is_told_in_levels(dtype, level, levels):
    a = np.full((200, 150, 3), 20 * level, dtype)
    a[::2] += dtype((levels + 1) * level)
    b = a.copy()
    b[:, :75] += dtype(levels * level)  # of both signs: the difference is unsigned
    b[:, 75:] -= dtype(levels * level)
    got = _gse(a, b)
    assert got.as_dict() == {
        "mean": levels,
        "p99": levels,
        "max": levels,
        "share_differing": 1,
        "border_ratio": 1,
    }
    assert (got.heat == levels).all() and got.heat.dtype == np.float32


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("grid", [0, 1])
def test_a_difference_along_borders_raises_the_ratio(axis, grid):
    origins = ((0, 0), (32, 48))
    a = np.full((320, 320, 3), 100, np.uint8)
    b = a.copy()
    b[100, 200] += 1  # so that elsewhere is not 0
    border = (128, 192)[axis] + origins[grid][axis]
    np.moveaxis(b, axis, 0)[border - 8 : border + 8] += 10
    got = _gse(a, b, tile=(64, 96), origins=origins)
    assert got.border_ratio > 100
    assert got.share_differing == pytest.approx(16 / 320, abs=1e-3) and got.max == got.p99 == 10
    # One pixel further is no longer "at the border".
    np.moveaxis(b, axis, 0)[border + 8] += 10
    assert _gse(a, b, tile=(64, 96), origins=origins).border_ratio < 30


def test_the_pictures_edge_is_no_border():
    a = np.full((320, 320, 3), 100, np.uint8)
    b = a.copy()
    b[:8] += 5
    assert _gse(a, b, tile=(64, 320), origins=((0, 0), (32, 0))).border_ratio == 0


def test_the_ratio_where_a_part_is_empty_or_zero():
    a = np.full((200, 150, 3), 100, np.uint8)
    b = a.copy()
    b[64] += 1
    only_at_borders = _gse(a, b)
    assert only_at_borders.border_ratio == math.inf
    one_tile = _gse(a, b, tile=(300, 300), origins=((0, 0), (0, 0)))
    all_borders = _gse(a, b, tile=(16, 16), origins=((0, 0), (8, 8)))
    assert math.isnan(one_tile.border_ratio) and math.isnan(all_borders.border_ratio)
    for got in (only_at_borders, one_tile, all_borders):
        assert json.loads(json.dumps(got.as_dict(), allow_nan=False))["border_ratio"] is None
    assert one_tile.mean == pytest.approx(1 / 200)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_gse_does_not_depend_on_the_bands(dtype):
    a, b = (_noise((2055, 90), dtype=dtype, seed=seed) for seed in range(2))  # cells of 3 px
    results = [_gse(a, b, band_px=band_px) for band_px in (1, 7, 64, 5000)]
    for result in results[1:]:
        assert result == results[0]
        np.testing.assert_array_equal(result.heat, results[0].heat)


@pytest.mark.parametrize("size", [(1025, 40), (40, 2050), (3, 1024)])
def test_each_pixel_is_in_one_cell_of_the_heat_map(size):
    cell = math.ceil(max(size) / 1024)
    a = np.zeros((*size, 3), np.uint8)
    rng = np.random.default_rng(0)
    for y, x in [
        (0, 0),
        (size[0] - 1, size[1] - 1),
        *zip(*(rng.integers(0, n, 20) for n in size), strict=True),
    ]:
        b = a.copy()
        b[y, x, rng.integers(3)] = 9
        heat = _gse(a, b).heat
        assert max(heat.shape) <= 1024 and heat.shape == tuple(math.ceil(n / cell) for n in size)
        assert np.argwhere(heat).tolist() == [[y // cell, x // cell]] and heat.max() == 9


# --- SSZ ---

SIZE, TILE = (768, 960), (64, 96)


def _tiles_that_differ(size, tile, origin, *, vertical, horizontal):
    """1 where a tile is one level brighter than its neighbours across the borders of the named directions."""
    y, x = (((np.arange(n) - o) // t) % 2 for n, t, o in zip(size, tile, origin, strict=True))
    return ((y[:, None] * horizontal + x[None] * vertical) % 2)[..., None]


@pytest.mark.parametrize(
    "seed, dtype, level", [(0, np.uint8, 1), (1, np.uint8, 1), (2, np.uint8, 1), (3, np.uint16, 257)]
)
@pytest.mark.parametrize("vertical, horizontal", [(1, 1), (1, 0), (0, 1)])
def test_a_step_of_one_level_is_seen_and_its_absence_too(seed, vertical, horizontal, dtype, level):
    origin = (seed * 10, seed * 17)
    clean = _textured(SIZE, seed=seed)
    planted = clean + _tiles_that_differ(SIZE, TILE, origin, vertical=vertical, horizontal=horizontal)
    without, found = (
        _ssz(np.rint(pixels * level).astype(dtype), tile=TILE, origin=origin) for pixels in (clean, planted)
    )
    assert without.z < 3 < found.z
    assert found.z == max(found.vertical.z, found.horizontal.z)
    assert found.step == (found.vertical if found.z == found.vertical.z else found.horizontal).step
    # Only the direction that was planted stands out, and the grid is where it was said to be.
    assert (found.vertical.z > 3) == bool(vertical) and (found.horizontal.z > 3) == bool(horizontal)
    elsewhere = _ssz(
        np.rint(planted * level).astype(dtype), tile=TILE, origin=(origin[0] + 20, origin[1] + 20)
    )
    assert elsewhere.z < 3


def test_the_step_is_told_in_levels():
    """On a flat picture nothing but the seam is left, and every phase off it is 0."""
    for dtype, level in ((np.uint8, 1), (np.uint16, 257)):
        tiles = 100 + 2 * _tiles_that_differ(SIZE, TILE, (0, 0), vertical=1, horizontal=1)
        got = _ssz((np.broadcast_to(tiles, (*SIZE, 3)) * level).astype(dtype), tile=TILE)
        assert got.vertical == got.horizontal == seams.BorderStep(z=2 / seams.MIN_SPREAD, step=2, usual=0)


def test_a_flat_picture_has_no_seam():
    got = _ssz(np.full((200, 200, 3), 7, np.uint8))
    assert got.vertical == got.horizontal == seams.BorderStep(z=0, step=0, usual=0)


def test_sixteen_bits_tell_what_eight_bits_tell():
    a, b = _noise((150, 170)), _noise((150, 170), seed=1)
    wide_a, wide_b = (pixels.astype(np.uint16) * 257 for pixels in (a, b))
    narrow, wide = _gse(a, b), _gse(wide_a, wide_b)
    assert wide.as_dict() == pytest.approx(narrow.as_dict())
    np.testing.assert_allclose(wide.heat, narrow.heat, rtol=1e-6)
    narrow, wide = (_ssz(pixels, tile=(40, 50)).as_dict() for pixels in (a, wide_a))
    for side in ("vertical", "horizontal"):
        assert wide.pop(side) == pytest.approx(narrow.pop(side))
    assert wide == pytest.approx(narrow)


@pytest.mark.parametrize("size", [(1, 1), (1, 200), (7, 3), (64, 64), (67, 60), (3, 8)])
def test_without_borders_there_is_no_z(size):
    a = _noise(size)
    got = _ssz(a)
    if size[1] < 68:  # a border at 64 has no 4 px behind it
        assert math.isnan(got.vertical.z) and math.isnan(got.vertical.step)
        assert math.isnan(got.z) and got.as_dict()["z"] is None
    assert math.isnan(got.horizontal.z) and math.isnan(got.horizontal.step)
    json.dumps(got.as_dict(), allow_nan=False)
    assert _gse(a, a).max == 0


def test_a_direction_without_borders_leaves_the_other():
    got = _ssz(_noise((60, 200)))
    assert math.isnan(got.horizontal.z) and got.z == got.vertical.z and math.isfinite(got.z)
    got = _ssz(_noise((200, 60)))
    assert math.isnan(got.vertical.z) and got.z == got.horizontal.z and math.isfinite(got.z)


def test_tiles_with_too_few_phases_give_a_step_but_no_z():
    got = _ssz(_noise((100, 60)), tile=(24, 60))
    assert math.isnan(got.z) and got.step == got.horizontal.step > 0
    assert math.isfinite(_ssz(_noise((100, 60)), tile=(25, 60)).z)


# --- the heat map as a picture, and what is refused ---


def test_the_ramp_goes_from_black_to_white():
    got = seams.heat_picture(np.array([[0, 1, 2], [3, 4, 9]], np.float32), full_scale=4)
    assert got.dtype == np.uint8
    assert got.tolist() == [
        [[0, 0, 0], [128, 0, 0], [255, 128, 0]],
        [[255, 255, 0], [255, 255, 255], [255, 255, 255]],
    ]
    ramp = seams.heat_picture(np.linspace(0, 1, 256)[None], full_scale=1).astype(int)
    assert (np.diff(ramp.sum(axis=2)) > 0).all()  # brighter is always more


def test_bad_requests_are_refused():
    a = _noise((20, 30))
    with pytest.raises(ValueError, match="one size.*20×30 and 20×29"):
        _gse(a, a[:, :29])
    with pytest.raises(ValueError, match="one dtype.*uint8 and uint16"):
        _gse(a, a.astype(np.uint16))
    with pytest.raises(ValueError, match="of uint8 or uint16.*float64"):
        _gse(a.astype(float), a.astype(float))
    with pytest.raises(ValueError, match=r"\[20, 30, 3\].*\[20, 30, 4\]"):
        _ssz(np.zeros((20, 30, 4), np.uint8), tile=(20, 20))
    with pytest.raises(ValueError, match="at least 1"):
        _ssz(a, tile=(0, 8))
    with pytest.raises(ValueError, match="at least 1"):
        _gse(a, a, tile=(8, 0))
    with pytest.raises(ValueError, match="at least 1"):
        _gse(a[:0], a[:0])
    with pytest.raises(ValueError, match="above 0"):
        seams.heat_picture(np.zeros((2, 2)), full_scale=0)
