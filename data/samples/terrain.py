"""The ground of a scene: a height field, seen by casting one ray per pixel.

The ground is sampled along the columns of the picture (at `depths` x columns). Going away from
the eye, the highest screen row reached so far hides all that is below it, so the ground seen at
each pixel is found for all pixels at once by counting, without a loop over rays.

Composition -> `View`: distance, place, colour and sunlight of the ground at each pixel.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from data.samples import noise
from data.samples.composition import Composition

_FAR_M = 9000.0


@dataclasses.dataclass
class View:
    """What each pixel below the skyline sees; arrays `[h, w]` float32, colour `[h, w, 3]`."""

    ground: np.ndarray  # bool: ground (or water) rather than sky
    z: np.ndarray  # metres away
    u: np.ndarray  # metres to the right
    albedo: np.ndarray
    sunlit: np.ndarray  # cosine to the sun, cloud shadows included
    rough: np.ndarray  # amplitude of fine texture
    water: np.ndarray  # bool


def camera(scene: Composition, width: int, height: int) -> tuple[float, float]:
    """`(focal length, horizon row)` in px; one focal length whatever the picture's format."""
    return 0.95 * max(width, height), scene.horizon * height


def heights(scene: Composition, u: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Height of the ground in metres at (u, z), both in metres."""
    hills, fine = noise.fractal_texture(1, beta=2.2), noise.fractal_texture(2, beta=1.8)
    o = scene.offset
    land = 0.5 * noise.sample(hills, u / 700 + o[0], z / 700 + o[1])
    rolling = noise.sample(hills, u / 3300 + o[2], z / 3300 + o[3])
    land += scene.hills_m * noise.smoothstep(60, 900, z) * np.maximum(rolling + 0.35, -0.25)
    if scene.mountains_m:
        ridge = 1.0 - np.abs(noise.sample(hills, u / 11000 + o[4], z / 11000 + o[5]))
        ridge += 0.07 * noise.sample(fine, u / 4000 + o[4], z / 4000 + o[5])
        land += scene.mountains_m * noise.smoothstep(1400, 4200, z) * (ridge + 0.15)
    if scene.water:
        near, far = scene.shore_m
        # The near shore cuts the picture at a slant, with bays.
        wave = noise.sample(hills, u / 260 + o[6], z / 260 + o[7])
        slant = (o[8] - 0.5) * 1.2 * u
        lake = noise.smoothstep(0.8, 1.1, (z + slant) / near + 0.25 * wave)
        lake *= noise.smoothstep(1.08, 0.92, z / far + 0.12 * wave)
        land = noise.mix(land + 0.6, np.float32(-1.0), lake)
    return land


def look(scene: Composition, width: int, height: int) -> View:
    """Casts the rays of a `width` x `height` picture and colours what they meet."""
    focal, horizon = camera(scene, width, height)
    z_near = 0.7 * focal * scene.camera_m / (height - horizon)
    # Half of the depths are even on the screen (foreground), half even in scale (hills).
    rows = max(8, int(height - horizon))
    count = min(max(8, rows * 3 // 4), 500)
    z = np.concatenate(
        [
            1.0 / np.linspace(1.0 / z_near, 1.0 / _FAR_M, count),
            np.geomspace(z_near, _FAR_M, 120 + min(120, height // 8)),
            # Mountains are as deep as they are high: even in metres there.
            np.linspace(400.0, 7000.0, 160 + min(100, height // 8)),
        ]
    )
    z = np.unique(z).astype(np.float32)
    z = z[np.append(True, np.diff(z) > 1e-5 * z[1:])][:, None]
    x = (np.arange(width, dtype=np.float32) - width / 2) / focal
    u = x[None, :] * z
    land = heights(scene, u, z)
    forest = _forest(scene, u, z, land)
    canopy = noise.sample(noise.fractal_texture(4, beta=1.0), u / 420, z / 420)
    surface = land + forest * (7.0 + 2.2 * canopy)
    bed = surface  # kept: the shore is where it crosses zero, between two depths
    if scene.water:
        surface = np.maximum(surface, 0.0)

    # Which depth does each pixel see?
    row = horizon - focal * (surface - scene.camera_m) / z
    skyline = np.minimum.accumulate(row, axis=0)
    first = np.clip(np.ceil(skyline), 0, height).astype(np.int32)
    columns = np.broadcast_to(np.arange(width), first.shape)
    # Depth d hides pixels from row ceil(skyline[d]) down: pixel y sees the first such d.
    counts = np.bincount((first * width + columns).ravel(), minlength=(height + 1) * width)
    reached = len(z) - np.cumsum(counts.reshape(height + 1, width), axis=0)[:height]
    ground = reached < len(z)
    index = np.clip(reached, 1, len(z) - 1)
    column = np.arange(width)[None, :]
    below, above = skyline[index - 1, column], skyline[index, column]
    y = np.arange(height, dtype=np.float32)[:, None]
    t = np.clip((below - y) / np.maximum(below - above, 1e-6), 0.0, 1.0).astype(np.float32)

    flat_below = (index - 1) * width + column
    flat_above = flat_below + width

    def seen(grid):
        flat = np.ascontiguousarray(grid, np.float32).ravel()
        near = flat.take(flat_below)
        near += (flat.take(flat_above) - near) * t
        return near

    albedo, rough, sunlit = _materials(scene, u, z, land, surface, forest, canopy)
    distance = noise.mix(z[index - 1, 0], z[index, 0], t)
    return View(
        ground=ground,
        z=distance,
        u=x[None, :] * distance,
        albedo=np.dstack([seen(albedo[..., c]) for c in range(3)]),
        sunlit=seen(sunlit),
        rough=seen(rough),
        water=(seen(bed) < 0.0) & ground & scene.water,
    )


def sun_direction(scene: Composition) -> np.ndarray:
    """Unit vector to the sun (right, up, away); behind the eye when it stands high."""
    azimuth = (scene.sun_x - 0.5) * 1.6
    up = np.sin(max(scene.light.elevation, 0.28))
    flat = np.cos(max(scene.light.elevation, 0.28))
    away = np.cos(azimuth) * (1.0 if scene.light.elevation < 0.3 else -0.5)
    vector = np.array([np.sin(azimuth) * 1.3 * flat, up, away * flat], np.float32)
    return vector / np.linalg.norm(vector)


def _forest(scene, u, z, land) -> np.ndarray:
    o = scene.offset
    wood = noise.sample(noise.fractal_texture(2, beta=1.8), u / 2600 + o[9], z / 2600 + o[10])
    cover = noise.smoothstep(0.25, 0.40, wood + 0.5 * scene.forest)
    cover = cover * noise.smoothstep(150, 320, z) * noise.smoothstep(520, 330, land)
    return cover * noise.smoothstep(0.6, 3.0, land) if scene.water else cover


def _materials(scene, u, z, land, surface, forest, canopy):
    """Albedo `[d, w, 3]`, roughness and sunlight `[d, w]` on the depth grid."""
    o, fine = scene.offset, noise.fractal_texture(2, beta=1.8)
    spread = noise.sample(fine, u / 500 + o[11], z / 500 + o[12])[..., None]
    lush, dry = np.array([0.070, 0.135, 0.028], np.float32), np.array([0.29, 0.215, 0.075], np.float32)
    season = np.clip(scene.season + 0.35 * spread, 0.0, 1.0)
    albedo = noise.mix(lush, dry, season)
    rough = np.ones(land.shape, np.float32)

    if scene.kind == "fields":
        crop, rough = _patchwork(scene, u, z)
        flat = noise.smoothstep(60.0, 25.0, land)[..., None]
        albedo = noise.mix(albedo, crop, 0.92 * flat)
    # Rock where it is steep or high, snow on top, sand at the water.
    dz = np.gradient(z[:, 0])[:, None]
    slope_z = np.gradient(surface, axis=0) / dz
    du = np.maximum(np.gradient(u, axis=1), 1e-4) if u.shape[1] > 1 else np.ones_like(u)
    slope_u = np.gradient(surface, axis=1) / du if u.shape[1] > 1 else np.zeros_like(u)
    steep = np.hypot(slope_z, slope_u)
    ragged = 60.0 * spread[..., 0]
    rock = noise.smoothstep(0.35, 0.7, steep + 0.15 * spread[..., 0])
    rock = rock * noise.smoothstep(80, 200, land)
    rock = np.maximum(rock, noise.smoothstep(380, 560, land + ragged))[..., None]
    stone = np.array([0.20, 0.18, 0.165], np.float32) * (1.0 + 0.25 * spread)
    albedo = noise.mix(albedo, stone, rock)
    if scene.mountains_m > 450:
        snow = noise.smoothstep(620, 720, land + 2 * ragged - 150 * np.maximum(steep - 0.7, 0))
        albedo = noise.mix(albedo, np.array([0.80, 0.83, 0.88], np.float32), snow[..., None])
    if scene.water:
        beach = noise.smoothstep(1.1, 0.25, land)[..., None]
        albedo = noise.mix(albedo, np.array([0.33, 0.27, 0.19], np.float32), beach)
    tree = noise.mix(
        np.array([0.026, 0.055, 0.020], np.float32),
        np.array([0.13, 0.085, 0.022], np.float32),
        np.clip(scene.season * 1.2 - 0.5 + 0.2 * spread, 0, 0.8),
    )
    albedo = noise.mix(albedo, tree * (1.0 + 0.45 * canopy[..., None]), forest[..., None])
    rough = noise.mix(rough, 1.6, forest)

    sun = sun_direction(scene)
    normal_length = np.sqrt(1.0 + slope_u**2 + slope_z**2)
    cosine = (sun[1] - sun[0] * slope_u - sun[2] * slope_z) / normal_length
    shadow = noise.sample(noise.fractal_texture(1, beta=2.2), u / 4000 + o[13], z / 4000 + o[14])
    shade = noise.smoothstep(0.2, 0.8, shadow + scene.cloud_cover - 0.3)
    sunlit = np.clip(cosine, 0.0, 1.0) * (1.0 - 0.75 * shade)
    return albedo, rough, sunlit.astype(np.float32)


_CROPS = np.array(
    [
        (0.42, 0.29, 0.07),
        (0.36, 0.27, 0.09),
        (0.10, 0.19, 0.03),
        (0.06, 0.12, 0.025),
        (0.16, 0.11, 0.07),
        (0.55, 0.42, 0.03),
        (0.17, 0.10, 0.28),
        (0.33, 0.07, 0.05),
        (0.20, 0.24, 0.06),
        (0.11, 0.16, 0.05),
    ],
    np.float32,
)


def _patchwork(scene, u, z) -> tuple[np.ndarray, np.ndarray]:
    """Crop colours and roughness of jittered plots, ploughed in rows of their own direction."""
    o = scene.offset
    angle = 0.7 * (o[0] - 0.5)
    a, b = u * np.cos(angle) + z * np.sin(angle), z * np.cos(angle) - u * np.sin(angle)
    wobble = noise.fractal_texture(1, beta=2.2)
    a = a + 5.0 * noise.sample(wobble, u / 900 + o[1], z / 900)
    plot_b = np.floor(b / (26 + 40 * o[2]) + o[3])
    plot_a = np.floor(a / (60 + 60 * o[4]) + 0.37 * plot_b)
    draw = ((plot_a * 127.1 + plot_b * 311.7 + 1000 * o[5]).astype(np.int64) * 2654435761) % 65536
    crop = _CROPS[(draw >> 3) % len(_CROPS)]
    heading = np.where(draw % 3 == 0, b, np.where(draw % 3 == 1, a, 0.7 * (a + 0.4 * b)))
    # Rows of 0.9 m, faded where they get finer than a pixel or so.
    rows = 0.5 + 0.5 * np.sin(2 * np.pi * heading / 0.9)
    fade = noise.smoothstep(70, 15, z)
    tone = 1.0 - 0.55 * fade * rows**2 * (draw % 4 != 0)
    # Tramlines are wider and reach further.
    tram = np.abs((heading / 12.0) % 1.0 - 0.5) < 0.035
    tone = tone * (1.0 - 0.35 * tram * noise.smoothstep(400, 100, z))
    return crop * tone[..., None], np.where(draw % 5 == 0, 1.4, 0.9).astype(np.float32)
