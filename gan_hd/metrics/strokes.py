"""Stroke statistics: how strongly structure points one way, and at which scales it lies.

A brush leaves marks that run side by side: the gradient of a small neighbourhood has one direction. The structure
tensor measures that as *coherence*, 0 where directions are mixed (noise, foliage, paper) and 1 where there is one
(strokes, edges). The *spectrum* says how much contrast each octave of scale has.

In: crops [n, h, w, 3] float in [-1, 1]. Out: numbers per crop, to be compared between sets.
Reference: Bigün and Granlund, "Optimal orientation detection of linear symmetry" (1987).
"""

from __future__ import annotations

import numpy as np

from gan_hd.metrics.colour import luma
from gan_hd.metrics.wasserstein import w1
from gan_hd.pixels import LEVELS

#: Side of the neighbourhood whose gradients are pooled, px.
NEIGHBOURHOOD_PX = 9
# Mean square gradient below which there is nothing to see: a tenth of a level of 1/255 per pixel.
_NOTHING = (0.1 / LEVELS) ** 2


def coherence(crops: np.ndarray) -> np.ndarray:
    """float [n]: mean coherence of a crop's neighbourhoods, each weighted with its contrast.

    (λ₁ − λ₂)/(λ₁ + λ₂) of the structure tensor's eigenvalues. 0 for a crop without any contrast.
    """
    grey = luma(crops.astype(np.float32))
    gx, gy = np.gradient(grey, axis=2), np.gradient(grey, axis=1)
    xx, yy, xy = (_pooled(product) for product in (gx * gx, gy * gy, gx * gy))
    # The eigenvalues' difference and sum.
    difference, total = np.sqrt((xx - yy) ** 2 + 4 * xy**2), xx + yy
    contrast = total.mean(axis=(1, 2))
    weighted = difference.mean(axis=(1, 2)) / np.maximum(contrast, _NOTHING)
    return np.where(contrast > _NOTHING, weighted, 0.0)


def spectrum(crops: np.ndarray) -> np.ndarray:
    """float [n, octaves]: deviation of luma in each octave of frequency, fine to coarse, in 1/255.

    The first octave holds periods of 2 to 4 px, the last those from a quarter to half of the side.
    """
    grey = luma(crops.astype(np.float64)) * LEVELS
    n, h, w = grey.shape
    window = np.hanning(h + 2)[1:-1, None] * np.hanning(w + 2)[None, 1:-1]
    power = np.abs(np.fft.fft2((grey - grey.mean(axis=(1, 2), keepdims=True)) * window)) ** 2
    power /= h * w * np.square(window).sum()
    frequency = np.hypot(np.fft.fftfreq(h)[:, None], np.fft.fftfreq(w)[None, :])
    octaves = int(np.log2(min(h, w))) - 1
    bands = [(frequency <= 2.0**-k / 2) & (frequency > 2.0**-k / 4) for k in range(octaves)]
    return np.sqrt(np.stack([power[:, band].sum(axis=1) for band in bands], axis=1))


def coherence_distance(sample: np.ndarray, reference: np.ndarray) -> float:
    """W1 between the coherences [n] and [m] of two sets, 0..1."""
    return float(w1(sample[:, None], reference[:, None])[0])


def spectrum_distance(sample: np.ndarray, reference: np.ndarray) -> float:
    """Mean over octaves of the W1 between log₂ contrasts [n, k] and [m, k]; 1 is twice the contrast everywhere."""
    floor = 0.5  # of a level: below it there is nothing to see
    return float(w1(*(np.log2(np.maximum(values, floor)) for values in (sample, reference))).mean())


def _pooled(values: np.ndarray) -> np.ndarray:
    """[n, h, w] -> means over windows of NEIGHBOURHOOD_PX, [n, h', w']."""
    sums = np.cumsum(np.cumsum(np.pad(values, [(0, 0), (1, 0), (1, 0)]), axis=1, dtype=np.float64), axis=2)
    k = NEIGHBOURHOOD_PX
    return (sums[:, k:, k:] - sums[:, :-k, k:] - sums[:, k:, :-k] + sums[:, :-k, :-k]) / k**2
