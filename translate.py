"""Translate pictures, at their full size, into the style a generator was trained on.

  python translate.py --input=photo.jpg                       -> photo_painted.jpg beside it
  python translate.py --input=photos/ --output=painted/       -> same relative names and formats
  python translate.py --input='holiday/**/*.jpg' --output=painted/ --model=runs/vangogh
  python translate.py --input=scan.tif --format=dzi           -> scan_painted.dzi, to zoom in a web page
  python translate.py --input=photo.jpg --scale=0.25,1        -> broad strokes, and finer ones on top

The output has the input's size, bit depth, colour profile, transparency and metadata. Memory does not grow with the
picture. Stopped in the middle, the same command goes on where it stood.

Modes: exact gives the same picture whatever the tile size, with no seam; grid is the article's procedure on bare
tiles; blend overlaps tiles, for models that use statistics of their tile.

Exit status: 0 done, 1 some inputs failed (each is named, the others are done), 2 bad command line, 130 Ctrl-C.
"""

import sys
import time
from dataclasses import replace
from pathlib import Path

from absl import flags

from gan_hd import files, formats
from gan_hd.cli import entry
from gan_hd.config import PRECISIONS

_INPUT = flags.DEFINE_string("input", None, "Picture, folder (searched recursively) or glob.")
_OUTPUT = flags.DEFINE_string(
    "output", None, "File for a single picture, else a folder. Default: beside the input, NAME_painted."
)
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace outputs that exist; without it they are skipped.")
_MODEL = flags.DEFINE_string("model", None, "Run folder or SavedModel (default: the Van Gogh that ships).")
_PRECISION = flags.DEFINE_enum(
    "precision", "auto", PRECISIONS, "Arithmetic; auto takes the fastest that is native to the device."
)

_STRENGTH = flags.DEFINE_float(
    "strength", 1.0, "0 gives the photo, 1 the painting.", lower_bound=0, upper_bound=1
)
_PRESERVE_COLOR = flags.DEFINE_bool(
    "preserve_color",
    False,
    "Keep the photo's colours: a*, b* of CIELAB from the photo, L* from the painting.",
)
_SCALE = flags.DEFINE_list(
    "scale",
    ["1"],
    "Size the picture is painted at, as a factor: 0.5 makes strokes twice as large against it. Several, small ones "
    "first, paint one over the other: 0.25,0.5,1.",
)

_CONTEXT = flags.DEFINE_string(
    "context",
    None,
    "Picture whose look all others take: what the generator is told about the whole picture, but for its size. "
    "Default: each picture's own.",
)

_FORMAT = flags.DEFINE_enum("format", None, list(formats.FORMATS), "File format (default: the input's).")
_QUALITY = flags.DEFINE_integer(
    "quality",
    None,
    "Of jpg, webp, avif, dzi and jpeg in tif (default: 90 or 95).",
    lower_bound=1,
    upper_bound=100,
)
_COMPRESSION = flags.DEFINE_string(
    "compression",
    None,
    "; ".join(
        f"{name}: {', '.join(sorted(f.compressions))}"
        for name, f in formats.FORMATS.items()
        if f.compressions
    )
    + ".",
)
_PYRAMID = flags.DEFINE_bool("pyramid", False, "Write tif files as tiled pyramids (BigTIFF), for viewers.")

_MODE = flags.DEFINE_enum("mode", "exact", ["exact", "grid", "blend"], "How tiles are joined.")
_TILE = flags.DEFINE_integer(
    "tile_px", None, "Largest side of a tile, px (default: by memory).", lower_bound=1
)
_BATCH = flags.DEFINE_integer("batch", None, "Tiles at once (default: 1, in grid mode 32).", lower_bound=1)
_MEMORY = flags.DEFINE_float(
    "memory_gib", 1.5, "Memory for the whole process, which chooses the tile size.", lower_bound=0
)
_REPORT_SEAMS = flags.DEFINE_bool(
    "report_seams",
    False,
    "Translate twice, the tiles shifted by half a tile, and write NAME.seams.json and a heat map NAME.seams.png.",
)


