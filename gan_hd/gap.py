"""A style distance on its scale: the share of the way from the photographs to other paintings.

In: distances of translations, of other paintings (the *floor*) and of photographs (the *start*) from one reference.
Out: Distance, with an interval from a bootstrap over pictures: crops of one picture are alike.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

T = TypeVar("T")
#: By name: distances of translations, other paintings and photographs from the reference.
Measured = Mapping[str, tuple[float, ...]]


@dataclass(frozen=True)
class Distance:
    """A style distance on its scale.

    Attributes:
        value: translations from the reference.
        floor: other paintings from it.
        start: photographs from it.
        gap_closed: 1 − (value − floor)/(start − floor); nan where the start is no farther than the floor.
        interval: nominally 95 % of `gap_closed`, too narrow where start − floor is small beside its own spread; nan
            without a bootstrap or a gap.
    """

    value: float
    floor: float
    start: float
    gap_closed: float
    interval: tuple[float, float]


def gaps_closed(measured: Measured) -> dict[str, float]:
    """The share of the way for each distance, nan where there is no way to go."""
    return {
        name: 1 - (value - floor) / (start - floor) if start > floor else math.nan
        for name, (value, floor, start) in measured.items()
    }


def on_scale(measured: Measured, resamples: Sequence[Measured] = ()) -> dict[str, Distance]:
    """Distances with their intervals.

    Args:
        measured: of all pictures.
        resamples: the same of pictures drawn with repeats; fewer than two leave the intervals out. They give the
            spread alone, for repeats shift most distances: 1.96 deviations of the gap, linear in the distances around
            `measured` (the delta method). A gap of each resample would be a ratio whose denominator may come near 0.
    """
    gaps, found = gaps_closed(measured), {}
    for name, (value, floor, start) in measured.items():
        gap, spread = gaps[name], math.nan
        if len(resamples) > 1 and start > floor:
            values, floors, starts = np.transpose([resample[name] for resample in resamples])
            changes = ((1 - gap) * (starts - floors) - (values - floors)) / (start - floor)
            spread = 1.96 * float(np.std(changes, ddof=1))
        found[name] = Distance(value, floor, start, gap, (gap - spread, gap + spread))
    return found


def mean(measured: Sequence[Measured]) -> Measured:
    """Each distance as its mean over several measurements, such as halvings."""
    return {name: tuple(np.mean([m[name] for m in measured], axis=0).tolist()) for name in measured[0]}


def drawn(rng: np.random.Generator, pictures: np.ndarray) -> np.ndarray:
    """As many of the pictures as there are, with repeats.

    Args:
        rng: draws.
        pictures: int [n], pictures or the picture of each crop; what repeats counts once.
    """
    known = np.unique(pictures)
    return rng.choice(known, len(known))


def halves(paintings: Sequence[T], *, seed: int) -> tuple[list[T], list[T]]:
    """The reference and the other paintings: which is which follows from the seed and their number."""
    order = np.random.default_rng(seed).permutation(len(paintings))
    first, second = ([paintings[i] for i in sorted(order[start::2])] for start in (0, 1))
    return first, second
