import numpy as np
import pytest

from gan_hd.metrics import swd as module
from gan_hd.metrics.swd import expand, laplacian_pyramid, patches, swd


def _crops(n, *, seed=0, side=64):
    """Smooth noise of several scales, so that every level of the pyramid has something to say."""
    rng = np.random.default_rng(seed)
    crops = np.zeros((n, side, side, 3), np.float32)
    for cells in (4, 16, 64):
        noise = rng.normal(size=(n, cells, cells, 3)).astype(np.float32)
        crops += np.kron(noise, np.ones((1, side // cells, side // cells, 1), np.float32)) * 0.15
    return np.clip(crops, -1, 1)


def _distance(sample, reference, **options):
    return swd(patches(sample, per_crop=16), patches(reference, per_crop=16, seed=1), **options)


@pytest.mark.parametrize("size", [(64, 64), (33, 50), (16, 90)])
def test_the_levels_add_up_to_the_picture(size):
    crops = np.random.default_rng(0).normal(size=(2, *size, 3)).astype(np.float32)
    *levels, total = laplacian_pyramid(crops)
    for level in reversed(levels):
        total = level + expand(total, level.shape[1:3])
    np.testing.assert_allclose(total, crops, atol=1e-5)


def test_a_constant_is_only_in_the_coarsest_level():
    *levels, rest = laplacian_pyramid(np.full((1, 64, 64, 3), 0.25, np.float32))
    assert [level.shape[1] for level in (*levels, rest)] == [64, 32, 16]
    np.testing.assert_allclose(rest, 0.25, atol=1e-6)
    for level in levels:
        np.testing.assert_allclose(level, 0, atol=1e-6)


def test_a_wave_is_in_the_level_of_its_octave():
    x = np.arange(128)
    for octave, period in enumerate((3, 10, 20)):
        wave = np.sin(2 * np.pi * x / period)[None, None, :, None] * np.ones((1, 128, 1, 3))
        energy = [float(np.square(level).mean()) for level in laplacian_pyramid(wave.astype(np.float32))]
        assert int(np.argmax(energy)) == octave


def test_patches_are_cut_from_the_level_where_they_say():
    level = np.arange(20 * 30 * 3, dtype=np.float32).reshape(1, 20, 30, 3)
    (found,) = module._cut(level, 50, np.random.default_rng(0))
    for patch in found.reshape(50, 7, 7, 3):
        y, x = divmod(int(patch[0, 0, 0]) // 3, 30)
        np.testing.assert_array_equal(patch, level[0, y : y + 7, x : x + 7])


def test_the_same_patches_are_at_no_distance_and_others_of_the_kind_near():
    reference = patches(_crops(40))
    levels, mean = swd(reference, reference)
    assert levels == (0, 0, 0) and mean == 0
    levels, mean = _distance(_crops(60, seed=5), _crops(40))
    assert len(levels) == 3 and 0 < mean < 0.1  # the floor: of unequal sets too


def test_a_shift_of_colour_is_seen_in_the_coarsest_level_only_and_has_the_known_size():
    """All 147 coordinates move by s/deviation: on average W1 is that times E|⟨v, 1⟩| = √147·√(2/(π·147))."""
    reference = patches(_crops(40))
    moved = patches(_crops(40) + np.float32(0.5))
    levels, _ = swd(moved, reference, directions=4000)
    deviation = reference.levels[-1].reshape(-1, 3).std(axis=0)
    assert levels[-1] == pytest.approx((0.5 / deviation).mean() * np.sqrt(2 / np.pi), rel=0.05)
    np.testing.assert_allclose(levels[:-1], 0, atol=1e-4)


def test_contrast_and_blur_are_seen():
    crops, other = _crops(40), _crops(40, seed=5)
    floor = _distance(other, crops)[0]
    pale = _distance(other * np.float32(0.6), crops)[0]
    assert min(p / f for p, f in zip(pale, floor, strict=True)) > 2
    blurred = _distance(module._blur(other), crops)[0]
    assert blurred[0] > 5 * floor[0] and blurred[-1] < 1.2 * floor[-1]


def test_crops_can_be_taken_again():
    chosen = patches(_crops(6)).take(np.array([5, 0, 0]))
    np.testing.assert_array_equal(chosen.levels[0][2], patches(_crops(6)).levels[0][0])


@pytest.mark.parametrize("shape", [(3, 15, 64, 3), (64, 64, 3)])
def test_bad_crops_are_refused(shape):
    with pytest.raises(ValueError, match="Received"):
        patches(np.zeros(shape, np.float32))
