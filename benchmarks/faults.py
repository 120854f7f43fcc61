"""Faults to plant in photographs: what a figure must see, and what it may not be fooled by.

Each takes a photograph uint8 [h, w, 3] and gives uint8 of the same shape; the same photograph gives the same fault.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np

from gan_hd import pixels

#: A photograph -> the photograph with a fault.
Fault = Callable[[np.ndarray], np.ndarray]
#: Side of the tiles whose seams are planted, px.
TILE_PX = 64
#: Their brightness differs by up to so many levels either way.
SEAM_LEVELS = 4
_HUE_DEGREES, _BLUR_PX, _NOISE_LEVELS, _WEAVE_PX, _WEAVE_LEVELS = 120, 2.0, 20, 6, 25


def identity(photo: np.ndarray) -> np.ndarray:
    """The photograph itself."""
    return photo


def constant(photo: np.ndarray) -> np.ndarray:
    """One grey, the same for every photograph."""
    return np.full_like(photo, 128)


def hue_shift(photo: np.ndarray) -> np.ndarray:
    """All hues turned by 120° about the grey axis: R, G and B change places."""
    return np.ascontiguousarray(photo[..., [1, 2, 0]])


def half_contrast(photo: np.ndarray) -> np.ndarray:
    """Half as far from the photograph's mean colour."""
    values = photo.astype(np.float64)
    return _rounded((values + values.mean(axis=(0, 1))) / 2)


def blur(photo: np.ndarray) -> np.ndarray:
    """A Gaussian of σ = 2 px."""
    reach = int(4 * _BLUR_PX)
    taps = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * _BLUR_PX**2))
    taps /= taps.sum()
    values = photo.astype(np.float32)
    for axis in (0, 1):
        padded = np.pad(values, [(reach, reach) if i == axis else (0, 0) for i in range(3)], mode="edge")
        size = values.shape[axis]
        values = sum(
            tap * np.take(padded, range(k, k + size), axis=axis)
            for k, tap in enumerate(taps.astype(np.float32))
        )
    return _rounded(values)


def noise(photo: np.ndarray) -> np.ndarray:
    """Normal noise of 20 levels on each value."""
    return _rounded(photo + np.random.default_rng(0).normal(0, _NOISE_LEVELS, photo.shape))


def wrong_texture(photo: np.ndarray) -> np.ndarray:
    """A regular weave of 6 px and 25 levels over everything: a texture, but no painting's."""
    y, x = np.indices(photo.shape[:2])
    weave = np.sin(2 * np.pi * x / _WEAVE_PX) * np.sin(2 * np.pi * y / _WEAVE_PX)
    return _rounded(photo + _WEAVE_LEVELS * weave[..., None])


def seams(photo: np.ndarray, *, origin: tuple[int, int] = (0, 0)) -> np.ndarray:
    """Each 64-px tile brighter or darker by up to 4 levels, at random; a tile corner falls on `origin`, (y, x)."""
    rows, cols = (
        (np.arange(side) - start) // TILE_PX + 1 for side, start in zip(photo.shape[:2], origin, strict=True)
    )
    rng = np.random.default_rng(0)
    levels = rng.integers(-SEAM_LEVELS, SEAM_LEVELS + 1, (rows.max() + 1, cols.max() + 1, 1))
    return _rounded(photo.astype(np.int64) + levels[rows[:, None], cols[None]])


#: By name, in the order of tables.
FAULTS: dict[str, Fault] = {
    "identity": identity,
    "constant": constant,
    "hue shift": hue_shift,
    "half contrast": half_contrast,
    "blur": blur,
    "noise": noise,
    "wrong texture": wrong_texture,
    "seams": seams,
}


def palette_of(paintings: Sequence[np.ndarray]) -> Fault:
    """A fault that gives a photograph the paintings' palette and nothing else: their histogram in each channel."""
    pooled = np.sort(np.concatenate([p.reshape(-1, 3)[::7] for p in paintings]), axis=0)

    def recoloured(photo: np.ndarray) -> np.ndarray:
        found = np.empty_like(photo)
        for channel in range(3):
            # The share of the photograph that is darker, then the paintings' level at that share.
            counts = np.bincount(photo[..., channel].reshape(-1), minlength=256)
            share = (np.cumsum(counts) - counts / 2) / counts.sum()
            places = np.minimum((share * len(pooled)).astype(int), len(pooled) - 1)
            found[..., channel] = pooled[places, channel][photo[..., channel]]
        return found

    return recoloured


def paintings_instead(paintings: Sequence[np.ndarray]) -> Fault:
    """No fault of style: a painting in place of each photograph, mirrored on until it is as large, in turns."""
    turn = itertools.cycle(paintings)

    def painting(photo: np.ndarray) -> np.ndarray:
        chosen = next(turn)
        rows, cols = (
            max(0, want - have) for want, have in zip(photo.shape[:2], chosen.shape[:2], strict=True)
        )
        large = np.pad(chosen, ((0, rows), (0, cols), (0, 0)), mode="symmetric")
        return np.ascontiguousarray(large[: photo.shape[0], : photo.shape[1]])

    return painting


def _rounded(values: np.ndarray) -> np.ndarray:
    """Levels 0..255 of any real dtype -> uint8, clipped."""
    return pixels.to_integer(np.asarray(values) / pixels.LEVELS - 1)
