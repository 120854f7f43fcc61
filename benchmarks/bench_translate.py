r"""Speed and peak memory of translate.py against the size of the picture.

    python benchmarks/bench_translate.py --model=RUN_DIR [--sizes_mp=12,100,400,1074]

Draws a landscape of each size (streamed, in some 0.1 GiB whatever the size), translates each by a process of its
own, and prints one row per picture, then everything as one JSON line:

    start-up: 4.27 s, 0.60 GiB (64x64 px)
         MP          px          seconds             MP/s             s/MP         peak GiB   of bare
          3 1732x1732      16.64   x1.00     0.18   x1.00     4.12   x1.00     0.72   x1.00      0.60
         12 4000x3000      35.53   x2.14     0.34   x1.87     2.60   x0.63     0.77   x1.07      0.85
    {"benchmark": "translate", "model": "runs/vangogh", "precision": "auto", "format": "jpg", ...

seconds   wall time of the whole process
MP/s      megapixels over those seconds
s/MP      seconds less start-up, over megapixels: equal in all rows where time grows with the area alone
peak GiB  largest resident memory of the process; pages of mapped files count
of bare   seconds that the generator alone would take for these tiles, over seconds less start-up
start-up  the same of a 64x64 px picture; the faster of two runs. What is done once per process but only for
          full tiles is not in it, and weighs on small pictures

The number after each x is the ratio to the first row. Ratios carry over to other machines, seconds do not.
Pictures that --work_dir holds already are used again. On a GPU the peak is that of main memory alone.
Exit status: 0 done, 1 translate.py failed (its last words are shown), 2 bad command line.
"""

from __future__ import annotations

import concurrent.futures
import importlib.metadata
import json
import math
import multiprocessing
import os
import platform
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import PIL.Image
from absl import flags

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # this repository's gan_hd, installed or not

import gan_hd
from benchmarks.landscape import draw_picture
from gan_hd.cli import entry
from gan_hd.config import PRECISIONS

_MODEL = flags.DEFINE_string("model", None, "Run folder or SavedModel, as for translate.py.")
_SIZES = flags.DEFINE_list(
    "sizes_mp",
    ["12", "100", "400", "1074"],
    "Megapixels of the pictures, separated by commas; ratios refer to the first. 12 is 4000x3000 px and 1074 is "
    "32768x32768; others are squares. On two CPU cores a gigapixel takes 8 minutes, and 4 to be drawn: try "
    "--sizes_mp=12 first.",
)
_WORK = flags.DEFINE_string(
    "work_dir",
    "runs/bench_translate",
    "Folder for pictures and logs; pictures that it holds already are used again. A gigapixel JPEG has some 220 MB.",
)
_FORMAT = flags.DEFINE_enum(
    "format", "jpg", ["jpg", "png", "tif"], "Of the pictures and of their translations; jpg ends at 4290 MP."
)
_PRECISION = flags.DEFINE_enum("precision", "auto", PRECISIONS, "Handed to translate.py.")
_EXTRA = flags.DEFINE_string("extra", "", "More flags for translate.py, such as --extra='--tile_px=512'.")
_KEEP = flags.DEFINE_bool("keep", False, "Keep the translations; without it each is deleted after its row.")

_TRANSLATE = Path(__file__).resolve().parents[1] / "translate.py"
_SHAPES: dict[float, tuple[int, int]] = {
    12: (4000, 3000),  # a camera's 4:3
    1074: (32768, 32768),  # 2**15 px a side
}
_START_UP_PX = 64
_JPEG_MAX_PX = 65500
_COLUMNS = {"seconds": "seconds", "mp_per_sec": "MP/s", "sec_per_mp": "s/MP", "peak_gib": "peak GiB"}
_TAIL_LINES = 10


class TranslateError(RuntimeError):
    """translate.py ended badly; the message is one line, `tail` the last lines of its log."""

    def __init__(self, message: str, tail: list[str]):
        super().__init__(message)
        self.tail = tail


