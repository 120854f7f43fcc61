"""Single trees and bushes, painted into a scene in their right places and sizes.

A tree is a handful of round clumps whose outline is frayed by leaf noise; each clump is lit like a
ball, and the leaves' noise decides sun, shade and gaps.
"""

from __future__ import annotations

import numpy as np

from data.samples import noise, terrain
from data.samples.composition import Composition

# Kind: (height m, width / height, number of clumps, share of the height that is bare trunk)
_KINDS = {
    "broad": ((6.0, 13.0), 0.85, 13, 0.22),
    "poplar": ((9.0, 17.0), 0.20, 26, 0.07),
    "conifer": ((8.0, 16.0), 0.42, 0, 0.08),
    "bush": ((1.2, 3.0), 1.5, 7, 0.0),
}


def plant(scene: Composition, view: terrain.View, picture: np.ndarray) -> None:
    """Draws the scene's trees into the linear picture `[h, w, 3]`, in place, far ones first."""
    rng = np.random.default_rng([int(scene.offset[15] * 2**31), 5])
    height, width = picture.shape[:2]
    focal, horizon = terrain.camera(scene, width, height)
    names = list(_KINDS)
    favourite = names[rng.integers(3)]
    # Choices first, all of them, so that what is skipped at one size changes nothing at another.
    choices = []
    for i in range(scene.trees):
        near = i < max(1, scene.trees // 14)
        z = rng.uniform(18, 55) if near else float(np.exp(rng.uniform(np.log(45), np.log(700))))
        side = rng.uniform(-1, 1)
        side = np.sign(side) * (0.35 + 0.6 * abs(side)) if near else side  # leave the middle open
        kind = favourite if rng.random() < 0.55 else names[rng.integers(4)]
        choices.append((z, side * 0.55, kind, rng.random(), int(rng.integers(2**31))))
        if rng.random() < 0.4:  # trees like company
            beside = side * 0.55 + rng.uniform(-10, 10) / z
            choices.append(
                (z * rng.uniform(0.95, 1.06), beside, kind, rng.random(), int(rng.integers(2**31)))
            )
    for z, x, kind, size, seed in sorted(choices, reverse=True):
        low, high = _KINDS[kind][0]
        u = x * z * min(1.0, width / focal * 1.05)
        place = np.full((1, 1), u, np.float32), np.full((1, 1), z, np.float32)
        foot = float(terrain.heights(scene, *place)[0, 0])
        if scene.water and foot < 0.25:
            continue
        scale = focal / z
        _draw(
            scene,
            view,
            picture,
            column=width / 2 + u * scale,
            row=horizon - (foot - scene.camera_m) * scale,
            z=z,
            tall_px=(low + (high - low) * size) * scale,
            kind=kind,
            seed=seed,
        )


def _draw(scene, view, picture, *, column, row, z, tall_px, kind, seed) -> None:
    height, width = picture.shape[:2]
    _, slim, clumps, bare = _KINDS[kind]
    half = (0.8 * slim + 0.1) * tall_px  # room for the outermost frayed clump
    x0, x1 = int(max(0, column - half - 2)), int(min(width, column + half + 3))
    y0, y1 = int(max(0, row - 1.08 * tall_px)), int(min(height, row + 0.06 * tall_px + 2))
    if x1 <= x0 or y1 <= y0 or tall_px < 2:
        return
    rng = np.random.default_rng([seed, 6])
    # Tree coordinates: y up, 0 at the foot and 1 at the top; x in the same unit.
    x = ((np.arange(x0, x1, dtype=np.float32) - column) / tall_px)[None, :]
    y = ((row - np.arange(y0, y1, dtype=np.float32)) / tall_px)[:, None]
    leaves = noise.fractal_texture(4, beta=1.0)
    shift = rng.uniform(0, 1, 2)
    coarse = noise.sample(leaves, x * 0.22 + shift[0], y * 0.22 + shift[1])
    fine = noise.sample(leaves, x * 0.9 + shift[1], y * 0.9 + shift[0])

    sun = terrain.sun_direction(scene)
    body = np.full(coarse.shape, -9.0, np.float32)
    lit = np.zeros_like(body)
    for cx, cy, radius in _clumps(kind, slim, clumps, bare, rng):
        # Only the clump's own box, a little larger for its frayed edge.
        i0, i1 = np.searchsorted(-y[:, 0], [-(cy + 1.7 * radius), -(cy - 1.7 * radius)])
        j0, j1 = np.searchsorted(x[0], [cx - 1.7 * radius, cx + 1.7 * radius])
        box = np.s_[i0:i1, j0:j1]
        dx, dy = (x[:, j0:j1] - cx) / radius, (y[i0:i1] - cy) / radius
        inside = 1.0 - np.hypot(dx, dy)
        facing = sun[0] * dx + max(sun[1], 0.5) * dy + 0.4 * np.maximum(inside, 0.0)
        nearer = inside > body[box]
        body[box] = np.where(nearer, inside, body[box])
        lit[box] = np.where(nearer, facing, lit[box])
    if kind == "conifer":  # tiers of hanging branches
        tier = (y * (11 + 5 * rng.random()) + 0.35 * coarse) % 1.0
        reach = 0.5 * slim * (1.0 - y) / (1.0 - bare) * (1.05 - 0.45 * tier) + 0.01
        skirt = y > bare + 0.03 * coarse
        body = np.where(skirt, (reach - np.abs(x)) / (0.25 * slim), np.float32(-9.0))
        lit = 0.9 * sun[0] * x / np.maximum(reach, 0.01) + 0.55 * (0.5 - tier)
    frayed = body + 0.20 * coarse + 0.16 * fine
    alpha = noise.smoothstep(0.02, 0.20, frayed)
    sunny = np.clip(0.36 + 0.62 * lit + 0.20 * coarse + 0.26 * fine, 0.02, 1.5)[..., None]

    autumn = np.float32(np.clip(scene.season * 1.3 - 0.55 + 0.2 * rng.standard_normal(), 0, 1))
    green = noise.mix(
        np.array([0.050, 0.105, 0.022], np.float32), np.array([0.20, 0.125, 0.025], np.float32), autumn
    )
    if kind in ("conifer", "poplar"):
        green = green * np.array([0.62, 0.72, 0.85], np.float32)
    sunlight, skylight = np.float32(scene.light.sun), np.float32(scene.light.ambient)
    colour = green * (sunlight * sunny + skylight * (0.35 + 0.4 * sunny))

    thick = (0.018 + 0.012 * rng.random()) * (1.0 + 0.5 * (1.0 - y)) * (0.6 if slim < 0.3 else 1.0)
    trunk = (np.abs(x + 0.02 * np.sin(6 * y)) < thick) & (y < bare + 0.35) & (y > -0.015)
    bark = np.array([0.075, 0.055, 0.042], np.float32) * (1.0 + 0.3 * fine[..., None])
    round_lit = (0.35 + 12 * np.sign(sun[0]) * x[..., None]).clip(0.1, 0.9)
    bark = bark * (sunlight * round_lit + skylight)
    shadow = np.exp(-((x / (0.5 * slim)) ** 2 + ((y + 0.01) / 0.022) ** 2)) * 0.6

    air = (1.0 - np.exp(-max(z - 40.0, 0.0) / 1000.0 * 2.2 * scene.light.haze)) * 0.93
    haze = np.float32(scene.light.horizon) * 0.75 + np.float32(scene.light.ambient) * 0.25
    window = picture[y0:y1, x0:x1]
    # Nearer hills hide the tree; the ground at its own foot does not.
    visible = ~view.ground[y0:y1, x0:x1] | (view.z[y0:y1, x0:x1] > 0.93 * z) | (y < 0.06)
    window *= (1.0 - shadow * visible)[..., None]
    for paint, cover in ((bark, trunk.astype(np.float32)), (colour, alpha)):
        window += (noise.mix(paint, haze, np.float32(air)) - window) * (cover * visible)[..., None]
        view.water[y0:y1, x0:x1] &= cover * visible < 0.5  # what is drawn is no mirror


def _clumps(kind, slim, count, bare, rng):
    """Centres and radii of the leaf clumps in tree coordinates, lower ones first."""
    for i in range(count):
        t = (i + 0.5) / count
        cy = bare + (0.97 - bare) * t
        reach = 0.5 * slim * np.sin(np.pi * min(0.98, 0.18 + 0.80 * t)) ** 0.6
        radius = (0.50 if slim < 0.3 else 0.36) * max(slim, 0.3) * (0.75 + 0.4 * rng.random())
        radius *= 0.50 if kind == "poplar" else (0.75 if kind == "bush" else 1.0)
        cx = rng.uniform(-1, 1) * max(reach - 0.5 * radius, 0.01)
        yield cx, min(max(cy, bare + 0.7 * radius), 0.98 - radius), radius
