"""Train a generator that turns pictures of one folder into the style of another.

  python train.py --flagfile=vangogh.flags
  python train.py --content_dir=photos --style_dir=paintings --run_dir=runs/mine

The folders are searched recursively; a few hundred pictures of each kind are enough, and they need not be paired.
The same command again resumes. Ctrl-C stops after saving. The run folder ends up with:

  RUN_DIR/samples/      grids of photo | translation in tiles | translation in one piece | painting
  RUN_DIR/logs/         losses and evaluations, as JSON lines and for `tensorboard --logdir=RUN_DIR/logs`
  RUN_DIR/ckpt/         what resuming needs
  RUN_DIR/saved_model/  the generator, for translate.py --model=RUN_DIR
  RUN_DIR/best/         the generator of the best evaluation on the way, for translate.py --model=RUN_DIR/best

Exit status: 0 done, 1 done but some pictures were unreadable (or a loss became NaN), 2 bad command line.
"""

from pathlib import Path

from absl import flags

from gan_hd import config as config_lib
from gan_hd.cli import entry

_CONTENT = flags.DEFINE_string("content_dir", None, "Folder or glob of pictures to be translated (photos).")
_STYLE = flags.DEFINE_string("style_dir", None, "Folder or glob of pictures in the wanted style (paintings).")
_RUN = flags.DEFINE_string("run_dir", "runs/default", "Folder for everything this training makes.")
_PRESET = flags.DEFINE_enum("preset", "default", list(config_lib.PRESETS), "Where all settings start from.")
_STEPS = flags.DEFINE_integer(
    "steps", 9_000, "Updates in all; raise it to train a finished run further.", lower_bound=1
)
_BATCH = flags.DEFINE_integer("batch_size", None, "Crops of each kind per step (default: the preset's).")
_TILE = flags.DEFINE_integer(
    "tile_px", None, "S, side of the tiles, px; D sees 2S x 2S (default: the preset's)."
)
_SEED = flags.DEFINE_integer("seed", None, "Seed of every random choice (default: the preset's).")
_SET = flags.DEFINE_multi_string(
    "set",
    [],
    "Any other setting, such as --set=losses.margin=1.5; repeatable. docs/configuration.md lists them.",
)
_PRECISION = flags.DEFINE_enum(
    "precision",
    "auto",
    config_lib.PRECISIONS,
    "Arithmetic; auto takes the fastest that is native to the device.",
)
_STRATEGY = flags.DEFINE_enum("strategy", "auto", config_lib.STRATEGIES, "How to use several devices.")
_JIT = flags.DEFINE_bool(
    "jit_compile",
    None,
    "Compile the step with XLA. Default: yes on GPU and TPU where combo.random_phase is off, else no.",
)
_CACHE = flags.DEFINE_float(
    "cache_gib", 4.0, "Memory for decoded pictures, GiB; what does not fit is read in turns.", lower_bound=0
)
_LOG = flags.DEFINE_integer("log_every", 50, "Steps between lines in the log.", lower_bound=1)
_SAMPLE = flags.DEFINE_integer("sample_every", 250, "Steps between sample grids.", lower_bound=1)
_SAVE = flags.DEFINE_integer("checkpoint_every", 250, "Steps between checkpoints.", lower_bound=1)
_EVALUATE = flags.DEFINE_integer(
    "evaluate_every", 1000, "Steps between evaluations of a few pictures; 0: none.", lower_bound=0
)
_HOLDOUT = flags.DEFINE_float(
    "holdout",
    None,
    "Share of each folder's pictures to evaluate on and not to train on; their names decide (default: the preset's).",
)
_INIT = flags.DEFINE_string(
    "init_from",
    None,
    "Begin a new run with the weights of this run folder, or of a SavedModel with its discriminator beside it "
    "(export --discriminator); without one much of the style is lost while a new one learns.",
)
_INIT_D = flags.DEFINE_string(
    "discriminator_from",
    None,
    "With --init_from: take the discriminator of this run folder or SavedModel instead, one that learnt the same style "
    "against another generator.",
)
_HINT = flags.DEFINE_string(
    "data_hint", "", "What an error about an empty folder should tell the user to do."
)
_DRY = flags.DEFINE_bool("dry_run", False, "Check and print the settings, count the pictures, write nothing.")