def main(argv: list[str]) -> int:
    del argv
    if not _MODEL.value:
        return entry.fail("--model is missing: name a run folder or a SavedModel")
    if not _SIZES.value:
        return entry.fail("--sizes_mp is empty: name megapixels, such as --sizes_mp=3,12")
    try:
        sizes = [_size(text) for text in _SIZES.value]
        extra = shlex.split(_EXTRA.value)
    except ValueError as error:
        return entry.fail(error)
    work = Path(_WORK.value)
    try:
        work.mkdir(parents=True, exist_ok=True)
        start_up = _picture(work, _START_UP_PX, _START_UP_PX)
        # The first run also reads the libraries from the disk.
        start_ups = [_translate(start_up, extra) for _ in range(2)]
        startup_sec, startup_peak_gib = min(start_ups)[0], max(peak for _, peak in start_ups)
        print(f"start-up: {startup_sec:.2f} s, {startup_peak_gib:.2f} GiB ({_START_UP_PX}x{_START_UP_PX} px)")
        titles = " ".join(f"{title:>16}" for title in _COLUMNS.values())
        print(f"{'MP':>7} {'px':>11} {titles}   of bare", flush=True)
        rows: list[dict] = []
        for width, height in sizes:
            picture = _picture(work, width, height)
            seconds, peak_gib = _translate(picture, extra)
            rows.append(_row(width, height, picture, seconds, peak_gib, startup_sec) | _bare(width, height))
            if rows[-1]["sec_per_mp"]:
                rows[-1]["of_bare"] = round(1 / rows[-1]["sec_per_mp"] / rows[-1]["bare_mp_per_sec"], 4)
            for name in _COLUMNS:
                first, this = rows[0][name], rows[-1][name]
                rows[-1][f"{name}_ratio"] = round(this / first, 4) if first and this else None
            print(_as_text(rows[-1]), flush=True)
    except TranslateError as error:
        print("\n".join(error.tail), file=sys.stderr)
        return entry.fail(error, entry.SOME_FAILED)
    except OSError as error:
        return entry.fail(f"--work_dir={work}: {error}")
    print(
        json.dumps(
            {
                "benchmark": "translate",
                "model": _MODEL.value,
                "precision": _PRECISION.value,
                "format": _FORMAT.value,
                "extra": extra,
                "startup_sec": round(startup_sec, 3),
                "startup_peak_gib": round(startup_peak_gib, 4),
                "rows": rows,
                "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
                "platform": platform.platform(),
                "python": platform.python_version(),
                "versions": {
                    "gan_hd": gan_hd.__version__,
                    **{name: _version(name) for name in ("tensorflow", "keras", "pyvips")},
                },
            }
        )
    )
    return entry.OK


def _size(megapixels: str) -> tuple[int, int]:
    """Width and height, px, of a picture of so many megapixels."""
    try:
        number = float(megapixels)
        side = round(math.sqrt(number * 1e6))
    except (ValueError, OverflowError):
        side = 0
    if side < 1:
        raise ValueError(f"--sizes_mp must hold positive numbers. Received: {megapixels}")
    width, height = _SHAPES.get(number, (side, side))
    if _FORMAT.value == "jpg" and max(width, height) > _JPEG_MAX_PX:
        raise ValueError(
            f"--sizes_mp={megapixels}: a JPEG has at most {_JPEG_MAX_PX} px a side: add --format=tif"
        )
    return width, height


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _row(width: int, height: int, picture: Path, seconds: float, peak_gib: float, startup_sec: float) -> dict:
    megapixels, more = width * height / 1e6, seconds - startup_sec
    return {
        "megapixels": megapixels,
        "width": width,
        "height": height,
        "input_mb": round(picture.stat().st_size / 1e6, 3),
        "seconds": round(seconds, 3),
        "mp_per_sec": round(megapixels / seconds, 5),
        # Of a picture too small to be told from the start-up nothing can be said.
        "sec_per_mp": round(more / megapixels, 5) if more > 0 else None,
        "peak_gib": round(peak_gib, 4),
    }


