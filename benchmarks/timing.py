"""What the benchmarks share: cases timed in turns, a table, and the JSON line at the end.

Cases take turns (A B C A B C ...), so that what else the machine does weighs on all of them; medians over the rounds
are compared within one run.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gan_hd import __version__

_PACKAGES = ("tensorflow", "keras", "numpy")


@dataclass(frozen=True)
class Case:
    """One thing to time.

    Attributes:
        run: does it once, and returns when it is done.
        repeat: how often in a row per round; the round's time is divided by it.
        lead_in: how often before the clock starts, in each round: what an earlier case left in a buffer is used up.
    """

    run: Callable[[], object]
    repeat: int = 1
    lead_in: int = 0


def rounds_of(cases: Mapping[str, Case], *, rounds: int, warm_up: int = 1) -> dict[str, list[float]]:
    """Times all cases, one after another, `rounds` times.

    Args:
        cases: by name.
        rounds: how many.
        warm_up: how often each case runs before the first round.

    Returns:
        seconds per run, one number a round, by name.
    """
    for case in cases.values():
        for _ in range(warm_up):
            case.run()
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, case in cases.items():
            for _ in range(case.lead_in):
                case.run()
            start = time.perf_counter()
            for _ in range(case.repeat):
                case.run()
            seconds[name].append((time.perf_counter() - start) / case.repeat)
    return seconds


def summary(seconds: Sequence[float]) -> dict[str, float]:
    """Median, best and number of the rounds, for the JSON line."""
    return {
        "median_sec": round(statistics.median(seconds), 7),
        "best_sec": round(min(seconds), 7),
        "rounds": len(seconds),
    }


def ratio(numerators: Sequence[float], denominators: Sequence[float]) -> float:
    """The median over the rounds of one case's time over another's in the same round."""
    return round(statistics.median(a / b for a, b in zip(numerators, denominators, strict=True)), 4)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Prints rows under a header: words to the left, numbers to the right with three digits that count."""
    cells = [list(columns), *([_text(value) for value in row] for row in rows)]
    widths = [max(len(row[k]) for row in cells) for k in range(len(columns))]
    for row in cells:
        first, *rest = (
            cell.ljust(width) if k == 0 else cell.rjust(width)
            for k, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        print("  ".join([first, *rest]).rstrip(), flush=True)


def _text(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return str(value)


def print_json(benchmark: str, result: Mapping[str, Any]) -> None:
    """The last line: everything in it, and the machine."""
    print(json.dumps({"benchmark": benchmark, **result, **machine()}), flush=True)


def machine() -> dict[str, Any]:
    """What a reader needs to place the numbers: cores, processor, system and versions."""
    return {
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "processor": _processor(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "versions": {"gan_hd": __version__} | {name: _version(name) for name in _PACKAGES},
    }


def peak_rss_gib() -> float:
    """The largest resident memory of this process so far, GiB."""
    # In KiB, on macOS in bytes.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / 2 ** (30 if sys.platform == "darwin" else 20), 4)


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    """The model's name, family and number on Linux: names alone leave the generation open on some hosts."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    known = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    if "model name" not in known:
        return platform.processor()
    return f"{known['model name']} (family {known.get('cpu family')}, model {known.get('model')})"
