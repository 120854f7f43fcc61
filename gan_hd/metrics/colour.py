"""Colour distances between two sets of crops: do they use the same palette as often?

In: crops [n, h, w, 3] float in [-1, 1]. Out: distances in levels of 1/255 of sRGB.
"""

from __future__ import annotations

import numpy as np

from gan_hd.metrics.wasserstein import sliced_w1, w1
from gan_hd.pixels import LEVELS


def pixels_of(crops: np.ndarray, *, per_crop: int = 64, seed: int = 0) -> np.ndarray:
    """Random pixels of every crop: [n, h, w, 3] in [-1, 1] -> float32 [n, per_crop, 3] in levels, 0..255."""
    n, h, w, _ = crops.shape
    rng = np.random.default_rng(seed)
    ys, xs = rng.integers(0, h, (n, per_crop)), rng.integers(0, w, (n, per_crop))
    return ((crops[np.arange(n)[:, None], ys, xs] + 1) * LEVELS).astype(np.float32)


def channel_w1(sample: np.ndarray, reference: np.ndarray) -> float:
    """Mean over R, G and B of the W1 between the channel's histograms; pixels [..., 3] in levels."""
    return float(w1(sample.reshape(-1, 3), reference.reshape(-1, 3)).mean())


def colour_w1(sample: np.ndarray, reference: np.ndarray, *, directions: int = 64, seed: int = 0) -> float:
    """Sliced W1 in the RGB cube: sees colours that no channel alone shows; pixels [..., 3] in levels."""
    return sliced_w1(sample.reshape(-1, 3), reference.reshape(-1, 3), directions=directions, seed=seed)


def luma(crops: np.ndarray) -> np.ndarray:
    """[..., 3] in [-1, 1] -> [...] in [-1, 1]: 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601)."""
    return crops @ np.array([0.299, 0.587, 0.114], crops.dtype)


def lab(crops: np.ndarray) -> np.ndarray:
    """sRGB [..., 3] in [-1, 1] -> CIELAB under D65, L* in 0..100 (IEC 61966-2-1; CIE 15)."""
    values = (np.clip(crops.astype(np.float64), -1, 1) + 1) / 2
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    xyz = linear @ _XYZ.T / _XYZ.sum(axis=1)  # relative to white
    f = np.where(xyz > _EPSILON, np.cbrt(xyz), (xyz * _KAPPA + 16) / 116)
    x, y, z = np.moveaxis(f, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
_EPSILON, _KAPPA = (6 / 29) ** 3, (29 / 3) ** 3
