"""Which figure sees which fault: every figure of an evaluation against faults planted in photographs.

  python -m data.samples --output=samples
  python benchmarks/bench_sensitivity.py --content_dir=samples/photos --style_dir=samples/paintings [--model=RUN_DIR]

A row for each fault of benchmarks/faults.py, for the paintings' palette put on photographs, for other paintings in
place of photographs, and for a model where one is named. Every third painting is one of the "other paintings" and takes
no other part. Style figures are gaps closed in % (0: the photographs; 100: other paintings); docs/evaluation.md has
all columns. SSZ and GSE are of a grid of 64 px.

Prints a table, ends with one JSON line. Exit status 1 where a headline figure (kid, swd) prefers the photographs or a
constant to other paintings.
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np
from absl import flags

from gan_hd import files, pictures
from gan_hd.cli import entry
from gan_hd.metrics import seams
from gan_hd.streaming import ArrayRows

_CONTENT = flags.DEFINE_string("content_dir", None, "Photographs: a folder, a glob or a file.")
_STYLE = flags.DEFINE_string("style_dir", None, "Paintings; six at least.")
_MODEL = flags.DEFINE_string("model", None, "Run folder or SavedModel to add as a row.")
_PICTURES = flags.DEFINE_integer("pictures", 12, "Photographs at most.", lower_bound=1)
_PAINTINGS = flags.DEFINE_integer("paintings", 48, "Paintings at most.", lower_bound=6)
_CROPS = flags.DEFINE_integer("crops", 48, "Crops of each photograph.", lower_bound=1)
_CONTENT_PX = flags.DEFINE_integer("content_px", 1536, "Long side of photographs, px.", lower_bound=128)
_STYLE_PX = flags.DEFINE_integer("style_px", 704, "Long side of paintings, px.", lower_bound=128)
_RESAMPLES = flags.DEFINE_integer("resamples", 0, "Of the bootstrap, for the JSON line.", lower_bound=0)

_STYLE_COLUMNS = ("kid", "swd", "channel_w1", "colour_w1", "coherence", "spectrum")
_COLUMNS = (*_STYLE_COLUMNS, "edges", "tones", "dE areas", "variety", "copies", "SSZ", "GSE")
_HEADLINES = ("kid", "swd")
_PAINTING = "other paintings"


def main(argv: list[str]) -> int:
    del argv
    entry.log_to_stderr()
    if not _CONTENT.value or not _STYLE.value:
        return entry.fail("--content_dir and --style_dir are needed")
    try:
        photos = _read(_CONTENT.value, _CONTENT_PX.value, _PICTURES.value)
        paintings = _read(_STYLE.value, _STYLE_PX.value, _PAINTINGS.value)
    except (OSError, ValueError) as error:
        return entry.fail(error)
    entry.import_tensorflow()
    from benchmarks import faults
    from gan_hd.evaluation import Evaluation, Settings

    others = paintings[::3]
    kept = [painting for index, painting in enumerate(paintings) if index % 3]
    rows = dict(faults.FAULTS)
    rows["paintings' palette"] = faults.palette_of(others)
    if _MODEL.value:
        from gan_hd.translator import Translator

        rows["the model"] = Translator(_MODEL.value).translate
    rows[_PAINTING] = faults.paintings_instead(others)
    try:
        settings = Settings(crops=_CROPS.value, resamples=_RESAMPLES.value)
        evaluation = Evaluation(photos, kept, settings=settings)
    except ValueError as error:
        return entry.fail(error)
    print(f"{'':20}" + "".join(f"{name:>11}" for name in _COLUMNS))
    found = {}
    for name, fault in rows.items():
        made: list[np.ndarray] = []

        def painter(photo, fault=fault, made=made):
            made.append(fault(photo))
            return made[-1]

        measured = evaluation.report(painter)
        grid = {"tile": (faults.TILE_PX, faults.TILE_PX)}
        steps = [seams.seam_step_z(ArrayRows(picture), **grid).z for picture in made]
        shift = 0.0
        if fault is faults.seams:
            shift = float(np.mean([_shift_error(photo) for photo in photos]))
        found[name] = {
            **{column: 100 * measured.distances[column].gap_closed for column in _STYLE_COLUMNS},
            "edges": float(np.mean(measured.edges)),
            "tones": measured.tones,
            "dE areas": measured.colour_difference,
            "variety": measured.effective_rank,
            "copies": measured.copy_rate,
            "SSZ": float(np.median(steps)),
            "GSE": shift,
        }
        cells = (
            f"{value:11.0f}" if column in _STYLE_COLUMNS else f"{value:11.2f}"
            for column, value in found[name].items()
        )
        print(f"{name:20}" + "".join(cells), flush=True)
    wrong = [
        f"{headline} prefers {name}"
        for headline in _HEADLINES
        for name in ("identity", "constant")
        if not found[name][headline] < found[_PAINTING][headline]
    ]
    print("no headline prefers the photographs or a constant" if not wrong else "; ".join(wrong))
    summary = {"benchmark": "sensitivity", "photographs": len(photos), "paintings": len(kept)}
    print(json.dumps(summary | {"rows": seams.json_safe(found), "wrong": wrong}))
    return entry.SOME_FAILED if wrong else entry.OK


def _shift_error(photo: np.ndarray) -> float:
    """GSE of the planted seams: the grid at two places."""
    from benchmarks import faults

    side = faults.TILE_PX
    origins = ((0, 0), (side // 2, side // 2))
    first, second = (ArrayRows(faults.seams(photo, origin=origin)) for origin in origins)
    return seams.grid_shift_error(first, second, tile=(side, side), origins=origins).mean


def _read(source: str, side_px: int, most: int) -> list[np.ndarray]:
    """At most so many of the pictures, evenly over the list, the longest side at most `side_px`."""
    paths = files.find_pictures(source)
    chosen = np.unique(np.linspace(0, len(paths) - 1, min(most, len(paths))).round().astype(int))
    return [pictures.read_rgb(paths[i], side_px=side_px) for i in chosen]


if __name__ == "__main__":
    entry.run(main)