def _as_text(row: dict) -> str:
    cells = []
    for name in _COLUMNS:
        value, ratio = row[name], row[f"{name}_ratio"]
        number = "-" if value is None else f"{value:.{2 if value >= 0.1 else 4}f}"
        cells.append(f"{number:>8} {'-' if ratio is None else f'x{ratio:.2f}':>7}")
    size = f"{row['megapixels']:>7.4g} {row['width']}x{row['height']:<5}".ljust(19)
    return f"{size} {' '.join(cells)} {row.get('of_bare', float('nan')):>9.2f}"


def _bare(width: int, height: int) -> dict:
    """What the generator alone reaches at this picture's tiles, from a process of its own.

    Raises:
        TranslateError: it failed.
    """
    command = [sys.executable, "-m", "benchmarks.bare_generator", f"--model={Path(_MODEL.value).resolve()}"]
    command += [f"--size={width}x{height}", f"--precision={_PRECISION.value}"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=_TRANSLATE.parent)
    if done.returncode:
        raise TranslateError(
            f"the bare generator ended with status {done.returncode}", done.stderr.splitlines()[-_TAIL_LINES:]
        )
    found = json.loads(done.stdout.splitlines()[-1])
    return {"overhead": found["overhead"], "bare_mp_per_sec": found["mp_per_sec"]}


def _translate(picture: Path, extra: list[str]) -> tuple[float, float]:
    """Wall time in seconds and peak resident memory in GiB of one run of translate.py.

    Raises:
        TranslateError: it failed, or left no translation of the picture's size.
    """
    output, log = picture.with_stem(f"{picture.stem}_painted"), picture.with_suffix(".log")
    command = [
        sys.executable,
        str(_TRANSLATE),
        f"--model={_MODEL.value}",
        f"--input={picture}",
        f"--output={output}",
    ]
    command += [f"--precision={_PRECISION.value}", "--overwrite", *extra]
    output.unlink(missing_ok=True)
    try:
        with log.open("wb") as stream:
            start = time.perf_counter()
            # In a session of its own Ctrl-C reaches it once, from here, and it has time to tidy up.
            process = subprocess.Popen(command, stdout=stream, stderr=stream, start_new_session=True)
            try:
                _, wait_status, usage = os.wait4(process.pid, 0)
            except BaseException:
                process.send_signal(signal.SIGINT)
                process.wait()
                raise
            seconds = time.perf_counter() - start
        process.returncode = status = os.waitstatus_to_exitcode(wait_status)
        lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
        if status:
            how = (
                f"ended with status {status}"
                if status > 0
                else f"was ended by {signal.Signals(-status).name}"
            )
            hint = " (out of memory?)" if status == -signal.SIGKILL else ""
            raise TranslateError(
                f"translate.py {how}{hint} on {picture.name}; log: {log}", lines[-_TAIL_LINES:]
            )
        if not output.is_file() or _pixels(output) != _pixels(picture):
            raise TranslateError(
                f"translate.py left no translation of {picture}; log: {log}", lines[-_TAIL_LINES:]
            )
    finally:
        if not _KEEP.value:
            output.unlink(missing_ok=True)
    # Since exec, the peak of a child includes what its parent held at the fork: this process must stay small,
    # so it leaves TensorFlow and libvips to others. ru_maxrss is in KiB, on macOS in bytes.
    return seconds, usage.ru_maxrss / 2 ** (30 if sys.platform == "darwin" else 20)


def _pixels(path: Path) -> tuple[int, int]:
    PIL.Image.MAX_IMAGE_PIXELS = None  # only the header is read
    with PIL.Image.open(path) as picture:
        return picture.size


def _picture(work: Path, width: int, height: int) -> Path:
    """The test picture of that size in the folder `work`, drawn where it is missing."""
    path = work / f"landscape_{width}x{height}.{_FORMAT.value}"
    if not path.exists():
        print(f"drawing {path}", file=sys.stderr)
        with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            pool.submit(draw_picture, path, width, height).result()
    return path


if __name__ == "__main__":
    entry.run(main)
