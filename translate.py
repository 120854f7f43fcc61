"""Translate pictures, at their full size, into the style a generator was trained on.

  python translate.py --input=photo.jpg                       -> photo_painted.jpg beside it
  python translate.py --input=photos/ --output=painted/       -> same relative names and formats
  python translate.py --input='holiday/**/*.jpg' --output=painted/ --model=runs/vangogh

Modes: exact gives the same picture whatever the tile size, with no seam; grid is the article's procedure on bare
tiles; blend overlaps tiles, for models that use statistics of their tile.

Exit status: 0 done, 1 some inputs failed (each is named, the others are done), 2 bad command line.
"""

import sys
from pathlib import Path

from absl import flags

from gan_hd import files
from gan_hd.cli import entry
from gan_hd.config import PRECISIONS

_INPUT = flags.DEFINE_string("input", None, "Picture, folder (searched recursively) or glob.")
_OUTPUT = flags.DEFINE_string(
    "output", None, "File for a single picture, else a folder. Default: beside the input, NAME_painted."
)
_MODEL = flags.DEFINE_string(
    "model", None, "Run folder or SavedModel (default: the shipped generator; this version has none)."
)
_MODE = flags.DEFINE_enum("mode", "exact", ["exact", "grid", "blend"], "How tiles are joined.")
_TILE = flags.DEFINE_integer("tile_px", None, "Side of a tile, px (default: by mode).", lower_bound=1)
_PRECISION = flags.DEFINE_enum(
    "precision", "auto", PRECISIONS, "Arithmetic; auto takes the fastest that is native to the device."
)
_STRENGTH = flags.DEFINE_float(
    "strength", 1.0, "0 gives the photo, 1 the painting.", lower_bound=0, upper_bound=1
)
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace outputs that exist; without it they are skipped.")


def main(argv: list[str]) -> int:
    del argv
    entry.log_to_stderr()
    if not _INPUT.value:
        return entry.fail("--input is missing: name a picture, a folder or a glob")
    try:
        inputs = files.find_pictures(_INPUT.value)
        if not inputs:
            return entry.fail(f"--input: no pictures in {_INPUT.value}")
        jobs = files.plan_outputs(inputs, _INPUT.value, _OUTPUT.value)
        if not jobs:
            return entry.fail(f"--input: all pictures in {_INPUT.value} are outputs, in {_OUTPUT.value}")
    except (ValueError, OSError) as error:
        return entry.fail(f"--input/--output: {error}")
    entry.import_tensorflow()  # slow; a bad command line does without
    from gan_hd import runtime, translator

    try:
        model = translator.Translator(_MODEL.value, precision=runtime.choose_precision(_PRECISION.value))
        # A tile that does not suit the mode is a bad command line, not a bad picture.
        model.plan(1, 1, mode=_MODE.value, tile_px=_TILE.value)
    except (ValueError, OSError) as error:
        return entry.fail(error)
    return _translate_all(model, jobs)


def _translate_all(model, jobs: list[tuple[Path, Path]]) -> int:
    from tqdm import tqdm

    from gan_hd import pictures, translator

    done, skipped, failed = 0, 0, []
    for number, (source, target) in enumerate(jobs, start=1):
        if target.exists() and not _OVERWRITE.value:
            print(f"skipped, exists (--overwrite replaces it): {target}", file=sys.stderr)
            skipped += 1
            continue
        try:
            picture = pictures.read_rgb(source)
            pictures.check_writable(target, *picture.shape[:2])
            megapixels = picture.shape[0] * picture.shape[1] / 1e6
            with tqdm(
                total=megapixels,
                unit="MP",
                file=sys.stderr,
                desc=f"{source.name} ({number}/{len(jobs)})",
                leave=False,
                bar_format="{l_bar}{bar}| {n:.1f}/{total:.1f} MP [{elapsed}<{remaining}, {rate_fmt}]",
            ) as bar:
                painted = model.translate(
                    picture,
                    mode=_MODE.value,
                    tile_px=_TILE.value,
                    strength=_STRENGTH.value,
                    done=lambda share, bar=bar, full=megapixels: bar.update(share * full),
                )
            pictures.write_rgb(target, painted)
        except (ValueError, OSError, MemoryError, translator.PredictionError) as error:
            text = str(error) or type(error).__name__
            failed.append(source)
            entry.fail(text if str(source) in text else f"{source}: {text}")
            continue
        except KeyboardInterrupt:
            print(f"stopped at {source}: {done} done; the same command again does the rest", file=sys.stderr)
            return 130
        done += 1
        print(f"{source} -> {target}")
    print(f"{done} translated, {skipped} skipped, {len(failed)} failed", file=sys.stderr)
    return entry.SOME_FAILED if failed else entry.OK


if __name__ == "__main__":
    entry.run(main)
