"""Kernel distance between two sets of features: unbiased, for any two sizes.

In: [n, d] and [m, d] features. Out: MMD² with the kernel (x·y/d + 1)³; 0 on average for samples of one distribution,
so single results may be a little below 0.
Reference: Bińkowski et al., "Demystifying MMD GANs" (2018); Gretton et al., "A kernel two-sample test" (2012), eq. 3.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Kernels:
    """Kernel values between all points of a sample and a reference set, for distances of many resamples of them.

    Attributes:
        sample: float32 [n, n].
        reference: float32 [m, m].
        between: float32 [n, m].
    """

    sample: np.ndarray
    reference: np.ndarray
    between: np.ndarray

    def distance(self, sample: np.ndarray | None = None, reference: np.ndarray | None = None) -> float:
        """MMD² where points are taken so often.

        Args:
            sample: how often each point of the sample is taken, [n]; None: once.
            reference: the same of the reference set, [m].

        A point is never compared with itself, however often it is taken: repeats would look like a likeness.
        """
        x = np.ones(len(self.sample)) if sample is None else np.asarray(sample, np.float64)
        y = np.ones(len(self.reference)) if reference is None else np.asarray(reference, np.float64)
        between = float(x @ self.between @ y) / float(x.sum() * y.sum())
        return _within(self.sample, x) + _within(self.reference, y) - 2 * between


def kernels(sample: np.ndarray, reference: np.ndarray) -> Kernels:
    """The kernel of every pair.

    Raises:
        ValueError: a set has fewer than two points, or the widths differ.
    """
    if sample.ndim != 2 or reference.ndim != 2 or sample.shape[1] != reference.shape[1]:
        raise ValueError(f"features must be [n, d] and [m, d]. Received: {sample.shape}, {reference.shape}")
    if min(len(sample), len(reference)) < 2:
        raise ValueError(f"each set needs two points at least. Received: {len(sample)} and {len(reference)}")
    return Kernels(_kernel(sample, sample), _kernel(reference, reference), _kernel(sample, reference))


def kid(sample: np.ndarray, reference: np.ndarray) -> float:
    """MMD² between two sets of features."""
    return kernels(sample, reference).distance()


def _kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return (x @ y.T / x.shape[1] + 1) ** 3


def _within(kernel: np.ndarray, weights: np.ndarray) -> float:
    """Mean over pairs of different points."""
    own = np.square(weights)
    pairs = weights.sum() ** 2 - own.sum()
    return float((weights @ kernel @ weights - own @ np.diag(kernel)) / pairs)
