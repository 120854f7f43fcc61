"""What an evaluation says: a table for the terminal, a dictionary for JSON, a page in one HTML file.

In: evaluation.Report by painter's name. Out: text.
"""

from __future__ import annotations

import base64
import dataclasses
import html
import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import pyvips

from gan_hd.evaluation import Report
from gan_hd.gap import Distance
from gan_hd.metrics.seams import heat_picture, json_safe
from gan_hd.metrics.style import DISTANCES

#: Pictures shown on the page.
EXAMPLES = 6
#: Side of the crops shown, px, and crops of each picture.
_SHOWN_PX = 256
_LABELS = {
    "kid": "textures (KID)",
    "swd": "patches (SWD)",
    "channel_w1": "colour, per channel",
    "colour_w1": "colour, together",
    "coherence": "direction of marks",
    "spectrum": "scale of marks",
    "fid": "Inception (FID)",
    "inception_kid": "Inception (KID)",
}
# Photographs as they are have 0.5 and more, a constant 0.01; pieces of paintings have 0.2 and more.
_LEAST_VARIETY, _MOST_COPIES = 0.2, 0.2
_COLOURS = ("#b45309", "#1d4ed8", "#047857", "#be123c", "#6d28d9", "#374151")


def rows(reports: Mapping[str, Report]) -> list[tuple[str, list[str]]]:
    """Label and one cell per painter: the figures that people compare."""
    found = [
        (f"style gap closed: {_LABELS[name]}", [_share(r.distances[name]) for r in reports.values()])
        for name in DISTANCES
    ]
    if any(r.inception for r in reports.values()):
        for name in ("fid", "inception_kid"):
            cells = [_share(r.inception[name]) if r.inception else "" for r in reports.values()]
            found.append((f"style gap closed: {_LABELS[name]}", cells))
        cells = [f"{r.inception['fid'].value:.1f}" if r.inception else "" for r in reports.values()]
        found.append(("FID, of few crops and Keras' weights", cells))
        cells = ["" if r.artfid is None else f"{r.artfid:.1f}" for r in reports.values()]
        found.append(("(1 + content lost)(1 + FID), lower is better", cells))
    for k, size in enumerate(("full", "half", "quarter")):
        found.append((f"edges kept, {size} size", [f"{r.edges[k]:.2f}" for r in reports.values()]))
    found.append(("tones kept", [f"{r.tones:.2f}" for r in reports.values()]))
    found.append(("colour of areas moved, ΔE", [f"{r.colour_difference:.1f}" for r in reports.values()]))
    if any(r.paired_error is not None for r in reports.values()):
        errors = ["" if r.paired_error is None else f"{r.paired_error:.1f}" for r in reports.values()]
        found.append(("error against the truth, levels", errors))
    found.append(("variety against paintings", [f"{r.effective_rank:.2f}" for r in reports.values()]))
    found.append(
        ("crops like a painting's (0.01 is usual)", [f"{r.copy_rate:.3f}" for r in reports.values()])
    )
    for name in dict.fromkeys(name for r in reports.values() for name in r.seams):
        cells = [f"{r.seams[name]:.2f}" if name in r.seams else "" for r in reports.values()]
        found.append((f"seams: {name.replace('_', ' ')}", cells))
    return found


def alarms(reports: Mapping[str, Report]) -> list[str]:
    """What no average should hide, a line each: one answer to everything, copies."""
    found = []
    for name, report in reports.items():
        if report.effective_rank < _LEAST_VARIETY:
            found.append(
                f"{name} gives one answer to everything: its variety is {report.effective_rank:.2f} of the paintings'"
            )
        if report.copy_rate > _MOST_COPIES:
            found.append(
                f"{name} may copy: {100 * report.copy_rate:.0f} % of its crops are as near to a painting's as "
                "1 % of the paintings' are to another's"
            )
    return found


def table(reports: Mapping[str, Report]) -> str:
    """For the terminal."""
    lines = [("", list(reports)), *rows(reports)]
    first = max(len(label) for label, _ in lines)
    width = max(len(cell) for _, cells in lines for cell in cells) + 2
    return "\n".join(
        f"{label:{first}}" + "".join(f"{cell:>{width}}" for cell in cells) for label, cells in lines
    )


def as_dict(reports: Mapping[str, Report], about: Mapping[str, Any]) -> dict[str, Any]:
    """For JSON: None stands for nan."""
    figures = {name: dataclasses.asdict(report) for name, report in reports.items()}
    return {"about": dict(about), "figures": json_safe(figures)}


