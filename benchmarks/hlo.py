r"""What a compiler makes of the training step: operations of its StableHLO program, by kind, and their arithmetic.

    python benchmarks/hlo.py [--preset=default] [--set=section.field=value] [--precisions=float32,mixed_bfloat16]

    operation            float32  mixed_bfloat16
    convolution              273             273
    ...
    {"benchmark": "hlo", "gflop": 65.7, ...

Counts what stands in the program (benchmarks/roofline.py has the time). Tiles are cut at fixed places, for shapes must
be static. gflop: of convolutions and matrix products, by benchmarks/flops.py.
Exit status: 0 done, 2 bad command line.
"""

from __future__ import annotations

import collections
import re
import sys
import tempfile
from pathlib import Path

from absl import flags

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # this repository's gan_hd, installed or not

from benchmarks import settings, timing
from gan_hd import config as config_lib
from gan_hd.cli import entry

_PRESET = flags.DEFINE_enum("preset", "default", list(config_lib.PRESETS), "Whose networks and settings.")
_SET = flags.DEFINE_multi_string("set", [], "Any other setting, as for train.py; repeatable.")
_PRECISIONS = flags.DEFINE_list("precisions", ["float32", "mixed_bfloat16"], "Arithmetic, one or several.")

_OPERATION = re.compile(r"= \"?stablehlo\.(\w+)")


def main(argv: list[str]) -> int:
    del argv
    try:
        config = settings.configuration(_PRESET.value, [*_SET.value, "combo.random_phase=false"])
    except ValueError as error:
        return entry.fail(error)
    unknown = set(_PRECISIONS.value) - {"float32", "mixed_bfloat16"}
    if unknown:
        return entry.fail(f"--precisions must be of float32, mixed_bfloat16. Received: {sorted(unknown)}")
    entry.import_tensorflow()
    from benchmarks import flops, networks
    from gan_hd import functional

    counts = {}
    for precision in _PRECISIONS.value:
        gan = networks.build(config, precision=precision)
        with tempfile.TemporaryDirectory() as folder:
            text = functional.to_stablehlo(gan, Path(folder) / "step").read_text()
        counts[precision] = collections.Counter(_OPERATION.findall(text))
        flop = sum(flops.count(functional.traced(gan)).values())
    kinds = sorted(set().union(*counts.values()), key=lambda kind: -max(c[kind] for c in counts.values()))
    timing.print_table(
        ["operation", *counts], [[kind, *(c[kind] for c in counts.values())] for kind in kinds]
    )
    timing.print_json(
        "hlo",
        {"preset": _PRESET.value, "set": _SET.value, "gflop": round(flop / 1e9, 3), "operations": counts},
    )
    return entry.OK


if __name__ == "__main__":
    entry.run(main)
