r"""Trains a baseline on two folders; the result is a run folder that translate.py and gan_hd.cli.evaluate take.

    python -m benchmarks.baselines --method=cyclegan|cut --content_dir=photos --style_dir=paintings --run_dir=runs/cut
        [--preset=default] [--steps=600] [--set=section.field=value] [--seed=N] [--precision=auto]

Flags mean what they mean to train.py. Of the configuration, the domains, the crop's size, the generator's shape, the
first width of the discriminator, the batch size, the seed and the averaging are used. The same command again resumes.

Exit status: 0 done, 1 done but some pictures were unreadable (or a loss became NaN), 2 bad command line, 128 + n
stopped by signal n.
"""

import sys
from pathlib import Path

from absl import flags

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # this repository's gan_hd, installed or not

from gan_hd import config as config_lib
from gan_hd.cli import entry

_METHOD = flags.DEFINE_enum("method", None, ["cyclegan", "cut"], "What is trained.")
_CONTENT = flags.DEFINE_string("content_dir", None, "Photographs: a folder, a glob or a file.")
_STYLE = flags.DEFINE_string("style_dir", None, "Paintings.")
_RUN = flags.DEFINE_string("run_dir", None, "Folder for everything this training makes.")
_PRESET = flags.DEFINE_enum("preset", "default", list(config_lib.PRESETS), "Where all settings start from.")
_STEPS = flags.DEFINE_integer("steps", 600, "Updates in all.", lower_bound=1)
_SET = flags.DEFINE_multi_string("set", [], "Any other setting, as for train.py; repeatable.")
_SEED = flags.DEFINE_integer("seed", None, "Of every random choice (default: the preset's).")
_PRECISION = flags.DEFINE_enum("precision", "auto", config_lib.PRECISIONS, "Arithmetic.")


def main(argv: list[str]) -> int:
    del argv
    entry.log_to_stderr()
    method, content_dir, style_dir, run_dir = (f.value for f in (_METHOD, _CONTENT, _STYLE, _RUN))
    if not (method and content_dir and style_dir and run_dir):
        return entry.fail("--method, --content_dir, --style_dir and --run_dir are needed")
    overrides = list(_SET.value) + ([f"train.seed={_SEED.value}"] if _SEED.value is not None else [])
    try:
        config = config_lib.validate(config_lib.apply_overrides(config_lib.PRESETS[_PRESET.value], overrides))
    except ValueError as error:
        return entry.fail(error)
    entry.import_tensorflow()  # slow; a bad command line does without
    from benchmarks.baselines import training

    try:
        outcome = training.train(
            method,
            config,
            content_dir=content_dir,
            style_dir=style_dir,
            run_dir=run_dir,
            steps=_STEPS.value,
            precision=_PRECISION.value,
        )
    except training.BrokenError as error:
        return entry.fail(error, entry.SOME_FAILED)
    except (ValueError, OSError) as error:
        return entry.fail(error)
    if outcome.saved_model is None:
        print("stopped; the same command again resumes")
        return 128 + (outcome.signal_number or 0)
    print(f"trained {_STEPS.value} steps: {outcome.saved_model}")
    return entry.finish(outcome.skipped)


if __name__ == "__main__":
    entry.run(main)
