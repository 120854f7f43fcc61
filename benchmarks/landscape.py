"""Landscapes of any size, drawn rather than shipped: what the benchmarks read.

In: width, height, seed. Out: a picture file.
"""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np

from gan_hd.files import whole_file

_SAVE_OPTIONS: dict[str, dict] = {
    "jpg": {"Q": 90},
    "png": {"compression": 1},
    "tif": {"compression": "deflate", "bigtiff": True},
}


def draw_picture(path: str | os.PathLike, width: int, height: int, *, seed: int = 0) -> None:
    """Draws a landscape (sky, clouds, two ranges of hills, a field) in a memory that does not grow with its area.

    Shapes scale with the picture; the grain of wood and earth has 1 to 32 px at any size, so that every size is
    equally hard per pixel. The same seed gives the same picture.

    Args:
        path: .jpg, .png or .tif; the file appears whole or not at all.
        width, height: px.
        seed: of all shapes.

    Raises:
        OSError: the file cannot be written.
    """
    import pyvips  # not above: bench_translate.py must stay small, and draws in another process

    pyvips.cache_set_max(0)
    path, rng = Path(path), np.random.default_rng(seed)
    seeds = iter(rng.integers(0, 2**31, 64).tolist())

    def noise(octaves: range, decay: float) -> pyvips.Image:
        """Fractal noise about 0: cells of 2**octave px, weaker by `decay` with each octave down."""

        def size(octave: int) -> list[int]:
            # Four cells of margin keep the border of an enlargement out of the picture.
            return [math.ceil(side / 2**octave) + 4 for side in (width, height)]

        total = pyvips.Image.black(*size(octaves[-1] + 1))
        for octave in reversed(octaves):
            sigma = decay ** (octaves[-1] - octave)
            layer = pyvips.Image.gaussnoise(*size(octave), sigma=sigma, mean=0, seed=next(seeds))
            total = layer + total.resize(2, kernel="cubic").crop(2, 2, *size(octave))
        return total.resize(2 ** octaves[0], kernel="cubic").crop(0, 0, width, height)

    def skyline(level: float, swing: float, cells: int) -> pyvips.Image:
        """Where a range ends above: its height at each x, in heights of the picture from the top."""
        line, x = np.full(width, level), np.linspace(0, 1, width)
        while cells <= max(4, width / 4):
            line += swing * np.interp(x * cells, np.arange(cells + 1), rng.normal(size=cells + 1))
            cells, swing = cells * 2, swing / 2
        return pyvips.Image.new_from_array(line[None].astype(np.float32)).replicate(1, height)

    def colour(share: pyvips.Image, low: tuple, high: tuple) -> pyvips.Image:
        """From `low`, where `share` is 0, to `high`, where it is 1."""
        return share.linear([b - a for a, b in zip(low, high, strict=True)], low)

    x, y = (pyvips.Image.xyz(width, height)[axis] / side for axis, side in ((0, width), (1, height)))
    relief = noise(range(4, max(5, round(math.log2(max(width, height) / 6)) + 1)), 0.5)
    grain = noise(range(6), 0.85)
    cloud = relief * 0.45 + y * 0.6 - 0.1
    cloud = (cloud > 0).ifthenelse(cloud, 0)
    sky = colour(y * 1.6, (52, 108, 178), (226, 216, 200)) + cloud.linear([102, 90, 72], 0)
    far = colour(relief * 0.12 + grain * 0.03 + y, (60, 84, 130), (150, 160, 150))
    wood = colour(relief * 0.3 + grain * 0.14 + 0.5, (28, 62, 40), (120, 138, 52))
    # sin takes degrees; the furrows run towards a point above the field.
    furrows = ((x - 0.5) / (y - 0.45) * 9000 + relief * 60).sin()
    field = colour(furrows * 0.3 + relief * 0.2 + grain * 0.11 + 0.5, (104, 74, 40), (214, 172, 84))
    picture = sky
    for level, swing, cells, part in ((0.38, 0.05, 4, far), (0.52, 0.03, 7, wood), (0.7, 0.02, 3, field)):
        picture = (y > skyline(level, swing, cells)).ifthenelse(part, picture)
    picture = picture.cast("uchar").copy(interpretation="srgb")
    try:
        with whole_file(path) as part_path:
            picture.write_to_file(str(part_path), **_SAVE_OPTIONS[path.suffix.removeprefix(".")])
    except pyvips.Error as error:
        raise OSError(f"{path} could not be written: {error}") from error
