"""Procedural landscape photographs: sky, land, water, trees, light and a camera.

A seed decides the composition (`composition.py`); the picture is then rendered at any size, with
more detail in a larger one. Everything is computed in linear light and developed like a raw file:
exposure, tone curve, lens blur, vignette and sensor noise.

seed, size -> uint8 `[h, w, 3]` sRGB.

References: I. Quilez, "Terrain marching" and "Better fog" (notes on procedural landscapes);
J. Tessendorf, "Simulating ocean water" (2001), for the look of the ripples.
"""

from __future__ import annotations

import numpy as np

from data.samples import composition, grass, noise, terrain, trees
from data.samples.composition import Composition


def draw_scene(seed: int, *, width: int, height: int) -> np.ndarray:
    """Draws a landscape photograph.

    Args:
        seed: of the scene; the same seed at another size is the same scene.
        width: px, at least 1.
        height: px, at least 1.

    Returns:
        uint8 `[height, width, 3]` sRGB.

    Raises:
        ValueError: a side is less than 1 px.
    """
    if width < 1 or height < 1:
        raise ValueError(f"width and height must be at least 1. Received: {width} x {height}")
    scene = composition.compose(seed)
    view = terrain.look(scene, width, height)
    picture = _sky(scene, width, height)
    land = _land(scene, view, width, height)
    picture = np.where(view.ground[..., None], land, picture)
    grass.grow(scene, view, picture, seed=seed)
    trees.plant(scene, view, picture)
    if scene.water:
        _water(scene, view, picture)
    return _develop(picture, seed)


def _sky(scene: Composition, width: int, height: int) -> np.ndarray:
    """Sky down to the bottom of the picture (land covers it later): `[h, w, 3]` linear."""
    light, o = scene.light, scene.offset
    focal, horizon = terrain.camera(scene, width, height)
    bottom = min(height, int(horizon) + 2)
    x = (np.arange(width, dtype=np.float32)[None, :] - width / 2) / focal
    up = np.maximum(horizon - np.arange(bottom, dtype=np.float32)[:, None], 0.0) / focal
    zenith, haze = np.asarray(light.zenith, np.float32), np.asarray(light.horizon, np.float32)
    sky = noise.mix(haze, zenith, (1.0 - np.exp(-4.2 * up))[..., None])
    sky = np.broadcast_to(sky, (bottom, width, 3)).copy()

    sun_x, sun_y = (scene.sun_x - 0.5) * width / focal, light.elevation
    near_sun = np.exp(-np.hypot(x - sun_x, 1.4 * (up - sun_y)) / 0.22)[..., None]
    sky += np.asarray(light.sun, np.float32) * (0.28 * near_sun + 0.9 * near_sun**6)

    # Clouds lie on a plane overhead, so they crowd towards the horizon.
    plane = 1.0 / (up + 0.13)
    u, v = scene.cloud_scale * 0.16 * x * plane + o[0], scene.cloud_scale * 0.11 * plane + o[1]
    soft, crisp = noise.fractal_texture(5, beta=1.9), noise.fractal_texture(6, beta=1.5)
    warp = 0.03 * noise.sample(soft, 1.7 * u, 1.7 * v)

    def density(du, dv):
        big = noise.sample(soft, u + warp + du, v + dv)
        return big + 0.35 * noise.sample(crisp, 4 * (u + du), 4 * (v + dv) + warp)

    here = density(0.0, 0.0)
    level = 1.5 - 2.6 * scene.cloud_cover
    cover = noise.smoothstep(level, level + 0.9, here)
    thick = noise.smoothstep(level + 0.2, level + 2.2, here)
    # Lit where the cloud thins towards the sun, dark on its underside.
    toward = np.sign(sun_x - x) * 0.004
    lit = np.clip(0.62 + 0.55 * (here - density(toward, -0.012)), 0.0, 1.3)
    white = np.asarray(light.sun, np.float32) * 0.34 + np.asarray(light.ambient, np.float32) * 0.55
    grey = np.asarray(light.ambient, np.float32) * 0.62 + haze * 0.14
    cloud = noise.mix(grey, white, (lit * (1.0 - 0.62 * thick))[..., None])
    cloud = cloud + np.asarray(light.sun, np.float32) * (0.5 * near_sun * (1.0 - thick[..., None]))
    fade = noise.smoothstep(0.0, 0.10, up) * 0.95
    sky = noise.mix(sky, cloud, (cover * fade)[..., None])
    # Mist just above the horizon hides where the clouds' plane ends.
    sky = noise.mix(sky, haze * 1.02, (0.55 * np.exp(-up / 0.035))[..., None])
    return np.concatenate([sky, np.repeat(sky[-1:], height - bottom, axis=0)])


