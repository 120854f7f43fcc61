"""What is in a scene: every choice that a seed makes, in metres and fractions, never in pixels.

seed -> `Composition`.
"""

from __future__ import annotations

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Light:
    """Linear-light colours of one time of day."""

    zenith: tuple[float, float, float]
    horizon: tuple[float, float, float]
    sun: tuple[float, float, float]
    ambient: tuple[float, float, float]
    elevation: float  # of the sun, radians
    haze: float  # density per kilometre
    clouds: float  # usual cover, 0..1


LIGHTS = {
    "noon": Light(
        (0.045, 0.16, 0.56), (0.40, 0.60, 0.90), (2.3, 2.15, 1.9), (0.30, 0.40, 0.58), 0.95, 0.10, 0.45
    ),
    "afternoon": Light(
        (0.10, 0.24, 0.56), (0.62, 0.68, 0.74), (2.3, 1.85, 1.3), (0.28, 0.34, 0.46), 0.5, 0.16, 0.50
    ),
    "dusk": Light(
        (0.06, 0.09, 0.24), (1.00, 0.46, 0.17), (1.7, 0.75, 0.30), (0.20, 0.20, 0.30), 0.10, 0.17, 0.55
    ),
    "dawn": Light(
        (0.20, 0.30, 0.54), (0.98, 0.70, 0.58), (1.5, 1.0, 0.68), (0.27, 0.28, 0.38), 0.17, 0.24, 0.40
    ),
    "overcast": Light(
        (0.42, 0.46, 0.52), (0.72, 0.74, 0.77), (0.45, 0.44, 0.42), (0.56, 0.58, 0.62), 0.9, 0.30, 0.85
    ),
}
KINDS = ("fields", "lake", "mountains", "coast", "meadow")


@dataclasses.dataclass(frozen=True)
class Composition:
    """One scene; lengths in metres, screen places as fractions of the width or height."""

    kind: str
    light: Light
    horizon: float  # row of the horizon, from the top
    camera_m: float  # height of the eye
    sun_x: float  # screen place of the sun, may lie outside
    cloud_cover: float
    cloud_scale: float
    hills_m: float
    mountains_m: float
    water: bool
    shore_m: tuple[float, float]  # where the water begins and ends
    trees: int
    forest: float
    season: float  # 0 lush green .. 1 dry and golden
    flower: tuple[float, float, float] | None
    offset: tuple[float, ...]  # places in the noise textures


def compose(seed: int) -> Composition:
    """Draws a composition; a few scalars only, so it is the same at every resolution."""
    rng = np.random.default_rng([seed, 1])
    kind = KINDS[rng.choice(len(KINDS), p=[0.3, 0.2, 0.2, 0.1, 0.2])]
    name = list(LIGHTS)[rng.choice(len(LIGHTS), p=[0.25, 0.25, 0.2, 0.12, 0.18])]
    light = LIGHTS[name]
    mountains = {
        "mountains": rng.uniform(400, 750),
        "lake": rng.uniform(150, 650),
        "coast": rng.uniform(0, 200),
    }.get(kind, rng.choice([0.0, 150.0, 400.0]))
    near = rng.uniform(8, 30) if kind == "coast" else rng.uniform(20, 70)
    flowers = [(0.55, 0.05, 0.03), (0.75, 0.50, 0.03), (0.30, 0.16, 0.50), (0.75, 0.72, 0.65)]
    return Composition(
        kind=kind,
        light=light,
        horizon=rng.uniform(0.34, 0.60),
        camera_m=rng.uniform(2.5, 6.5) if kind != "meadow" else rng.uniform(1.8, 4),
        sun_x=rng.uniform(0.1, 0.9),
        cloud_cover=float(np.clip(light.clouds + rng.uniform(-0.3, 0.2), 0.08, 0.95)),
        cloud_scale=rng.uniform(0.6, 1.5),
        hills_m=rng.uniform(15, 70) if kind != "coast" else rng.uniform(5, 30),
        mountains_m=float(mountains),
        water=kind in ("lake", "coast"),
        shore_m=(near, rng.uniform(300, 900) if kind == "lake" else 1e6),
        trees=int(rng.integers(8, 40)) if kind != "coast" else int(rng.integers(0, 8)),
        forest=rng.uniform(-0.6, 0.7),
        season=rng.uniform(0, 1),
        flower=flowers[rng.integers(len(flowers))] if rng.random() < 0.75 else None,
        offset=tuple(rng.uniform(0, 1, 16).tolist()),
    )
