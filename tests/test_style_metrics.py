"""colour, strokes, content and health: each number against a case whose answer is known."""

import numpy as np
import pytest
import pyvips

from gan_hd.metrics import colour, content, health, strokes


def _rng(seed=0):
    return np.random.default_rng(seed)


def _noise(n=6, side=64, *, seed=0, gain=0.3):
    return np.clip(_rng(seed).normal(size=(n, side, side, 3)) * gain, -1, 1).astype(np.float32)


def _wave(period, angle, side=64, n=2):
    y, x = np.mgrid[:side, :side]
    wave = 0.5 * np.sin(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / period)
    return np.repeat(np.repeat(wave[None, ..., None], 3, axis=-1), n, axis=0).astype(np.float32)


# --- colour -----------------------------------------------------------------------------------------------------


def test_pixels_are_the_crops_own_in_levels():
    crops = _noise()
    for crop, pixels in zip(crops, colour.pixels_of(crops, per_crop=20), strict=True):
        levels = (crop.reshape(-1, 3) + 1) * 127.5
        assert all(np.abs(levels - pixel).sum(axis=1).min() < 1e-4 for pixel in pixels)


def test_a_shift_of_colour_is_its_length_in_levels():
    pixels = colour.pixels_of(_noise())
    moved = pixels + np.array([10, -20, 0], np.float32)
    assert colour.channel_w1(moved, pixels) == pytest.approx(10, rel=1e-5)
    # Half of the shift's length: the mean |cos| in three dimensions.
    expected = np.hypot(10, 20) / 2
    assert colour.colour_w1(moved, pixels, directions=4000) == pytest.approx(expected, rel=0.03)
    assert colour.channel_w1(pixels, pixels) == colour.colour_w1(pixels, pixels) == 0


def test_the_colour_cube_sees_what_no_channel_shows():
    """Grey pixels against pixels whose channels have the same histograms but do not go together."""
    grey = np.repeat(_rng().uniform(0, 255, (5000, 1)), 3, axis=1)
    mixed = np.stack([_rng(k).permutation(grey[:, k]) for k in range(3)], axis=1)
    assert colour.channel_w1(mixed, grey) == pytest.approx(0, abs=1e-9)
    assert colour.colour_w1(mixed, grey) > 10


def test_lab_is_libvips():
    levels = _rng().integers(0, 256, (8, 8, 3), dtype=np.uint8)
    theirs = pyvips.Image.new_from_array(levels, interpretation="srgb").colourspace("lab").numpy()
    np.testing.assert_allclose(colour.lab(levels / 127.5 - 1), theirs, atol=0.1)


def test_lab_of_white_grey_and_red():
    np.testing.assert_allclose(colour.lab(np.array([1.0, 1, 1])), [100, 0, 0], atol=0.02)
    np.testing.assert_allclose(colour.lab(np.array([-1.0, -1, -1])), [0, 0, 0], atol=1e-6)
    np.testing.assert_allclose(colour.lab(np.array([1.0, -1, -1])), [53.24, 80.09, 67.20], atol=0.05)


# --- strokes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("angle", [0, 0.4, 1.2, np.pi / 2])
def test_stripes_point_one_way_and_noise_does_not(angle):
    assert (strokes.coherence(_wave(12, angle)) > 0.97).all()
    assert (strokes.coherence(_noise(side=128)) < 0.3).all()
    crossed = (_wave(12, angle) + _wave(12, angle + np.pi / 2)) / 2
    assert (strokes.coherence(crossed) < strokes.coherence(_wave(12, angle)) - 0.2).all()


def test_coherence_does_not_depend_on_contrast_or_brightness_and_flat_crops_have_none():
    wave = _wave(10, 0.5)
    np.testing.assert_allclose(strokes.coherence(wave * 0.2 + 0.3), strokes.coherence(wave), rtol=1e-3)
    np.testing.assert_array_equal(strokes.coherence(np.full((2, 64, 64, 3), 0.3, np.float32)), 0)


@pytest.mark.parametrize(("period", "octave"), [(3, 0), (6, 1), (12, 2), (24, 3)])
def test_a_wave_is_in_its_octave_with_its_own_deviation(period, octave):
    found = strokes.spectrum(_wave(period, 0.3, side=128))[0]
    assert int(np.argmax(found)) == octave and len(found) == 6
    assert found[octave] == pytest.approx(0.5 / np.sqrt(2) * 127.5, rel=0.1)
    assert strokes.spectrum(_wave(period, 0.3, side=128) * 0 + 0.4).max() < 1e-6


