"""Content kept: does the translation still show what the photograph showed?

In: a photograph and its translation, each [h, w, 3] float in [-1, 1]. Out: numbers.
"""

from __future__ import annotations

import numpy as np

from gan_hd.metrics.colour import lab, luma
from gan_hd.pixels import LEVELS

#: Scales of :func:`edge_correlation`: full, half and quarter size.
SCALES = 3
#: Cells along the long side for :func:`colour_difference` and :func:`tone_correlation`.
CELLS = 16


def edge_correlation(photo: np.ndarray, translation: np.ndarray) -> tuple[float, ...]:
    """Pearson's correlation of the Sobel magnitudes of luma, one per scale from full size down.

    1: the same edges. nan where one of both has none at all. 0 for pictures that have nothing to do with each other.
    """
    _check(photo, translation)
    found = []
    first, second = (luma(p.astype(np.float64)) for p in (photo, translation))
    for _ in range(SCALES):
        found.append(_correlation(sobel(first), sobel(second)))
        first, second = _halved(first), _halved(second)
    return tuple(found)


def colour_difference(photo: np.ndarray, translation: np.ndarray) -> float:
    """Mean ΔE (CIE 1976) between both pictures reduced to 16 cells along the long side.

    How far the large areas' colours move: a style needs some of it, and a blue sky that turns orange shows.
    """
    _check(photo, translation)
    first, second = (lab(_cells(p)) for p in (photo, translation))
    return float(np.linalg.norm(first - second, axis=-1).mean())


def tone_correlation(photo: np.ndarray, translation: np.ndarray) -> float:
    """Pearson's correlation of luma between both pictures reduced to 16 cells along the long side.

    1: what was light is light and what was dark is dark, whatever the palette; −1 for a negative. nan where one of both
    has no tones. Edges alone do not tell a picture from its negative.
    """
    _check(photo, translation)
    return _correlation(*(luma(_cells(p)) for p in (photo, translation)))


def tone_variation(photo: np.ndarray, translation: np.ndarray, *, tile_px: int = 128) -> float:
    """How much the mean colours of tiles vary in ways that the photograph's do not account for, in ΔE (CIE 1976).

    CIELAB means of tiles are taken in both pictures; the translation's are fitted by an affine function of the
    photograph's (least squares), and what is left over is measured: root mean square over tiles of its length. 0 where
    equal tones get equal tones everywhere; patches that came from nowhere raise it. nan for fewer than 16 tiles, which
    such a function could follow too closely. What is left of a side beyond whole tiles is not looked at.
    """
    _check(photo, translation)
    first, second = (
        lab(_tile_means(p.astype(np.float64), tile_px)).reshape(-1, 3) for p in (photo, translation)
    )
    if len(first) < 16:
        return float("nan")
    known = np.concatenate([first, np.ones((len(first), 1))], axis=1)  # [tiles, 4]
    rest = second - known @ np.linalg.lstsq(known, second, rcond=None)[0]
    return float(np.sqrt(np.square(rest).sum(axis=-1).mean()))


def paired_error(translation: np.ndarray, truth: np.ndarray) -> float:
    """Mean absolute difference from the one right answer, where there is one, in levels of 1/255."""
    _check(translation, truth)
    return float(np.abs(translation.astype(np.float64) - truth).mean() * LEVELS)


def sobel(grey: np.ndarray) -> np.ndarray:
    """[h, w] -> gradient magnitudes [h−2, w−2] (Sobel's 3×3 operators, without a scale)."""
    smooth_y = grey[:-2] + 2 * grey[1:-1] + grey[2:]
    smooth_x = grey[:, :-2] + 2 * grey[:, 1:-1] + grey[:, 2:]
    return np.hypot(smooth_y[:, 2:] - smooth_y[:, :-2], smooth_x[2:] - smooth_x[:-2])


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    first, second = first - first.mean(), second - second.mean()
    scale = np.sqrt(np.square(first).sum() * np.square(second).sum())
    return float((first * second).sum() / scale) if scale > 1e-12 else float("nan")


def _halved(grey: np.ndarray) -> np.ndarray:
    h, w = (side // 2 * 2 for side in grey.shape)
    return grey[:h, :w].reshape(h // 2, 2, w // 2, 2).mean(axis=(1, 3))


def _tile_means(picture: np.ndarray, tile_px: int) -> np.ndarray:
    h, w = (side // tile_px for side in picture.shape[:2])
    tiles = picture[: h * tile_px, : w * tile_px].reshape(h, tile_px, w, tile_px, 3)
    return tiles.mean(axis=(1, 3))  # [h, w, 3]


def _cells(picture: np.ndarray) -> np.ndarray:
    """Means of whole cells, 16 along the long side: float64 [h // cell, w // cell, 3], at least one cell each way."""
    picture = picture.astype(np.float64)
    cell = max(1, -(-max(picture.shape[:2]) // CELLS))
    h, w = (max(side // cell, 1) for side in picture.shape[:2])
    picture = picture[: h * cell, : w * cell]
    rows = np.array_split(picture, h, axis=0)
    return np.array([[part.mean(axis=(0, 1)) for part in np.array_split(row, w, axis=1)] for row in rows])


def _check(first: np.ndarray, second: np.ndarray) -> None:
    if first.shape != second.shape or first.ndim != 3 or min(first.shape[:2]) < 3 * 2 ** (SCALES - 1):
        raise ValueError(
            f"both pictures must be [h, w, 3] of one size, at least 12 px. Received: {first.shape}, {second.shape}"
        )
