"""The painter's paints, and how a colour is moved towards them.

Colours are sRGB float32 in [0, 1], last axis 3. Distances are taken in OKLab, where equal steps
look equally large.

Reference: B. Ottosson, "A perceptual color space for image processing" (2020).
"""

from __future__ import annotations

import numpy as np

# Tube colours Van Gogh ordered in Arles, and his usual mixtures of them with white.
PALETTE_RGB = (
    np.array(
        [
            (20, 24, 44),  # blue black
            (22, 40, 92),  # Prussian blue
            (36, 62, 148),  # ultramarine
            (54, 100, 178),  # cobalt
            (98, 152, 200),  # cobalt and white
            (164, 200, 214),  # pale cerulean
            (98, 86, 146),  # violet
            (156, 150, 178),  # lilac grey
            (30, 92, 82),  # viridian
            (84, 146, 108),  # emerald green
            (36, 58, 38),  # dark green
            (98, 112, 48),  # olive
            (160, 168, 72),  # yellow green
            (246, 194, 40),  # chrome yellow
            (246, 224, 126),  # pale yellow
            (204, 152, 64),  # yellow ochre
            (226, 128, 46),  # orange lead
            (186, 66, 42),  # vermilion
            (176, 96, 104),  # madder and white
            (230, 188, 160),  # flesh
            (140, 84, 46),  # raw sienna
            (72, 52, 40),  # umber
            (242, 236, 216),  # zinc white, warm
        ],
        dtype=np.float32,
    )
    / 255.0
)

_TO_LMS = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ],
    dtype=np.float32,
)
_TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ],
    dtype=np.float32,
)
_FROM_LAB = np.linalg.inv(_TO_LAB)
_FROM_LMS = np.linalg.inv(_TO_LMS)


def rgb_to_oklab(rgb: np.ndarray) -> np.ndarray:
    """sRGB `[..., 3]` in [0, 1] -> OKLab `[..., 3]` (L in [0, 1], a and b about ±0.3)."""
    linear = np.clip(rgb, 0.0, 1.0).astype(np.float32) ** np.float32(2.2)
    return np.cbrt(linear @ _TO_LMS.T) @ _TO_LAB.T


def oklab_to_rgb(lab: np.ndarray) -> np.ndarray:
    """OKLab `[..., 3]` -> sRGB `[..., 3]`, clipped to [0, 1]."""
    linear = (lab.astype(np.float32) @ _FROM_LAB.T) ** 3 @ _FROM_LMS.T
    return np.clip(linear, 0.0, 1.0) ** np.float32(1 / 2.2)


PALETTE_LAB = rgb_to_oklab(PALETTE_RGB)


def nearest_paint(lab: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The nearest palette entry of each colour: indices `[...]` and OKLab distances `[...]`."""
    squared = (
        np.sum(lab**2, axis=-1, keepdims=True) - 2.0 * (lab @ PALETTE_LAB.T) + np.sum(PALETTE_LAB**2, axis=-1)
    )
    index = np.argmin(squared, axis=-1)
    best = np.take_along_axis(squared, index[..., None], axis=-1)[..., 0]
    return index, np.sqrt(np.maximum(best, 0.0))


def pull_to_palette(lab: np.ndarray, *, strength: float) -> np.ndarray:
    """Moves OKLab colours towards their nearest paint: 0 leaves them, 1 uses pure paint."""
    index, _ = nearest_paint(lab)
    return lab + np.float32(strength) * (PALETTE_LAB[index] - lab)
