"""The generator alone, at the tiles that translate.py takes for a picture: no reading, no writing, nothing to join.

    python -m benchmarks.bare_generator --model=RUN_DIR --size=10000x10000 [--precision=auto] [--rounds=5]

Prints one JSON line: the window's side, how much more it computes than is kept of it (overhead), and megapixels per
second of what is kept. bench_translate.py asks it for what a translation could reach at best.
Exit status: 0 done, 2 bad command line.
"""

from __future__ import annotations

import json
import statistics
import time

from absl import flags

from benchmarks import settings
from gan_hd.cli import entry
from gan_hd.config import PRECISIONS

_MODEL = flags.DEFINE_string("model", None, "Run folder or SavedModel (default: the Van Gogh that ships).")
_SIZE = flags.DEFINE_string("size", "4000x3000", "Width and height of the picture, px.")
_PRECISION = flags.DEFINE_enum("precision", "auto", PRECISIONS, "Arithmetic.")
_ROUNDS = flags.DEFINE_integer("rounds", 5, "Windows timed.", lower_bound=1)


def main(argv: list[str]) -> int:
    del argv
    try:
        width, height = settings.sides(_SIZE.value, count=2)
    except ValueError as error:
        return entry.fail(error)
    entry.import_tensorflow()
    import numpy as np

    from gan_hd import runtime
    from gan_hd.translator import ModelError, Translator

    try:
        translator = Translator(_MODEL.value, precision=runtime.choose_precision(_PRECISION.value))
    except ModelError as error:
        return entry.fail(error)
    plan = translator.plan(height, width, tile_px=translator.choose_tile_px(height, width))
    window = np.random.default_rng(0).uniform(-1, 1, (1, plan.window_h, plan.window_w, 3)).astype(np.float32)
    seconds = []
    for _ in range(_ROUNDS.value + 2):
        start = time.perf_counter()
        translator.predict(window)
        seconds.append(time.perf_counter() - start)
    kept = plan.height * plan.width
    overhead = len(plan.tiles) * plan.window_h * plan.window_w / kept
    rate = plan.window_h * plan.window_w / statistics.median(seconds[2:]) / 1e6 / overhead
    result = {
        "window_px": [plan.window_h, plan.window_w],
        "overhead": round(overhead, 4),
        "mp_per_sec": round(rate, 4),
    }
    print(json.dumps(result))
    return entry.OK


if __name__ == "__main__":
    entry.run(main)
