"""Grass blades, ears of corn and flower heads in the foreground of a scene.

Thousands of small curved blades, drawn far to near: their samples are scattered to pixels in that
order and the last writer of a pixel wins. Their places are fractions of the picture, so that a
larger picture shows the same blades, larger.
"""

from __future__ import annotations

import numpy as np

from data.samples import noise, terrain
from data.samples.composition import Composition

_REACH_M = 80.0  # farther away, the ground's texture does as well


def grow(scene: Composition, view: terrain.View, picture: np.ndarray, *, seed: int) -> None:
    """Draws blades and flowers into the linear picture `[h, w, 3]`, in place."""
    height, width = picture.shape[:2]
    focal, horizon = terrain.camera(scene, width, height)
    count = 34_000 if scene.kind in ("meadow", "fields") else 22_000
    # A large picture shows the blades of a small one, and thinner ones between them; every draw
    # happens before any test of the picture, or sizes would differ in their blades.
    even, normal = [], []
    for sowing in range(int(np.clip(round(max(width, height) / 1024), 1, 4))):
        rng = np.random.default_rng([seed, 8, sowing])
        even.append(rng.random((4, count), dtype=np.float32))
        normal.append(rng.standard_normal((5, count), dtype=np.float32))
    x, y, bloom, tint = np.concatenate(even, axis=1)
    tall, lean, bend, tone, hue = np.concatenate(normal, axis=1)

    column = np.minimum((x * width).astype(int), width - 1)
    row = np.minimum((horizon + y**0.8 * (1.12 * height - horizon)).astype(int), height + height)
    clipped = np.clip(row, 0, height - 1)
    z = view.z[clipped, column] * (clipped + 1 - horizon) / np.maximum(row + 1 - horizon, 1)
    keep = view.ground[clipped, column] & ~view.water[clipped, column] & (z < _REACH_M) & (z > 0.3)
    if not keep.any():
        return
    order = np.flatnonzero(keep)[np.argsort(-z[keep], kind="stable")]
    column, row, clipped, z = (a[order].astype(np.float32) for a in (column, row, clipped, z))
    tall, lean, bend, tone, hue, bloom, tint = (a[order] for a in (tall, lean, bend, tone, hue, bloom, tint))
    foot = picture[clipped.astype(int), column.astype(int)]
    fade = noise.smoothstep(_REACH_M, 0.5 * _REACH_M, z)
    long_px = np.clip(0.16 * np.exp(0.35 * tall), 0.05, 0.4) * fade * focal / z
    long_px = np.minimum(long_px, 0.11 * height)
    thick_px = np.clip(0.006 * focal / z, 0.55, 40.0)

    # Colour from the ground at the foot, so rows and plots carry over to what grows there.
    colour = foot * (1.12 * np.exp(0.30 * tone))[:, None]
    colour = colour * (1.0 + 0.12 * hue[:, None] * np.array([1.0, 0.1, -0.6], np.float32))
    writer = np.empty(height * width, np.int64)  # scratch
    for group in np.array_split(np.arange(len(order)), 12):  # grids of similar size, far to near
        if len(group):
            _blades(
                view,
                picture,
                writer,
                column[group],
                row[group],
                long_px[group],
                thick_px[group],
                0.35 * lean[group],
                0.30 * bend[group],
                colour[group],
            )
            if scene.flower is not None and scene.kind in ("meadow", "fields"):
                drift = noise.sample(
                    noise.fractal_texture(2, beta=1.8),
                    (column[group] / width - 0.5) * z[group] / 60 + scene.offset[2],
                    z[group] / 60 + scene.offset[3],
                )
                chosen = group[bloom[group] < 0.10 * np.clip(drift + 0.6, 0.03, 1.6)]
                _heads(
                    scene,
                    view,
                    picture,
                    column[chosen] + 0.35 * lean[chosen] * long_px[chosen],
                    row[chosen] - long_px[chosen],
                    z[chosen],
                    tint[chosen],
                    focal,
                )


def _blades(view, picture, writer, column, row, long_px, thick_px, lean, bend, colour) -> None:
    height, width = picture.shape[:2]
    along = int(np.clip(np.ceil(1.3 * long_px.max()), 2, 900))
    across = int(np.clip(np.ceil(1.3 * thick_px.max()), 1, 40))
    s = np.linspace(0.0, 1.0, along, dtype=np.float32)[None, :, None]
    t = np.linspace(-0.5, 0.5, across, dtype=np.float32)[None, None, :] if across > 1 else 0.0
    one = (slice(None), None, None)
    x = column[one] + long_px[one] * (lean[one] * s + bend[one] * s * s)
    x = x + t * thick_px[one] * (1.0 - 0.85 * s)
    y = row[one] - long_px[one] * (s - 0.25 * np.abs(bend[one]) * s * s) + 0.0 * x
    xi, yi = np.rint(x).astype(np.int32), np.rint(y).astype(np.int32)
    inside = np.flatnonzero((xi >= 0) & (xi < width) & (yi >= 0) & (yi < height))
    pixel = (yi * width + xi).ravel()[inside]
    # Repeated pixels: the last writer, the nearest blade, stays. Read only where just written.
    writer[pixel] = inside
    winner = writer[pixel] == inside
    pixel = pixel[winner]
    blade, rest = np.divmod(inside[winner], along * across)
    tip = (rest // across) / along
    side = (rest % across) / max(across - 1, 1) - 0.5
    view.water.reshape(-1)[pixel] = False  # a blade before the water is no mirror
    # Dark among the roots, bright at the tips, one side of the blade in its own shade.
    shade = (0.55 + 0.75 * tip) * (1.0 + 0.25 * side)
    flat = picture.reshape(-1, 3)
    flat[pixel] = noise.mix(flat[pixel], colour[blade] * shade[:, None], (0.45 + 0.5 * tip)[:, None]).astype(
        np.float32
    )


def _heads(scene, view, picture, column, row, z, tint, focal) -> None:
    """Flower heads: small lit discs, larger when nearer."""
    if not len(z):
        return
    height, width = picture.shape[:2]
    sun = np.float32(scene.light.sun) * 0.45 + np.float32(scene.light.ambient)
    radius = np.clip(0.022 * (0.6 + 0.8 * tint) * focal / z, 0.6, 0.02 * height)
    grid = int(np.clip(np.ceil(2.6 * radius.max()), 2, 90))
    t = np.linspace(-1.0, 1.0, grid, dtype=np.float32)
    dx, dy = np.meshgrid(t, t)
    petals = 0.78 + 0.22 * np.cos(5 * np.arctan2(dy, dx))
    spot = np.flatnonzero(np.hypot(dx, dy).ravel() <= petals.ravel())
    dx, dy = dx.ravel()[spot], dy.ravel()[spot]
    x = np.rint(column[:, None] + radius[:, None] * dx).astype(np.int32)
    y = np.rint(row[:, None] + 0.75 * radius[:, None] * dy).astype(np.int32)
    shade = (0.95 - 0.30 * dy + 0.1 * dx) * np.where(np.hypot(dx, dy) < 0.28, 0.55, 1.0)
    colour = np.float32(scene.flower) * (0.65 + 0.6 * tint[:, None]) * sun
    values = colour[:, None, :] * shade[None, :, None]
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    picture.reshape(-1, 3)[(y * width + x)[inside]] = values[inside]