def _land(scene: Composition, view: terrain.View, width: int, height: int) -> np.ndarray:
    """Ground colour with fine texture, sunlight and aerial perspective, linear."""
    focal, horizon = terrain.camera(scene, width, height)
    grain = noise.fractal_texture(4, beta=1.0)
    z, u = view.z, view.u
    # The look of grass and leaves at each distance: octave bands, each used where its texels are
    # about as large as a pixel, so that there is detail everywhere and no aliasing.
    pixel_m = z / focal * np.sqrt(np.maximum(1.0, z / (4.0 * scene.camera_m)))
    octave = np.log(pixel_m / 0.004) / np.float32(np.log(4.0))
    texture = np.zeros_like(z)
    # On a slope the texture runs up the height too, or mountains would be streaked.
    lift = (horizon - np.arange(height, dtype=np.float32)[:, None]) * z / focal
    along = z + 1.5 * lift
    for band in range(-1, 7):
        texel_m = 0.004 * 4.0**band
        distance = np.abs(octave - np.float32(band))
        rows = np.flatnonzero(((distance < 1.3) & view.ground).any(axis=1))
        if len(rows):
            part = slice(rows[0], rows[-1] + 1)
            weight = noise.smoothstep(0.0, 1.0, 1.3 - distance[part])
            period_m = texel_m * noise.TEXTURE_PX
            uu, zz = u[part] / period_m, along[part] / (1.7 * period_m) + 0.37 * band
            texture[part] += weight * noise.sample(grain, uu, zz)
    tone = np.exp(0.33 * view.rough * texture)[..., None]
    albedo = view.albedo * tone
    # Dry blades among green ones.
    albedo = albedo * (1.0 + np.clip(texture, -1, 2)[..., None] * np.array([0.10, 0.03, -0.06], np.float32))

    light = np.asarray(scene.light.sun, np.float32) * view.sunlit[..., None]
    colour = albedo * (light + np.asarray(scene.light.ambient, np.float32))
    air = 1.0 - np.exp(-np.maximum(z - 40.0, 0.0) / 1000.0 * 2.2 * scene.light.haze)
    haze = noise.mix(
        np.asarray(scene.light.horizon, np.float32), np.asarray(scene.light.ambient, np.float32), 0.25
    )
    return noise.mix(colour, haze * 0.92, (0.93 * air)[..., None])


def _water(scene: Composition, view: terrain.View, picture: np.ndarray) -> None:
    """Mirrors the picture about the horizon in the water, in place, broken by ripples."""
    height, width = view.z.shape
    focal, horizon = terrain.camera(scene, width, height)
    rows, cols = np.nonzero(view.water)
    if not len(rows):
        return
    z, u = view.z[rows, cols], view.u[rows, cols]
    waves, fine = noise.fractal_texture(6, beta=1.5), noise.fractal_texture(4, beta=1.0)
    o = scene.offset
    slope = noise.sample(waves, u / 60 + o[2], z / 22 + o[3])
    slope += 0.8 * noise.sample(fine, u / 26 + o[4], z / 9 + o[5])
    far = np.clip(z / 300.0, 0.0, 1.0)
    calm = 0.35 + 0.65 * noise.smoothstep(-0.6, 0.8, noise.sample(waves, u / 900, z / 300 + o[6]))
    below = (rows - horizon) / focal
    shift = slope * calm * (0.012 + 0.10 * below) * (1.0 - 0.5 * far) * focal
    source = np.clip(np.abs(2 * horizon - rows + shift - 0.3 * np.abs(shift)), 0, height - 1)
    sideways = np.clip(cols + 0.25 * shift, 0, width - 1).astype(np.int32)
    soft = noise.blur(picture, 0.004 * height)  # wavelets smaller than a pixel smear the mirror
    mirrored = soft[np.rint(source).astype(np.int32), sideways]
    # Fresnel: a mirror at grazing angles, see-through below one's feet.
    grazing = np.clip(1.0 - below / np.hypot(below, 1.0) + 0.12 * slope * calm, 0.0, 1.0)
    mirror = (0.10 + 0.85 * grazing**3.2)[:, None]
    deep = np.array([0.020, 0.055, 0.065], np.float32) * (
        np.asarray(scene.light.ambient, np.float32) * 2.0 + 0.3
    )
    colour = noise.mix(deep, mirrored * 0.92, mirror)
    glint = noise.smoothstep(1.7, 2.6, slope)[:, None] * np.asarray(scene.light.sun, np.float32) * 0.12
    picture[rows, cols] = colour + glint


def _develop(picture: np.ndarray, seed: int) -> np.ndarray:
    """Camera: exposure, lens blur, vignette, film curve, sensor noise, 8 bit."""
    height, width = picture.shape[:2]
    picture = noise.blur(np.maximum(picture, 0.0).astype(np.float32), 0.55)
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    picture *= (1.0 - 0.10 * (x * x + y * y))[..., None]
    # Automatic white balance goes part of the way to grey.
    cast = picture.mean(axis=(0, 1)) / picture.mean()
    picture /= np.clip(cast, 0.4, 2.5) ** np.float32(0.35)
    luma = picture @ np.array([0.2126, 0.7152, 0.0722], np.float32)
    picture *= np.float32(0.40 / (luma.mean() + 0.35 * np.percentile(luma[::4, ::4], 90) + 1e-6))
    luma = picture @ np.array([0.2126, 0.7152, 0.0722], np.float32)
    picture = noise.mix(luma[..., None], picture, np.float32(0.88))  # raw colours are tamer
    # A film-like curve: linear in the shadows, a soft shoulder.
    picture = picture * (2.51 * picture + 0.03) / (picture * (2.43 * picture + 0.59) + 0.14)
    picture = np.clip(picture, 0.0, 1.0) ** np.float32(1 / 2.2)
    rng = np.random.default_rng([seed, 2])
    grain = rng.standard_normal((height, width), dtype=np.float32)
    # Mostly luminance noise, as after a raw converter; the colour part is the same noise elsewhere.
    noisy = np.dstack([grain + 0.5 * np.roll(grain, (7 * c, 5 * c + 3), (0, 1)) for c in range(3)])
    picture += noisy * (0.004 + 0.008 * (1.0 - picture))
    return np.rint(np.clip(picture, 0.0, 1.0) * 255.0).astype(np.uint8)
