"""Wasserstein-1 distances between samples: exact in one dimension, sliced in several.

In: two samples of points, of any two sizes. Out: a distance in the points' unit; 0 for equal distributions.
Reference: Rabin et al., "Wasserstein barycenter and its application to texture mixing" (2011).
"""

from __future__ import annotations

import numpy as np


def w1(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Exact W1 between the empirical distributions of each column: ∫₀¹ |F⁻¹(q) − G⁻¹(q)| dq.

    Args:
        first: [n, k] float.
        second: [m, k] float; n and m may differ, and every point of a sample weighs the same.

    Returns:
        float64 [k].

    Raises:
        ValueError: a sample is empty, or the columns do not match.
    """
    _check(first, second)
    n, m = len(first), len(second)
    # Quantile functions are steps: constant between all the i/n and j/m. In units of 1/(n·m) these are integers.
    steps = np.unique(np.concatenate([np.arange(n + 1, dtype=np.int64) * m, np.arange(m + 1) * n]))
    left, weight = steps[:-1], np.diff(steps) / (n * m)
    sorted_first, sorted_second = np.sort(first, axis=0), np.sort(second, axis=0)
    distance = np.empty(first.shape[1])
    for column in range(first.shape[1]):  # the steps are many: one column at a time keeps them in the cache
        apart = np.abs(sorted_first[left // m, column] - sorted_second[left // n, column])
        distance[column] = np.dot(apart.astype(np.float64), weight)
    return distance


def sliced_w1(first: np.ndarray, second: np.ndarray, *, directions: int, seed: int = 0) -> float:
    """Mean W1 over random directions of the space the points lie in.

    Args:
        first: [n, d] float.
        second: [m, d] float.
        directions: number of unit vectors, uniform on the sphere.
        seed: of the directions: distances are comparable where it is the same.

    Raises:
        ValueError: as :func:`w1`.
    """
    _check(first, second)
    vectors = unit_vectors(first.shape[1], directions, seed=seed)
    # float64: a float32 product depends in its last bits on where the points happen to lie in memory.
    first, second, vectors = (points.astype(np.float64) for points in (first, second, vectors))
    return float(w1(first @ vectors, second @ vectors).mean())


def unit_vectors(dimensions: int, count: int, *, seed: int = 0) -> np.ndarray:
    """float32 [dimensions, count]: unit columns, uniform on the sphere."""
    vectors = np.random.default_rng(seed).normal(size=(dimensions, count))
    return (vectors / np.linalg.norm(vectors, axis=0)).astype(np.float32)


def _check(first: np.ndarray, second: np.ndarray) -> None:
    if first.ndim != 2 or second.ndim != 2 or first.shape[1] != second.shape[1]:
        raise ValueError(f"samples must be [n, k] and [m, k]. Received: {first.shape} and {second.shape}")
    if not len(first) or not len(second):
        raise ValueError(f"samples must not be empty. Received: {first.shape} and {second.shape}")
