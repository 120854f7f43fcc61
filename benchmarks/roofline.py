r"""What this machine's convolutions reach at best, and how much of it the networks reach.

    python benchmarks/roofline.py [--preset=default] [--precisions=float32,mixed_bfloat16] [--set=section.field=value]

Times large matrix products and well-shaped 3x3 convolutions, the training step and G alone, in turns, and divides:

    what                              precision       GFLOP     ms  GFLOP/s  share of peak
    matmul 2048                       mixed_bfloat16   17.2   44.1      389              -
    convolution 16x32x32x128          mixed_bfloat16   4.83   12.1      398              1
    training step                     mixed_bfloat16   66.1    331      200           0.50
    ...
    {"benchmark": "roofline", "rows": [...

GFLOP   counted in the traced graph: two for each multiplication with addition of convolutions and matrix products,
        nothing for all else (benchmarks/flops.py). The step is counted with fixed cuts of the Combo: where the cuts
        fall changes nothing in the sum
peak    the fastest convolution of its precision
share   of the rate over that peak's, both medians over the rounds

Exit status: 0 done, 2 bad command line.
"""

from __future__ import annotations

import logging
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from absl import flags

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # this repository's gan_hd, installed or not

from benchmarks import rates, settings, timing
from gan_hd import config as config_lib
from gan_hd.cli import entry

_PRESET = flags.DEFINE_enum("preset", "default", list(config_lib.PRESETS), "Whose networks and settings.")
_SET = flags.DEFINE_multi_string("set", [], "Any other setting, as for train.py; repeatable.")
_BATCH = flags.DEFINE_integer("batch_size", None, "Crops of each kind per step (default: the preset's).")
_PRECISIONS = flags.DEFINE_list("precisions", ["float32", "mixed_bfloat16"], "Arithmetic, one or several.")
_WINDOW = flags.DEFINE_integer("window_px", 512, "Side of the window that G translates.", lower_bound=8)
_ROUNDS = flags.DEFINE_integer("rounds", 10, "Rounds; each times everything once.", lower_bound=1)
_MATMULS = flags.DEFINE_list("matmuls", ["1024", "2048", "4096"], "Sides of square matrices.")
_CONVS = flags.DEFINE_list(
    "convolutions",
    ["8x64x64x64", "16x32x32x128", "16x16x16x256", "4x64x64x256"],
    "Shapes NxHxWxC of 3x3 convolutions with as many channels out as in.",
)


@dataclass(frozen=True)
class _Work:
    """Something whose operations are counted: how it runs, and how many they are."""

    kind: str
    precision: str
    run: Callable[[], object]
    flop: int


def main(argv: list[str]) -> int:
    del argv
    unknown = set(_PRECISIONS.value) - set(config_lib.PRECISIONS[1:])
    if unknown or not _PRECISIONS.value:
        return entry.fail(
            f"--precisions must be of {', '.join(config_lib.PRECISIONS[1:])}. Received: {_PRECISIONS.value}"
        )
    try:
        config = settings.configuration(_PRESET.value, _SET.value, batch_size=_BATCH.value)
        matmuls = [settings.sides(text, count=1)[0] for text in _MATMULS.value]
        shapes = [settings.sides(text, count=4) for text in _CONVS.value]
    except ValueError as error:
        return entry.fail(error)
    if not shapes:
        return entry.fail("--convolutions is empty: the peak is that of a convolution")
    entry.import_tensorflow()
    logging.getLogger("pyvips").setLevel(logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        works: dict[str, _Work] = {}
        for precision in _PRECISIONS.value:
            works |= _peaks(precision, matmuls, shapes) | _networks(config, precision, Path(folder))
        cases = {name: timing.Case(work.run) for name, work in works.items()}
        seconds = timing.rounds_of(cases, rounds=_ROUNDS.value, warm_up=2)
    rows = rates.shares(
        [
            {"what": name.split("|")[0], "kind": work.kind, "precision": work.precision, "flop": work.flop}
            | timing.summary(seconds[name])
            for name, work in works.items()
        ]
    )
    timing.print_table(
        ["what", "precision", "GFLOP", "ms", "GFLOP/s", "share of peak"],
        [
            [
                row["what"],
                row["precision"],
                row["flop"] / 1e9,
                row["median_sec"] * 1e3,
                row["gflop_per_sec"],
                row["share"],
            ]
            for row in rows
        ],
    )
    timing.print_json("roofline", {"preset": _PRESET.value, "set": _SET.value, "rows": rows})
    return entry.OK


def _peaks(precision: str, matmuls: list[int], shapes: list[tuple[int, ...]]) -> dict[str, _Work]:
    """The calibration: products and convolutions in the precision's compute type."""
    import tensorflow as tf

    from benchmarks import flops

    dtype = tf.dtypes.as_dtype(precision.removeprefix("mixed_"))
    convolution = tf.function(lambda x, kernel: tf.nn.conv2d(x, kernel, 1, "SAME"))
    product = tf.function(tf.matmul)
    found = {}
    for kind, function, label, x_shape, w_shape in (
        *(("matmul", product, f"matmul {side}", (side, side), (side, side)) for side in matmuls),
        *(
            (
                "convolution",
                convolution,
                "convolution " + "x".join(map(str, shape)),
                shape,
                (3, 3, shape[3], shape[3]),
            )
            for shape in shapes
        ),
    ):
        x, w = (tf.cast(tf.random.stateless_uniform(s, [0, 0]), dtype) for s in (x_shape, w_shape))
        traced = function.get_concrete_function(x, w)

        def run(traced: Any = traced, x: Any = x, w: Any = w) -> None:
            tf.reshape(traced(x, w), [-1])[0].numpy()

        flop = sum(flops.count(traced).values())
        found[f"{label}|{precision}"] = _Work(kind, precision, run, flop)
    return found


def _networks(config: config_lib.Config, precision: str, folder: Path) -> dict[str, _Work]:
    """The step and the networks alone."""
    import tensorflow as tf

    from benchmarks import drawn, flops, networks

    _, batch = drawn.training_data(folder, config)
    gan = networks.build(config, precision=precision)
    still = config_lib.apply_overrides(config, ["combo.random_phase=false"])
    # Only to be counted: at random places the tiles' shapes are not known when traced.
    traced = tf.function(networks.build(still, precision=precision).train_step).get_concrete_function(batch)
    step = networks.step(gan)
    found = {
        f"training step|{precision}": _Work(
            "network", precision, lambda: step(batch), sum(flops.count(traced).values())
        )
    }
    window = tf.random.stateless_uniform([1, _WINDOW.value, _WINDOW.value, 3], [0, 0], -1.0, 1.0)
    crops = networks.crops(config)
    for label, network, x, training in (
        ("G forward, crops", gan.generator, crops, True),
        (f"G forward, {_WINDOW.value} px", gan.ema_generator, window, False),
        ("D forward", gan.discriminator, crops, True),
    ):
        function = networks.forward(network, x, training=training)
        found[f"{label}|{precision}"] = _Work(
            "network", precision, networks.ended(function, x), sum(flops.count(function).values())
        )
    return found


if __name__ == "__main__":
    entry.run(main)
