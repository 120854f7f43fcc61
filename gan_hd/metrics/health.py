"""Signs of a generator that cheats: one answer to everything, or pieces copied from the paintings.

In: features [n, d] of crops (features.RandomFeatures, standardised). Out: numbers.
Reference: Roy and Vetterli, "The effective rank" (2007).
"""

from __future__ import annotations

import numpy as np


def effective_rank(features: np.ndarray) -> float:
    """exp of the entropy of the normalised singular values of the centred features: how many directions they vary in.

    1 where everything varies along one line, or not at all.
    """
    centred = features.astype(np.float64) - features.mean(axis=0, dtype=np.float64)
    # The squares of the singular values, from the smaller of the two products: faster than an SVD.
    product = centred @ centred.T if len(centred) < centred.shape[1] else centred.T @ centred
    values = np.sqrt(np.maximum(np.linalg.eigvalsh(product), 0))
    shares = values[values > 1e-7 * max(values.max(initial=0), 1e-10)]
    if not len(shares):
        return 1.0
    shares = shares / shares.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))


def copy_rate(sample: np.ndarray, reference: np.ndarray, *, pictures: np.ndarray) -> float:
    """Share of the sample that lies nearer to a painting's crop than paintings lie to one another.

    "Near" is the first percentile of the distances from each reference crop to its nearest one of another picture, so
    paintings among themselves have 0.01.

    Args:
        sample: [n, d].
        reference: [m, d].
        pictures: int [m], which picture each reference crop is from; two different ones at least.
    """
    own = _distances(reference, reference)
    own[pictures[:, None] == pictures[None, :]] = np.inf
    nearest = own.min(axis=1)
    if not np.isfinite(nearest).all():
        raise ValueError(f"the reference must be of two pictures at least. Received: {len(set(pictures))}")
    return float((_distances(sample, reference).min(axis=1) < np.percentile(nearest, 1)).mean())


def _distances(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    x, y = x.astype(np.float64), y.astype(np.float64)
    squares = np.square(x).sum(axis=1)[:, None] + np.square(y).sum(axis=1)[None] - 2 * x @ y.T
    return np.sqrt(np.maximum(squares, 0))
