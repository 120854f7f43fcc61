r"""Where the time of a training step goes, and what the input pipeline adds to it.

    python benchmarks/bench_train_step.py [--preset=default] [--precision=auto] [--batch_size=N]
        [--set=section.field=value]

Builds the preset's networks, draws pictures for them, and times the whole step and its parts in turns:

    part                           ms  share of the step
    step, constant batch          331               1.00
    step, real pipeline           336               1.02
    waiting for a batch          0.21             0.0006
    G forward, whole crops         53               0.16
    ...
    {"benchmark": "train_step", "crops_per_sec": 24.2, ...

step       train_step, compiled: one update of both networks; crops/s are batch_size over its time
pipeline   the same with a new batch from pictures in memory each time; waiting is part of it
G, D       one pass over a batch of crops; "+ backward" with the gradients of all weights, of D's input too. G's come
           twice: crops in one piece, and as a Combo of tiles
apply      both optimisers, the averaged generator

Parts are measured alone, on a whole batch, so they do not add up to the step: it runs D on three batches and G
on a mix of whole crops and tiles, and runs some of it at the same time. Shares are medians over the rounds.
Exit status: 0 done, 2 bad command line.
"""

from __future__ import annotations

import logging
import statistics
import sys
import tempfile
import time
from pathlib import Path

from absl import flags

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # this repository's gan_hd, installed or not

from benchmarks import settings, timing
from gan_hd import config as config_lib
from gan_hd.cli import entry

_PRESET = flags.DEFINE_enum("preset", "default", list(config_lib.PRESETS), "Whose networks and settings.")
_SET = flags.DEFINE_multi_string("set", [], "Any other setting, as for train.py; repeatable.")
_BATCH = flags.DEFINE_integer("batch_size", None, "Crops of each kind per step (default: the preset's).")
_PRECISION = flags.DEFINE_enum("precision", "auto", config_lib.PRECISIONS, "Arithmetic.")
_ROUNDS = flags.DEFINE_integer("rounds", 10, "Rounds; each times every part once.", lower_bound=1)
_STEPS = flags.DEFINE_integer("steps", 10, "Steps in a row per round, of the two whole steps.", lower_bound=1)

# The pipeline holds so many batches ready; the steps timed must not live on them.
_PREFETCHED = 6
_WARM_UP = 2


def main(argv: list[str]) -> int:
    del argv
    try:
        config = settings.configuration(_PRESET.value, _SET.value, batch_size=_BATCH.value)
    except ValueError as error:
        return entry.fail(error)
    entry.import_tensorflow()
    logging.getLogger("pyvips").setLevel(logging.WARNING)
    from gan_hd import runtime

    runtime.one_operation_per_core()  # as training does, before TensorFlow computes anything
    with tempfile.TemporaryDirectory() as folder:
        result = _measure(config, Path(folder))
    timing.print_json("train_step", {"preset": _PRESET.value, "set": _SET.value} | result)
    return entry.OK


def _measure(config: config_lib.Config, folder: Path) -> dict:
    from benchmarks import drawn, networks
    from gan_hd import runtime

    precision = runtime.choose_precision(_PRECISION.value)
    batches, batch = drawn.training_data(folder, config)
    stream = iter(batches)
    gan = networks.build(config, precision=precision)
    step = networks.step(gan)
    waits: list[float] = []

    def stream_step() -> None:
        start = time.perf_counter()
        given = next(stream)
        waits.append(time.perf_counter() - start)
        step(given)

    constant, streamed = "step, constant batch", "step, real pipeline"
    cases = {
        constant: timing.Case(lambda: step(batch), repeat=_STEPS.value, lead_in=1),
        streamed: timing.Case(stream_step, repeat=_STEPS.value, lead_in=_PREFETCHED),
    }
    cases |= {name: timing.Case(run) for name, run in networks.parts(gan).items()}
    seconds = timing.rounds_of(cases, rounds=_ROUNDS.value, warm_up=_WARM_UP)

    per_round = _PREFETCHED + _STEPS.value
    timed = [wait for k, wait in enumerate(waits[_WARM_UP:]) if k % per_round >= _PREFETCHED]
    waiting = statistics.mean(timed)
    rows = {
        name: timing.summary(values) | {"share": timing.ratio(values, seconds[constant])}
        for name, values in seconds.items()
    }
    step_sec = rows[constant]["median_sec"]
    table = [[name, row["median_sec"] * 1e3, row["share"]] for name, row in rows.items()]
    table.insert(2, ["waiting for a batch", waiting * 1e3, waiting / step_sec])
    timing.print_table(["part", "ms", "share of the step"], table)
    return {
        "precision": precision,
        "batch_size": config.train.batch_size,
        "crop_px": list(config.crop_px),
        "crops_per_sec": round(config.train.batch_size / step_sec, 3),
        "pipeline_ratio": rows[streamed]["share"],
        "waiting_sec": round(waiting, 7),
        "peak_rss_gib": timing.peak_rss_gib(),
        "parts": rows,
    }


if __name__ == "__main__":
    entry.run(main)
