"""The table of benchmarks/ablations.py, as Markdown.

In: rows, with `figures` as gan_hd.cli.evaluate writes them to JSON. Out: text.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def _gap_closed(name: str) -> Callable[[dict], str]:
    def cell(figures: dict) -> str:
        distance = figures["distances"][name]
        if distance["gap_closed"] is None:
            return "no gap"
        low, high = distance["interval"]
        around = "" if low is None else f" ± {100 * (high - low) / 2:.0f}"
        return f"{100 * distance['gap_closed']:.0f}{around} %"

    return cell


def _number(digits: int, *path: Any) -> Callable[[dict], str]:
    def cell(figures: dict) -> str:
        value: Any = figures
        for key in path:
            value = value.get(key) if isinstance(value, dict) else value[key]
            if value is None:
                return ""
        return f"{value:.{digits}f}"

    return cell


#: Heading -> the cell of a row's figures. Gaps closed, then what docs/evaluation.md explains.
COLUMNS: dict[str, Callable[[dict], str]] = {
    "KID": _gap_closed("kid"),
    "SWD": _gap_closed("swd"),
    "colour": _gap_closed("colour_w1"),
    "edges": _number(2, "edges", 0),
    "tones": _number(2, "tones"),
    "ΔE": _number(1, "colour_difference"),
    "error": _number(1, "paired_error"),
    "variety": _number(2, "effective_rank"),
    "GSE grid": _number(2, "seams", "grid_gse_mean"),
    "SSZ grid": _number(2, "seams", "grid_ssz"),
}


def markdown(rows: list[dict]) -> str:
    """A table with a line per row.

    Args:
        rows: "name", "command", and "steps", "seconds" and "figures" where known; or "name" and "same_as".
    """
    heads = ["variant", "steps", "s", *COLUMNS, "command"]
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for row in rows:
        if "same_as" in row:
            cells = [f"as {row['same_as']}", *[""] * (len(heads) - 2)]
        else:
            figures = row.get("figures")
            cells = [str(row.get("steps", "")), f"{row['seconds']:.0f}" if "seconds" in row else ""]
            cells += [cell(figures) if figures else "" for cell in COLUMNS.values()]
            cells.append(f"`{row['command']}`" if row["command"] else "")
        lines.append(f"| {' | '.join([row['name'], *cells])} |")
    return "\n".join(lines)
