"""Sliced Wasserstein distance on Laplacian pyramids: do two sets of crops have the same patches at every scale?

Each level of a pyramid holds the detail of one octave: the finest what a brush's hairs leave, the coarsest (a low-pass
picture) colours and their layout. 7×7 patches of every level are points in 147 dimensions; the distance is that of
the two clouds of points.

Both sets are normalised by the *reference* set's mean and deviation per channel. Normalising each set by its own, as
is often done, makes the distance blind to colour and contrast.

In: crops [n, h, w, 3] float in [-1, 1]. Out: a distance per level, in deviations of the reference set.
Reference: Karras et al., "Progressive growing of GANs" (2018), section 5; Burt and Adelson, "The Laplacian pyramid
as a compact image code" (1983).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gan_hd.metrics.wasserstein import sliced_w1

PATCH_PX = 7
#: Levels stop where a crop's side would fall below this.
MIN_SIDE_PX = 16
# Binomial filter of Burt and Adelson, the same as in OpenCV's pyrDown.
_FILTER = np.array([1, 4, 6, 4, 1], np.float32) / 16
_CHUNK = 64  # crops at once: a pyramid of all of them would not fit in memory


@dataclass(frozen=True)
class Patches:
    """Patches of a set of crops, by level from fine to coarse.

    Attributes:
        levels: for each level, float32 [n, patches, 147]: the patches of crop i are levels[l][i].
        sides_px: the crops' shorter side at each level.
    """

    levels: tuple[np.ndarray, ...]
    sides_px: tuple[int, ...]

    def take(self, crops: np.ndarray) -> Patches:
        """The patches of some crops, which may repeat: int [k] of positions."""
        return Patches(tuple(level[crops] for level in self.levels), self.sides_px)


def patches(crops: np.ndarray, *, per_crop: int = 8, seed: int = 0) -> Patches:
    """Random patches from every level of every crop's pyramid.

    Args:
        crops: [n, h, w, 3] float in [-1, 1], h and w at least 16.
        per_crop: patches of each crop and level.
        seed: of their places, which differ from crop to crop.
    """
    if crops.ndim != 4 or min(crops.shape[1:3]) < MIN_SIDE_PX:
        raise ValueError(f"crops must be [n, h, w, 3] of at least {MIN_SIDE_PX} px. Received: {crops.shape}")
    rng = np.random.default_rng(seed)
    chunks: list[list[np.ndarray]] = []
    sides: tuple[int, ...] = ()
    for start in range(0, len(crops), _CHUNK):
        pyramid = laplacian_pyramid(crops[start : start + _CHUNK].astype(np.float32))
        sides = tuple(min(level.shape[1:3]) for level in pyramid)
        chunks.append([_cut(level, per_crop, rng) for level in pyramid])
    return Patches(tuple(np.concatenate(level) for level in zip(*chunks, strict=True)), sides)


def swd(
    sample: Patches, reference: Patches, *, directions: int = 128, seed: int = 0
) -> tuple[tuple[float, ...], float]:
    """The distance of a sample from a reference set.

    Args:
        sample, reference: sets of any two sizes.
        directions: of the slices, the same for both sets and every call with the same seed.

    Returns:
        per level, fine to coarse, and their mean.
    """
    distances = []
    for ours, theirs in zip(sample.levels, reference.levels, strict=True):
        # Points are patches; their channels interleave: [n·patches, 49, 3].
        ours, theirs = (points.reshape(-1, PATCH_PX**2, 3) for points in (ours, theirs))
        mean, deviation = theirs.mean(axis=(0, 1)), theirs.std(axis=(0, 1)) + 1e-8
        ours, theirs = (((points - mean) / deviation).reshape(len(points), -1) for points in (ours, theirs))
        distances.append(sliced_w1(ours, theirs, directions=directions, seed=seed))
    return tuple(distances), float(np.mean(distances))


def laplacian_pyramid(crops: np.ndarray) -> list[np.ndarray]:
    """[n, h, w, c] -> levels from fine to coarse; the last is the low-pass rest.

    The levels add up: ``crops = level_0 + expand(level_1 + expand(…))``.
    """
    levels = []
    while min(crops.shape[1:3]) >= 2 * MIN_SIDE_PX:
        smaller = _blur(crops)[:, ::2, ::2]
        levels.append(crops - expand(smaller, crops.shape[1:3]))
        crops = smaller
    return [*levels, crops]


def expand(crops: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Twice the size, [n, h, w, c] -> [n, *size, c]: zeros between the pixels, then the filter."""
    spread = np.zeros((len(crops), *size, crops.shape[-1]), crops.dtype)
    weight = np.zeros((1, *size, 1), crops.dtype)
    spread[:, ::2, ::2], weight[:, ::2, ::2] = crops, 1
    return _blur(spread) / _blur(weight)  # near the border fewer pixels count


def _blur(crops: np.ndarray) -> np.ndarray:
    for axis in (1, 2):
        widths = [(2, 2) if i == axis else (0, 0) for i in range(4)]
        padded = np.pad(crops, widths, mode="reflect")
        rows = [slice(None)] * 4
        total = np.zeros_like(crops)
        for k, tap in enumerate(_FILTER):
            rows[axis] = slice(k, k + crops.shape[axis])
            total += tap * padded[tuple(rows)]
        crops = total
    return crops


def _cut(level: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """float32 [n, count, 147]: patches at random places of each crop."""
    n, h, w, _ = level.shape
    windows = np.lib.stride_tricks.sliding_window_view(level, (PATCH_PX, PATCH_PX), axis=(1, 2))
    ys, xs = rng.integers(0, h - PATCH_PX + 1, (n, count)), rng.integers(0, w - PATCH_PX + 1, (n, count))
    found = windows[np.arange(n)[:, None], ys, xs]  # [n, count, 3, 7, 7]
    return found.transpose(0, 1, 3, 4, 2).reshape(n, count, -1)