def page(
    reports: Mapping[str, Report],
    about: Mapping[str, Any],
    pictures: Mapping[str, Sequence[np.ndarray]],
    paintings: Sequence[np.ndarray],
    *,
    heats: Mapping[str, Mapping[str, np.ndarray]] = MappingProxyType({}),
) -> str:
    """One HTML file without anything from outside.

    Args:
        reports: by painter's name.
        about: settings, shown as they are.
        pictures: uint8 [h, w, 3] by column, the photographs first; of equal sizes in a row.
        paintings: the same, to compare with.
        heats: by painter's name and mode, float [h, w], the first photograph's grid-shift error in levels.
    """
    head = "".join(f"<th>{html.escape(name)}</th>" for name in reports)
    body = "".join(
        f"<tr><td>{html.escape(label)}</td>" + "".join(f"<td>{html.escape(c)}</td>" for c in cells) + "</tr>"
        for label, cells in rows(reports)
    )
    settings = {key: value for key, value in about.items() if key not in ("content", "style")}
    settings |= {"photographs": len(about["content"]), "paintings": len(about["style"])}
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Evaluation</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 1100px; padding: 0 1rem; color: #1c1917; }}
table {{ border-collapse: collapse; }} td, th {{ padding: .2rem .8rem; border-bottom: 1px solid #d6d3d1; }}
td + td, th + th {{ text-align: right; font-variant-numeric: tabular-nums; }}
figure {{ display: inline-block; margin: .2rem; }} figcaption {{ font-size: 12px; color: #57534e; }}
img {{ display: block; max-width: 100%; }}
</style></head><body>
<h1>Evaluation</h1>
<p>{html.escape(", ".join(f"{key} {value}" for key, value in settings.items()))}</p>
<table><tr><th></th>{head}</tr>{body}</table>
{"".join(f"<p><strong>{html.escape(line)}</strong></p>" for line in alarms(reports))}
<h2>Distance by scale</h2>
<p>Sliced Wasserstein distance of each octave, fine to coarse. Grey: the paintings' other half (low) and the photographs
(high); a good model's line is near the low one.</p>
{_curves(reports)}
<h2>Crops at 100 %</h2>
{_grids(pictures)}
{_heat_maps(heats)}
<h2>Paintings</h2>
{"".join(_figure(_crop(painting), "") for painting in paintings)}
</body></html>
"""


def _share(distance: Distance) -> str:
    if math.isnan(distance.gap_closed):
        return "no gap"
    low, high = distance.interval
    around = "" if math.isnan(low) else f" ±{100 * (high - low) / 2:.0f}"
    return f"{100 * distance.gap_closed:.0f}{around} %"


def _curves(reports: Mapping[str, Report]) -> str:
    """Distances per level as lines, in SVG."""
    levels = [name for name in next(iter(reports.values())).distances if name.startswith("swd_")]
    lines = {name: [r.distances[level].value for level in levels] for name, r in reports.items()}
    first = next(iter(reports.values())).distances
    bounds = {edge: [getattr(first[level], edge) for level in levels] for edge in ("floor", "start")}
    top = 1.1 * max(max(values) for values in (*lines.values(), *bounds.values()))
    step = 520 / max(1, len(levels) - 1)

    def points(values: list[float]) -> str:
        return " ".join(
            f"{60 + k * step:.1f},{230 - 200 * value / top:.1f}" for k, value in enumerate(values)
        )

    drawn = [
        f'<polyline points="{points(v)}" fill="none" stroke="#a8a29e" stroke-width="2"/>'
        for v in bounds.values()
    ]
    for k, (name, values) in enumerate(lines.items()):
        colour = _COLOURS[k % len(_COLOURS)]
        drawn.append(f'<polyline points="{points(values)}" fill="none" stroke="{colour}" stroke-width="3"/>')
        drawn.append(f'<text x="600" y="{40 + 20 * k}" fill="{colour}">{html.escape(name)}</text>')
    for k, level in enumerate(levels):
        label = html.escape(level.removeprefix("swd_"))
        drawn.append(
            f'<text x="{60 + k * step:.1f}" y="252" text-anchor="middle" font-size="12">{label}</text>'
        )
    for value in (0.0, top / 2, top):
        y = 230 - 200 * value / top
        drawn.append(f'<text x="50" y="{y + 4:.1f}" text-anchor="end" font-size="12">{value:.2f}</text>')
    return f'<svg viewBox="0 0 800 260" width="800" role="img">{"".join(drawn)}</svg>'


def _grids(pictures: Mapping[str, Sequence[np.ndarray]]) -> str:
    """A row for each picture: the same window of every column."""
    found = []
    for row in zip(*pictures.values(), strict=True):
        figures = (_figure(_crop(p), name) for name, p in zip(pictures, row, strict=True))
        found.append(f"<div>{''.join(figures)}</div>")
    return "".join(found)


def _heat_maps(heats: Mapping[str, Mapping[str, np.ndarray]]) -> str:
    """A row for each mode, on one scale, so that painters compare."""
    rows = []
    for mode in dict.fromkeys(mode for by_mode in heats.values() for mode in by_mode):
        shown = {name: by_mode[mode] for name, by_mode in heats.items() if mode in by_mode}
        scale = max(1.0, *(float(heat.max()) for heat in shown.values()))
        figures = (
            _figure(
                heat_picture(heat, full_scale=scale),
                f"{name}, {mode}, white: {scale:.0f} levels",
                lossless=True,
            )
            for name, heat in shown.items()
        )
        rows.append(f"<div>{''.join(figures)}</div>")
    if not rows:
        return ""
    return f"""<h2>Where the tile grid shows</h2>
<p>The first photograph, translated with the grid at two places: black where both are the same.</p>
{"".join(rows)}"""


def _crop(picture: np.ndarray) -> np.ndarray:
    """The window in the middle."""
    (y, h), (x, w) = ((max(0, (s - _SHOWN_PX) // 2), min(s, _SHOWN_PX)) for s in picture.shape[:2])
    return picture[y : y + h, x : x + w]


def _figure(picture: np.ndarray, caption: str, *, lossless: bool = False) -> str:
    image = pyvips.Image.new_from_array(np.ascontiguousarray(picture))
    data = image.write_to_buffer(".png") if lossless else image.write_to_buffer(".jpg", Q=92)
    encoded, kind = base64.b64encode(data).decode(), "png" if lossless else "jpeg"
    return (
        f'<figure><img alt="{html.escape(caption)}" src="data:image/{kind};base64,{encoded}">'
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
    )
