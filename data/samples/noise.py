"""Small numpy toolbox of the sample set: seeded noise, wrapped look-ups, blur and resize.

Pictures here are float32 `[h, w]` or `[h, w, c]`. Noise textures tile without a seam, so that one
small texture, read at several scales and offsets, serves a picture of any size: the composition
of a scene then depends on its seed alone and never on its resolution.

seed -> texture -> values at arbitrary (u, v).

Reference: R. Voss, "Random fractal forgeries" (1985): spectral synthesis of 1/f^beta noise.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from PIL import Image

TEXTURE_PX = 1024


@functools.lru_cache(maxsize=8)
def fractal_texture(seed: int, *, beta: float = 2.0, size_px: int = TEXTURE_PX) -> np.ndarray:
    """Tileable fractal noise, amplitude ~ 1/f^beta: `[size, size]` float32, mean 0, std 1."""
    rng = np.random.default_rng([seed, int(beta * 100)])
    spectrum = np.fft.rfft2(rng.standard_normal((size_px, size_px)))
    fy = np.fft.fftfreq(size_px)[:, None] * size_px
    fx = np.fft.rfftfreq(size_px)[None, :] * size_px
    frequency = np.hypot(fx, fy)
    frequency[0, 0] = np.inf  # no mean
    # The lowest frequencies are damped, or one texture would be one single hill.
    spectrum *= (frequency**2 + 9.0) ** (-beta / 2)
    noise = np.fft.irfft2(spectrum, s=(size_px, size_px)).astype(np.float32)
    noise /= noise.std()
    noise.setflags(write=False)  # it is shared through the cache
    return noise


def sample(texture: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Bilinear look-up of a tileable texture at (u, v), both in periods of the texture."""
    size = texture.shape[0]  # a power of two: wrapping is a bit mask
    x, y = np.broadcast_arrays(u * np.float32(size), v * np.float32(size))
    x0, y0 = np.floor(x), np.floor(y)
    fx, fy = (x - x0).astype(np.float32), (y - y0).astype(np.float32)
    x0, y0 = x0.astype(np.int32) & (size - 1), y0.astype(np.int32) & (size - 1)
    x1, row0 = (x0 + 1) & (size - 1), y0 * size
    row1 = ((y0 + 1) & (size - 1)) * size
    flat = texture.ravel()
    top = flat.take(row0 + x0)
    top += fx * (flat.take(row0 + x1) - top)
    bottom = flat.take(row1 + x0)
    bottom += fx * (flat.take(row1 + x1) - bottom)
    top += fy * (bottom - top)
    return top


def smoothstep(low: float, high: float, x: np.ndarray) -> np.ndarray:
    """0 below `low`, 1 above `high`, a cubic between; `low > high` makes it fall."""
    t = np.clip((x - low) / (high - low), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def mix(a: Any, b: Any, t: Any) -> np.ndarray:
    """Linear interpolation from `a` (t = 0) to `b` (t = 1)."""
    return a + (b - a) * t


def resize(picture: np.ndarray, width: int, height: int) -> np.ndarray:
    """Bilinear resize (area-averaging when it shrinks) of `[h, w]` or `[h, w, c]` float32."""
    if picture.ndim == 3:
        return np.dstack([resize(picture[..., c], width, height) for c in range(picture.shape[2])])
    image = Image.fromarray(np.ascontiguousarray(picture, dtype=np.float32))
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))


def blur(picture: np.ndarray, sigma_px: float) -> np.ndarray:
    """Gaussian blur with edge replication of `[h, w]` or `[h, w, c]` float32."""
    h, w = picture.shape[:2]
    if sigma_px > 2.0 and min(h, w) > 8:  # a wide blur loses nothing at half the size
        small = resize(picture, (w + 1) // 2, (h + 1) // 2)
        return resize(blur(small, sigma_px / 2), w, h)
    radius = max(1, int(3.0 * sigma_px + 0.5))
    taps = np.exp(-0.5 * (np.arange(-radius, radius + 1) / max(sigma_px, 1e-6)) ** 2)
    taps = (taps / taps.sum()).astype(np.float32)
    for axis in (0, 1):
        pad = [(0, 0)] * picture.ndim
        pad[axis] = (radius, radius)
        padded = np.pad(picture, pad, mode="edge")
        length = picture.shape[axis]
        picture = sum(
            tap * (padded[i : i + length] if axis == 0 else padded[:, i : i + length])
            for i, tap in enumerate(taps)
        )
    return picture
