"""Fréchet distance between two sets of features, each taken for a normal distribution: what FID is made of.

    ‖μ₁ − μ₂‖² + tr(C₁ + C₂ − 2 (C₁C₂)^½)

With centred features X [n, d] and Y [m, d], C₁ = XᵀX/(n−1) and C₂ = YᵀY/(m−1), the trace of the root is the sum of the
singular values of XYᵀ over √((n−1)(m−1)): no root of a d×d matrix, nothing that fails where n < d.

In: [n, d] and [m, d] features. Out: a number in squared units of the features, 0 for equal moments. It is larger the
fewer features there are, so that only sets of equal sizes compare.
Reference: Dowson and Landau, "The Fréchet distance between multivariate normal distributions" (1982); Heusel et al.,
"GANs trained by a two time-scale update rule" (2017).
"""

from __future__ import annotations

import numpy as np


def frechet_distance(sample: np.ndarray, reference: np.ndarray) -> float:
    """The distance between two sets.

    Args:
        sample: [n, d] float, n at least 2.
        reference: [m, d] float, m at least 2.

    Raises:
        ValueError: a set has fewer than two points, or the widths differ.
    """
    if sample.ndim != 2 or reference.ndim != 2 or sample.shape[1] != reference.shape[1]:
        raise ValueError(f"features must be [n, d] and [m, d]. Received: {sample.shape}, {reference.shape}")
    if min(len(sample), len(reference)) < 2:
        raise ValueError(f"each set needs two points at least. Received: {len(sample)} and {len(reference)}")
    means: list[np.ndarray] = []
    roots: list[np.ndarray] = []
    for features in (sample.astype(np.float64), reference.astype(np.float64)):
        means.append(features.mean(axis=0))
        centred = (features - means[-1]) / np.sqrt(len(features) - 1)
        # RᵀR = C with at most d rows, however many features there are.
        roots.append(np.asarray(np.linalg.qr(centred, mode="r")))
    root_trace = np.linalg.svd(roots[0] @ roots[1].T, compute_uv=False).sum()
    traces = sum(float(np.square(root).sum()) for root in roots)
    # Rounding may leave a little below zero where both sets are one.
    return max(0.0, float(np.square(means[0] - means[1]).sum()) + traces - 2 * float(root_trace))