def test_twice_the_contrast_is_a_distance_of_one():
    crops = (
        sum(np.kron(_noise(8, cells), np.ones((1, 64 // cells, 64 // cells, 1))) for cells in (4, 16, 64)) / 8
    )
    first, second = strokes.spectrum(crops), strokes.spectrum(crops * 2)
    assert strokes.spectrum_distance(second, first) == pytest.approx(1, rel=1e-6)
    assert strokes.spectrum_distance(first, first) == 0


def test_coherence_distance_is_a_shift():
    values = _rng().uniform(0.1, 0.5, 30)
    assert strokes.coherence_distance(values + 0.2, values) == pytest.approx(0.2)


# --- content ----------------------------------------------------------------------------------------------------


def _photo(seed=0):
    blocks = np.kron(_rng(seed).uniform(-1, 1, (8, 12, 3)), np.ones((16, 16, 1)))
    return blocks.astype(np.float32)


def test_the_same_edges_correlate_whatever_the_colours():
    photo = _photo()
    assert content.edge_correlation(photo, photo) == pytest.approx((1, 1, 1))
    assert content.edge_correlation(photo, -0.5 * photo + 0.1) == pytest.approx((1, 1, 1), abs=1e-6)
    assert max(np.abs(content.edge_correlation(photo, _photo(1)[::-1, ::-1]))) < 0.7
    assert all(np.isnan(content.edge_correlation(photo, photo * 0)))


def test_fine_texture_hides_edges_at_the_finest_scale_first():
    photo = _photo()
    found = content.edge_correlation(photo, photo + _noise(1, 192)[0, :128] * 0.5)
    assert found[0] < found[1] < found[2] < 1


def test_sobel_of_a_ramp():
    y, x = np.mgrid[:6, :7].astype(float)
    np.testing.assert_allclose(content.sobel(3 * x), 24)  # 8 times the slope
    np.testing.assert_allclose(content.sobel(3 * x + 4 * y), 40)


def test_colour_difference_sees_areas_and_not_strokes():
    photo = _photo() * 0.5
    assert content.colour_difference(photo, photo) == 0
    chequered = np.indices(photo.shape[:2]).sum(axis=0)[..., None] % 2 * 0.2 - 0.1
    assert content.colour_difference(photo, photo + chequered) < 1.5
    white, black = np.ones((40, 40, 3)), -np.ones((40, 40, 3))
    assert content.colour_difference(white, black) == pytest.approx(100, abs=0.01)


def test_tone_correlation_tells_a_picture_from_its_negative():
    photo = _photo() * 0.5
    assert content.tone_correlation(photo, photo) == pytest.approx(1)
    assert content.tone_correlation(photo, -photo) == pytest.approx(-1)
    np.testing.assert_allclose(content.edge_correlation(photo, -photo), 1)  # which edges do not
    assert (
        content.tone_correlation(photo, 0.3 * photo[..., ::-1] + 0.2) > 0.5
    )  # another palette, the same tones
    assert np.isnan(content.tone_correlation(photo, np.zeros_like(photo)))


def test_tone_variation_sees_patches_that_came_from_nowhere():
    cells = _rng().uniform(-0.5, 0.5, (5, 6, 3))
    photo = cells.repeat(16, axis=0).repeat(16, axis=1)
    assert content.tone_variation(photo, photo, tile_px=16) == pytest.approx(0, abs=1e-6)
    assert content.tone_variation(photo, np.zeros_like(photo), tile_px=16) == pytest.approx(
        0, abs=1e-6
    )  # affine too
    patched = photo.copy()
    patched[16:32, 32:48] = [1.0, -1.0, 1.0]
    assert content.tone_variation(photo, patched, tile_px=16) > 5
    assert np.isnan(content.tone_variation(photo[:32], patched[:32], tile_px=16))  # 12 tiles


def test_tone_variation_of_noise_is_what_the_fit_leaves():
    """Independent tones: of n tiles, four degrees of freedom go into the fit."""
    photo, other = (_rng(seed).normal(0, 0.05, (20, 20, 3)).repeat(4, 0).repeat(4, 1) for seed in (1, 2))
    spread = content.lab(other[::4, ::4]).reshape(-1, 3).std(axis=0)
    expected = np.sqrt(np.square(spread).sum())
    assert content.tone_variation(photo, other, tile_px=4) == pytest.approx(expected, rel=0.05)


def test_paired_error_is_in_levels():
    photo = _photo()
    assert content.paired_error(photo + 2 / 255, photo) == pytest.approx(1, rel=1e-4)


def test_pictures_of_two_sizes_are_refused():
    with pytest.raises(ValueError, match="Received"):
        content.edge_correlation(_photo(), _photo()[:-1])


# --- health -----------------------------------------------------------------------------------------------------


def test_effective_rank_counts_directions():
    points = _rng().normal(size=(20_000, 5))
    assert health.effective_rank(points) == pytest.approx(5, rel=0.01)
    assert health.effective_rank(points * [1, 1, 0, 0, 0]) == pytest.approx(2, rel=0.01)
    assert health.effective_rank(np.outer(points[:, 0], points[0])) == pytest.approx(1, abs=1e-6)
    assert health.effective_rank(np.ones((10, 4))) == 1


def test_copies_are_found_and_others_are_not():
    reference, pictures = _rng().normal(size=(600, 6)), np.arange(600) % 20
    fresh = _rng(1).normal(size=(500, 6))
    assert health.copy_rate(fresh, reference, pictures=pictures) < 0.04
    copied = reference[:500] + 1e-3
    assert health.copy_rate(copied, reference, pictures=pictures) == 1
    half = np.concatenate([copied[:250], fresh[:250]])
    assert health.copy_rate(half, reference, pictures=pictures) == pytest.approx(0.5, abs=0.03)


def test_crops_of_the_same_painting_are_no_measure_of_copying():
    """Two crops of one painting are alike; were they counted, no copy would be nearer than that."""
    twins = np.repeat(_rng().normal(size=(100, 6)), 2, axis=0) + _rng(1).normal(size=(200, 6)) * 1e-3
    copied = twins[::2] + 2e-3
    assert health.copy_rate(copied, twins, pictures=np.arange(200) // 2) == 1
    with pytest.raises(ValueError, match="two pictures"):
        health.copy_rate(copied, twins, pictures=np.zeros(200, int))
