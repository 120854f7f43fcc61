"""Random, informative crops of one picture.

Plain numpy and Pillow: as a graph of small operations the same work took ten times as long (docs/performance.md). Every
choice is made by numbers that the caller draws.

In: a picture uint8 [h, w, 3], numbers in [0, 1). Out: a crop uint8 [crop_h, crop_w, 3].
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import PIL.Image

from gan_hd.config import DomainConfig

#: A window is looked at in about so many rows and columns to tell how much is in it.
_ROWS = 64


class Crop(NamedTuple):
    """A crop, uint8 [crop_h, crop_w, 3], whether it was mirrored, and px of the picture per px of it."""

    pixels: np.ndarray
    mirrored: bool
    scale: float


def draws_needed(config: DomainConfig) -> int:
    """How many random numbers a crop takes: scale, flat or not, mirrored, and a position per candidate."""
    return 3 + 2 * config.candidates


def random_crop(
    picture: np.ndarray, draws: np.ndarray, config: DomainConfig, *, crop_px: tuple[int, int]
) -> Crop:
    """A crop.

    Args:
        picture: uint8 [h, w, 3], at training resolution.
        draws: :func:`draws_needed` numbers, uniform in [0, 1).
        config: of the domain.
        crop_px: height and width of the crop. It is resampled (Lanczos) from its window where the sizes differ.
    """
    height, width = window_size(config, draws[0], picture.shape[:2], crop_px)
    rooms = picture.shape[0] - height, picture.shape[1] - width
    # Candidates after the first count only where a structured crop is wanted.
    count = 1 if draws[1] < config.flat_share else config.candidates
    windows = []
    for candidate in range(count):
        y, x = (
            min(int(draw * (room + 1)), room)
            for draw, room in zip(draws[3 + 2 * candidate :][:2], rooms, strict=True)
        )
        windows.append(picture[y : y + height, x : x + width])
    window = windows[0] if count == 1 else max(windows, key=structure)
    if (height, width) != crop_px:
        image = PIL.Image.fromarray(np.ascontiguousarray(window))
        # The gap: what is more than twice too large is averaged over whole pixels first.
        small = image.resize(crop_px[::-1], PIL.Image.Resampling.LANCZOS, reducing_gap=2.0)
        window = np.asarray(small)
    mirrored = bool(config.flip and draws[2] < 0.5)
    return Crop(window[:, ::-1] if mirrored else window, mirrored, height / crop_px[0])


def window_size(
    config: DomainConfig, draw: float, picture_px: tuple[int, int], crop_px: tuple[int, int]
) -> tuple[int, int]:
    """Height and width of the window to cut, log-uniform in scale, never beyond the picture."""
    scale = config.scale_min * (config.scale_max / config.scale_min) ** draw
    scale = min(scale, *(side / crop for side, crop in zip(picture_px, crop_px, strict=True)))
    height, width = (min(round(scale * crop), side) for side, crop in zip(picture_px, crop_px, strict=True))
    return height, width


def structure(window: np.ndarray) -> float:
    """How much there is to see in uint8 [h, w, 3]: mean absolute luma step, 0..255, over about 1/32 of its side.

    Steps between every second of some 64 rows and columns: grain counts little, edges and strokes count much.
    """
    every = max(2, round(min(window.shape[:2]) / _ROWS))
    sampled = window[::every, ::every].astype(np.int16)
    luma = sampled[..., 0] + sampled[..., 1] + sampled[..., 2]
    vertical, horizontal = np.abs(luma[2:] - luma[:-2]), np.abs(luma[:, 2:] - luma[:, :-2])
    return float(sum(steps.mean() if steps.size else 0.0 for steps in (vertical, horizontal)) / 3)
