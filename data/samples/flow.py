"""The direction in which the brush moves at each pixel.

Along edges and texture the brush follows them (perpendicular to the gradient, from a smoothed
structure tensor); where the picture is smooth it follows swirls, the stream lines of a smooth
noise. Orientations have no sign, so they are blended as double angles.

luma `[h, w]` -> unit vectors `[h, w, 2]` (x, y).

References: P. Litwinowicz, "Processing images and video for an impressionist effect" (1997);
J. Bigun and G. Granlund, "Optimal orientation detection of linear symmetry" (1987).
"""

from __future__ import annotations

import numpy as np

from data.samples import noise


def structure_tensor(luma: np.ndarray, *, sigma_px: float) -> tuple[np.ndarray, ...]:
    """Smoothed products of the gradient: `(Jxx, Jxy, Jyy)`, each `[h, w]`; sides >= 2 px."""
    gy, gx = np.gradient(luma)
    return tuple(noise.blur(product, sigma_px) for product in (gx * gx, gx * gy, gy * gy))


def coherence(luma: np.ndarray, *, sigma_px: float) -> np.ndarray:
    """`[h, w]` in [0, 1]: 1 where all gradients within about sigma_px share one orientation."""
    jxx, jxy, jyy = structure_tensor(luma, sigma_px=sigma_px)
    return np.hypot(jxx - jyy, 2.0 * jxy) / (jxx + jyy + 1e-12)


def flow_field(luma: np.ndarray, *, seed: int, brush_px: float) -> np.ndarray:
    """Unit brush directions `[h, w, 2]` for luma `[h, w]` in [0, 1]; sides >= 2 px."""
    h, w = luma.shape
    jxx, jxy, jyy = structure_tensor(noise.blur(luma, 0.22 * brush_px), sigma_px=0.55 * brush_px)
    magnitude = np.hypot(jxx - jyy, 2.0 * jxy) + 1e-12
    # The angle of the gradient, doubled; the stroke is perpendicular to it, hence the minus.
    edge_cos, edge_sin = -(jxx - jyy) / magnitude, -2.0 * jxy / magnitude
    # A contrast of some levels per brush width is worth following.
    trust = noise.smoothstep(0.3, 2.2, np.sqrt(magnitude) * brush_px / 0.06)

    swirl_x, swirl_y = _swirls(w, h, seed=seed, scale_px=14.0 * brush_px)
    swirl_cos, swirl_sin = swirl_x**2 - swirl_y**2, 2.0 * swirl_x * swirl_y
    cos2 = noise.mix(swirl_cos, edge_cos, trust)
    sin2 = noise.mix(swirl_sin, edge_sin, trust)
    angle = 0.5 * np.arctan2(noise.blur(sin2, 0.5 * brush_px), noise.blur(cos2, 0.5 * brush_px))
    return np.dstack([np.cos(angle), np.sin(angle)]).astype(np.float32)


def _swirls(w: int, h: int, *, seed: int, scale_px: float) -> tuple[np.ndarray, np.ndarray]:
    """Unit stream lines of a smooth noise: closed curls around its hills and hollows."""
    rng = np.random.default_rng([seed, 7])
    cells_x, cells_y = int(w / scale_px) + 4, int(h / scale_px) + 4
    hills = rng.standard_normal((cells_y, cells_x)).astype(np.float32)
    big_w, big_h = int(cells_x * scale_px) + 1, int(cells_y * scale_px) + 1
    stream = noise.blur(noise.resize(hills, big_w, big_h), 0.3 * scale_px)
    oy, ox = (big_h - h) // 2, (big_w - w) // 2
    gy, gx = np.gradient(stream[oy : oy + h, ox : ox + w])
    # A mild horizontal wind keeps skies from turning into marbles.
    wind = 0.35 * np.hypot(gx, gy).mean()
    vx, vy = gy + wind, -gx
    length = np.hypot(vx, vy) + 1e-9
    return vx / length, vy / length