def main(argv: list[str]) -> int:
    del argv
    entry.log_to_stderr()
    if not _INPUT.value:
        return entry.fail("--input is missing: name a picture, a folder or a glob")
    try:
        suffix = formats.FORMATS[_FORMAT.value].suffixes[0] if _FORMAT.value else None
        inputs = files.find_pictures(_INPUT.value)
        if not inputs:
            return entry.fail(f"--input: no pictures in {_INPUT.value}")
        jobs = files.plan_outputs(
            inputs, _INPUT.value, _OUTPUT.value, writable=formats.SUFFIXES, suffix=suffix
        )
        if not jobs:
            return entry.fail(f"--input: all pictures in {_INPUT.value} are outputs, in {_OUTPUT.value}")
    except (ValueError, OSError) as error:
        return entry.fail(f"--input/--output: {error}")
    try:
        save = formats.SaveOptions(
            quality=_QUALITY.value, compression=_COMPRESSION.value, pyramid=_PYRAMID.value
        )
        scales = _scales()
        if suffix or len(jobs) == 1:
            formats.check(f"x{suffix}" if suffix else jobs[0][1], 1, 1, save)
    except ValueError as error:
        return entry.fail(error)
    entry.import_tensorflow()  # slow; a bad command line does without
    from gan_hd import runtime
    from gan_hd.jobs import Settings, contexts_of_file
    from gan_hd.translator import Translator

    try:
        settings = Settings(
            mode=_MODE.value,
            tile_px=_TILE.value,
            batch=_BATCH.value,
            memory_gib=_MEMORY.value,
            scales=scales,
            context=None if _CONTEXT.value is None else Path(_CONTEXT.value),
            strength=_STRENGTH.value,
            preserve_color=_PRESERVE_COLOR.value,
            report_seams=_REPORT_SEAMS.value,
            save=save,
        )
        model = Translator(_MODEL.value, precision=runtime.choose_precision(_PRECISION.value))
        # A tile that does not suit the mode, or a budget too small for any, is a bad command line, not a bad picture.
        model.plan(1, 1, mode=settings.mode, tile_px=_TILE.value)
        if settings.context is not None:
            contexts_of_file(model, settings.context)
        if _TILE.value is None:
            model.choose_tile_px(1, 1, memory_gib=settings.memory_gib)
    except (ValueError, OSError) as error:
        return entry.fail(error)
    return _translate_all(model, jobs, settings)


def _scales() -> tuple[float, ...]:
    try:
        return tuple(float(word) for word in _SCALE.value)
    except ValueError:
        raise ValueError(
            f"--scale takes numbers, 0.25,0.5,1 for instance. Received: {','.join(_SCALE.value)}"
        ) from None


def _translate_all(model, jobs: list[tuple[Path, Path]], settings) -> int:
    from tqdm.contrib.logging import logging_redirect_tqdm

    with logging_redirect_tqdm():  # messages stand above the progress bar, not within it
        return _translate_each(model, jobs, settings)


def _translate_each(model, jobs: list[tuple[Path, Path]], settings) -> int:
    from gan_hd.jobs import translate_file
    from gan_hd.translator import PredictionError

    done, skipped, failed, done_mp, begin = 0, 0, 0, 0.0, time.monotonic()
    for number, (source, target) in enumerate(jobs, start=1):
        if formats.exists(target) and not _OVERWRITE.value:
            print(f"skipped, exists (--overwrite replaces it): {target}", file=sys.stderr)
            skipped += 1
            continue
        started = time.monotonic()
        with _Bar(f"{source.name} ({number}/{len(jobs)})") as bar:
            try:
                # In a folder of many formats an option is for those that have it.
                save = settings.save if _FORMAT.value else formats.fitting(target, settings.save)
                notes = translate_file(model, source, target, replace(settings, save=save), bar)
            except (ValueError, OSError, MemoryError, PredictionError) as error:
                bar.close()
                text = str(error) or type(error).__name__
                failed += 1
                entry.fail(text if str(source) in text else f"{source}: {text}")
                continue
            except KeyboardInterrupt:
                bar.close()
                print(f"stopped at {source}; the same command goes on from there", file=sys.stderr)
                return 130
        done += 1
        done_mp += bar.megapixels
        for note in notes:
            print(f"{source.name}: {note}", file=sys.stderr)
        print(f"{source} -> {target}  ({bar.megapixels:.1f} MP, {time.monotonic() - started:.1f} s)")
    seconds = time.monotonic() - begin
    print(
        f"{'':10}{'files':>8}{'MP':>10}{'seconds':>10}{'MP/s':>8}\n"
        f"{'done':10}{done:>8}{done_mp:>10.1f}{seconds:>10.1f}{done_mp / max(seconds, 1e-9):>8.2f}\n"
        f"{'skipped':10}{skipped:>8}\n"
        f"{'failed':10}{failed:>8}",
        file=sys.stderr,
    )
    return entry.SOME_FAILED if failed else entry.OK


class _Bar:
    """A progress bar over the stages of one picture; see jobs.Progress."""

    def __init__(self, name: str) -> None:
        self._name, self._bar = name, None
        self.megapixels = 0.0

    def __enter__(self) -> "_Bar":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def start(self, what: str, total_px: float, done_px: float) -> None:
        from tqdm import tqdm

        self.close()
        if what == "painting":
            self.megapixels = total_px / 1e6
        self._bar = tqdm(
            total=total_px / 1e6,
            initial=done_px / 1e6,
            unit="MP",
            file=sys.stderr,
            desc=f"{self._name} {what}",
            leave=False,
            bar_format="{l_bar}{bar}| {n:.1f}/{total:.1f} MP [{elapsed}<{remaining}, {rate_fmt}]",
        )

    def add(self, pixels: float) -> None:
        if self._bar is not None:
            self._bar.update(min(pixels / 1e6, self._bar.total - self._bar.n))  # sums of shares round

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


if __name__ == "__main__":
    entry.run(main)
