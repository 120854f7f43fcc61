"""What the context is worth: the same generator told about its picture, about nothing, and about other pictures.

  python benchmarks/bench_context.py --content_dir=photos [--model=RUN_DIR,OTHER_RUN] [--side_px=1536]

A row for each model and context, means over the photographs:

    context                      variation   tones  dE areas  dE to own
    runs/a: own                       4.10    0.93     20.10       0.00
    runs/a: none                      4.40    0.93     20.40       3.30

own        of the picture itself, as translate.py has it
none       the null context, which training mixed in
others     of the other photographs, three of them
variation  how much the mean colours of 128-px tiles vary in ways that the photograph's do not account for, ΔE
tones      correlation of luma with the photograph
dE areas   how far the colours of large areas are from the photograph's
dE to own  the same, from the painting with the picture's own context

A model without context has one row, "own". Ends with one JSON line. Exit status: 0 done, 2 bad command line.
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np
from absl import flags

from gan_hd import files, pictures
from gan_hd.cli import entry
from gan_hd.config import PRECISIONS
from gan_hd.streaming import ArrayRows

_MODEL = flags.DEFINE_list("model", [], "Run folders or SavedModels (default: the Van Gogh that ships).")
_CONTENT = flags.DEFINE_string("content_dir", None, "Photographs: a folder, a glob or a file.")
_SIDE = flags.DEFINE_integer("side_px", 1536, "Long side they are brought to, px.", lower_bound=512)
_PRECISION = flags.DEFINE_enum("precision", "auto", PRECISIONS, "Arithmetic.")

_OTHERS = 3
_COLUMNS = ("variation", "tones", "dE areas", "dE to own")


def main(argv: list[str]) -> int:
    del argv
    entry.log_to_stderr()
    if not _CONTENT.value:
        return entry.fail("--content_dir is needed: photographs to translate")
    try:
        photos = [
            pictures.read_rgb(path, side_px=_SIDE.value) for path in files.find_pictures(_CONTENT.value)
        ]
    except (OSError, ValueError) as error:
        return entry.fail(error)
    entry.import_tensorflow()
    from gan_hd import runtime
    from gan_hd.translator import Translator

    precision = runtime.choose_precision(_PRECISION.value)
    rows = {}
    print(f"{'context':32}" + "".join(f"{name:>11}" for name in _COLUMNS))
    for model in _MODEL.value or [None]:
        try:
            translator = Translator(model, precision=precision)
        except ValueError as error:
            return entry.fail(error)
        name = model or translator.folder.name
        for kind, values in _measure(translator, photos).items():
            rows[f"{name}: {kind}"] = values
            print(f"{f'{name}: {kind}':32}" + "".join(f"{values[column]:11.2f}" for column in _COLUMNS))
    print(
        json.dumps({"benchmark": "context", "photographs": len(photos), "side_px": _SIDE.value, "rows": rows})
    )
    return entry.OK


def _measure(translator, photos: list[np.ndarray]) -> dict[str, dict[str, float]]:
    """Figures by kind of context, means over the photographs."""
    found: dict[str, list[list[float]]] = {}
    for index, photo in enumerate(photos):
        contexts = [("own", None)]
        if translator.takes_context:
            contexts.append(("none", np.array(translator.metadata["null_context"], np.float32)))
            others = [(index + step) % len(photos) for step in range(1, _OTHERS + 1)]
            for look in (photos[other] for other in others if other != index):
                height, width, _ = look.shape
                side_px = max(photo.shape[:2])  # another's look, at the photograph's own scale
                (theirs,) = translator.contexts_of(
                    ArrayRows(look), height=height, width=width, sides_px=[side_px]
                )
                contexts.append(("others", theirs))
        first = None
        for kind, context in contexts:
            painted = translator.translate(photo, context=context)
            first = painted if first is None else first
            found.setdefault(kind, []).append(_figures(photo, painted, first))
    return {
        kind: dict(zip(_COLUMNS, np.nanmean(values, axis=0).tolist(), strict=True))
        for kind, values in found.items()
    }


def _figures(photo: np.ndarray, painted: np.ndarray, own: np.ndarray) -> list[float]:
    from gan_hd import pixels
    from gan_hd.metrics import content

    photo, painted, own = (pixels.to_float(p) for p in (photo, painted, own))
    return [
        content.tone_variation(photo, painted),
        content.tone_correlation(photo, painted),
        content.colour_difference(photo, painted),
        content.colour_difference(own, painted),
    ]


if __name__ == "__main__":
    entry.run(main)
