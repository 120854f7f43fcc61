r"""Draws the embedded sample set: photographs, paintings of other scenes, and one HD photograph.

    python -m data.samples --output=DIR [--count=24] [--seed=0] [--long_side_px=1024]

writes

    DIR/photos/photo_000.jpg ...        content domain
    DIR/paintings/painting_000.jpg ...  style domain; scenes that are not among the photographs
    DIR/hd/photo.jpg                    4000 x 3000, to be translated
    DIR/manifest.json                   settings, seeds and sizes; written last

The same command again changes nothing; other settings need --overwrite or another folder.
Exit status: 0 done, 2 on a bad command line.
"""

from __future__ import annotations

import pathlib
import sys

from absl import app, flags

from data.samples import build

_OUTPUT = flags.DEFINE_string("output", None, "Folder to write to.", required=True)
_COUNT = flags.DEFINE_integer("count", 24, "Photographs, and as many paintings.", lower_bound=1)
_SEED = flags.DEFINE_integer("seed", 0, "Another seed draws another set.", lower_bound=0)
_LONG_SIDE = flags.DEFINE_integer(
    "long_side_px", 1024, "Long side of photographs and paintings, px.", lower_bound=16
)
_HD_WIDTH = flags.DEFINE_integer("hd_width_px", 4000, "Width of the HD photograph, px.", lower_bound=16)
_HD_HEIGHT = flags.DEFINE_integer("hd_height_px", 3000, "Height of the HD photograph, px.", lower_bound=16)
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace a set with other settings.")
_WORKERS = flags.DEFINE_integer("workers", 0, "Processes; 0: one per core.", lower_bound=0)


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"unexpected arguments: {' '.join(argv[1:])}")
    manifest = build.plan(
        count=_COUNT.value,
        seed=_SEED.value,
        long_side_px=_LONG_SIDE.value,
        hd_width_px=_HD_WIDTH.value,
        hd_height_px=_HD_HEIGHT.value,
    )
    try:
        print(
            build.write(
                manifest, pathlib.Path(_OUTPUT.value), overwrite=_OVERWRITE.value, workers=_WORKERS.value
            )
        )
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    app.run(main)
