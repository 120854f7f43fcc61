r"""Random crops per second of the input pipeline: from memory, from files, from a folder partly beyond memory.

    python benchmarks/bench_pipeline.py [--preset=default] [--size_mp=12] [--pictures=64]

Draws JPEGs of that size, and times gan_hd.pipeline.training_batches on them in turns:

    source               crops/s  x memory
    memory                  1326         1
    half in memory           676     0.572
    JPEG files               473     0.409
    {"benchmark": "pipeline", "size_mp": 12.0, ...

crops/s    crops of both domains, for nothing but the pipeline: the machine has no training to do meanwhile
memory     every picture is decoded once, before
JPEG       as little memory as possible: some pictures are at hand, each file is decoded again after so many crops of it
half       half of the pictures of each domain are in memory, the others as above

There must be more pictures than twice those at hand, or nothing would be decoded while the clock runs.

Exit status: 0 done, 2 bad command line.
"""

from __future__ import annotations

import logging
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # this repository's gan_hd, installed or not

from benchmarks import settings, timing
from gan_hd import config as config_lib
from gan_hd.cli import entry

if TYPE_CHECKING:
    from gan_hd.domains import Domain

_PRESET = flags.DEFINE_enum("preset", "default", list(config_lib.PRESETS), "Whose crops and resolutions.")
_SET = flags.DEFINE_multi_string("set", [], "Any other setting, as for train.py; repeatable.")
_SIZE = flags.DEFINE_float("size_mp", 12, "Megapixels of the JPEGs, 4:3.", lower_bound=0.01, upper_bound=1000)
_PICTURES = flags.DEFINE_integer("pictures", 64, "How many are drawn.", lower_bound=50)
_ROUNDS = flags.DEFINE_integer("rounds", 5, "Rounds; each times every source once.", lower_bound=1)
_BATCHES = flags.DEFINE_integer("batches", 100, "Batches of each source per round.", lower_bound=1)

# Batches that are ready or under way when a source has rested: those timed must not live on them.
_READY = 6


def main(argv: list[str]) -> int:
    del argv
    try:
        config = settings.configuration(_PRESET.value, _SET.value)
    except ValueError as error:
        return entry.fail(error)
    entry.import_tensorflow()
    logging.getLogger("pyvips").setLevel(logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        rows = _measure(config, Path(folder))
    columns = ["source", "crops/s", "x memory"]
    timing.print_table(columns, [[row["source"], row["crops_per_sec"], row["ratio"]] for row in rows])
    timing.print_json(
        "pipeline",
        {
            "preset": _PRESET.value,
            "set": _SET.value,
            "size_mp": _SIZE.value,
            "pictures": _PICTURES.value,
            "crop_px": list(config.crop_px),
            "batch_size": config.train.batch_size,
            "rows": rows,
            "peak_rss_gib": timing.peak_rss_gib(),
        },
    )
    return entry.OK


def _measure(config: config_lib.Config, folder: Path) -> list[dict]:
    from benchmarks import drawn
    from gan_hd import pipeline

    height = round((_SIZE.value * 1e6 * 3 / 4) ** 0.5)
    drawn.draw_folder(folder, count=_PICTURES.value, width=round(height * 4 / 3), height=height)
    cached = drawn.domains(folder, config)
    sources = {
        "memory": cached,
        "half in memory": tuple(
            drawn.domains(folder, config, memory_bytes=_for_half(domain))[place]
            for place, domain in enumerate(cached)
        ),
        "JPEG files": drawn.domains(folder, config, memory_bytes=0),
    }
    cases = {}
    for name, (content, style) in sources.items():
        stream = iter(pipeline.training_batches(content, style, config))
        cases[name] = timing.Case(_taker(stream), repeat=_BATCHES.value, lead_in=_READY)
    seconds = timing.rounds_of(cases, rounds=_ROUNDS.value)
    crops = 2 * config.train.batch_size
    return [
        {
            "source": name,
            "in_memory": sum(picture is not None for domain in sources[name] for picture in domain.pictures),
            "streamed": sum(picture is None for domain in sources[name] for picture in domain.pictures),
            "crops_per_sec": round(crops / timing.summary(values)["median_sec"], 3),
            "ratio": timing.ratio(seconds["memory"], values),
        }
        | timing.summary(values)
        for name, values in seconds.items()
    ]


def _for_half(domain: Domain) -> int:
    """Bytes for half of the pictures, which are all in memory, and for those at hand of the others."""
    sizes = [picture.nbytes for picture in domain.pictures if picture is not None]
    return sum(sizes) // 2 + domain.decoded.most * max(sizes)


def _taker(stream: Iterator) -> Callable[[], object]:
    return lambda: next(stream)


if __name__ == "__main__":
    entry.run(main)