def main(argv: list[str]) -> int:
    del argv
    entry.log_to_stderr()
    content_dir, style_dir = _CONTENT.value, _STYLE.value
    if not content_dir or not style_dir:
        missing = _STYLE if content_dir else _CONTENT
        return entry.fail(f"--{missing.name} is missing: name a folder of pictures")
    if _INIT_D.value and not _INIT.value:
        return entry.fail(
            "--discriminator_from needs --init_from: it takes the place of that one's discriminator"
        )
    overrides = list(_SET.value)
    for number, name in (
        (_BATCH, "train.batch_size"),
        (_TILE, "combo.tile_px"),
        (_SEED, "train.seed"),
        (_HOLDOUT, "train.holdout"),
    ):
        if number.value is not None:
            overrides.append(f"{name}={number.value}")
    try:
        config = config_lib.validate(config_lib.apply_overrides(config_lib.PRESETS[_PRESET.value], overrides))
    except ValueError as error:
        return entry.fail(error)
    hint = f" {_HINT.value}" if _HINT.value else ""
    if _DRY.value:
        return _dry_run(config, {"content_dir": content_dir, "style_dir": style_dir}, hint)

    entry.import_tensorflow()  # slow; --help and bad flags do without
    from gan_hd import training

    try:
        outcome = training.train(
            config,
            content_dir=content_dir,
            style_dir=style_dir,
            run_dir=_RUN.value,
            steps=_STEPS.value,
            precision=_PRECISION.value,
            strategy=_STRATEGY.value,
            cache_gib=_CACHE.value,
            intervals=training.Intervals(
                log=_LOG.value, sample=_SAMPLE.value, checkpoint=_SAVE.value, evaluate=_EVALUATE.value
            ),
            jit_compile=_JIT.value,
            hint=hint,
            init_from=_INIT.value,
            discriminator_from=_INIT_D.value,
        )
    except (ValueError, OSError) as error:
        return entry.fail(error)
    except training.TrainingError as error:
        return entry.fail(error, entry.SOME_FAILED)
    if outcome.signal_number is not None and outcome.saved_model is None:
        print(f"stopped at step {outcome.step}; the same command again resumes there")
        return 128 + outcome.signal_number
    if outcome.broken:
        return entry.fail(f"stopped at step {outcome.step}: {outcome.broken}", entry.SOME_FAILED)
    if outcome.saved_model is None:
        print(f"trained {outcome.step} steps; the chief worker writes the model")
        return entry.OK
    print(f"trained {outcome.step} steps: {outcome.saved_model}")
    print(f"now: python translate.py --model={_RUN.value} --input=PHOTO")
    return entry.finish(outcome.skipped)


def _dry_run(config: config_lib.Config, sources: dict[str, str], hint: str) -> int:
    entry.import_tensorflow()
    from gan_hd import checkpoints, files, runtime, training

    print(config_lib.to_json(config), end="")
    try:
        for flag, source in sources.items():
            try:
                found = files.find_pictures(source)
            except FileNotFoundError as error:
                return entry.fail(f"--{flag}: {error}.{hint}")
            if not found:
                return entry.fail(f"--{flag}: no pictures in {source}.{hint}")
            held = len(files.held_out(found, config.train.holdout)[1])
            kept_out = f", {held} of them held out" if held else ""
            print(f"--{flag}: {len(found)} pictures in {source}{kept_out}")
        training.check_options(config, runtime.choose_strategy(_STRATEGY.value), _JIT.value)
        checkpoints.check_config(Path(_RUN.value), config)
    except ValueError as error:
        return entry.fail(error)
    print(f"--run_dir: {_RUN.value}; nothing was written")
    return entry.OK


if __name__ == "__main__":
    entry.run(main)
