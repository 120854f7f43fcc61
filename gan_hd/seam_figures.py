"""How much a model's tile grid shows in translations: the seam figures of an evaluation, and their heat maps.

In: a Translator, photographs uint8 [h, w, 3]. Out: numbers by name, heat maps by mode.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from gan_hd.metrics import seams
from gan_hd.streaming import ArrayRows
from gan_hd.translator import Translator

#: Side of the tiles of `exact` mode that are measured: small, so that there are many borders.
EXACT_TILE_PX = 256
#: Photographs of more pixels are not translated in one piece: that needs memory for the whole of them.
WHOLE_PX = 4_000_000


@dataclass(frozen=True)
class SeamFigures:
    """What the tile grid leaves in translations.

    Attributes:
        figures: by name, MODE_gse_mean, MODE_gse_max, MODE_ssz, MODE_ssz_of_photos (which a horizon along a border
            raises too); exact_whole_mean and exact_whole_max, the difference between `exact` mode's tiles and one
            piece in levels of 1/255, where a photograph is small enough. Means over the photographs, and the largest
            of the maxima.
        heats: by mode, the first photograph's heat map of GSE, float32 [h', w'] in levels of 1/255.
    """

    figures: dict[str, float]
    heats: dict[str, np.ndarray] = field(repr=False)


def measure(model: Translator, photos: Sequence[np.ndarray]) -> SeamFigures:
    """GSE and SSZ (metrics.seams) of a model in `exact` mode, with many small tiles, and in `grid` mode.

    In `exact` mode the tiled translation is compared with the one in a single piece, too.
    """
    found: dict[str, list[float]] = {}
    heats: dict[str, np.ndarray] = {}
    for photo in photos:
        for mode, tile_px in (("exact", EXACT_TILE_PX), ("grid", None)):
            plan = model.plan(*photo.shape[:2], mode=mode, tile_px=tile_px)
            stride = model.metadata["stride_px"]
            moved = (plan.pitch[0] // 2 // stride * stride, plan.pitch[1] // 2 // stride * stride)
            tiled, shifted = (
                model.translate(photo, mode=mode, tile_px=tile_px, origin=origin)
                for origin in ((0, 0), moved)
            )
            error = seams.grid_shift_error(
                ArrayRows(tiled), ArrayRows(shifted), tile=plan.pitch, origins=((0, 0), moved)
            )
            painted, before = (
                seams.seam_step_z(ArrayRows(picture), tile=plan.pitch, origin=(0, 0)).z
                for picture in (tiled, photo)
            )
            heats.setdefault(mode, error.heat)
            figures = {"gse_mean": error.mean, "gse_max": error.max, "ssz": painted, "ssz_of_photos": before}
            if mode == "exact" and photo.shape[0] * photo.shape[1] <= WHOLE_PX:
                apart = np.abs(tiled.astype(np.int16) - model.translate_whole(photo))
                figures |= {"whole_mean": float(apart.mean()), "whole_max": float(apart.max())}
            for name, value in figures.items():
                found.setdefault(f"{mode}_{name}", []).append(value)
    return SeamFigures({name: _summary(name, values) for name, values in found.items()}, heats)


def _summary(name: str, values: list[float]) -> float:
    """The largest of maxima, else the mean of what is a number; nan where nothing is."""
    known = [value for value in values if not np.isnan(value)]
    if not known:
        return float("nan")
    return float(max(known) if name.endswith("max") else np.mean(known))
