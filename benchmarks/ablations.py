r"""What each part of the method is worth: trainings that differ in one setting, and two other methods, same budget.

    python benchmarks/ablations.py --work_dir=runs/ablations --preset=demo --steps=600
    python benchmarks/ablations.py --work_dir=runs/ablations --content_dir=photos --style_dir=paintings
        --eval_content_dir=other_photos --eval_style_dir=other_paintings [--only=default,cut] [--list]

Trains every variant in WORK_DIR/NAME, one after the other, each in a process of its own, then measures each with
gan_hd.cli.evaluate on the same pictures at the same resolution, whatever it was trained at. Prints a Markdown table
with the command that made each row, and everything as one JSON line. What is finished is not done again, so the same
command resumes, and more --steps train on.

Without folders it draws the embedded sample set, other pictures of it to measure with, and the right painting of each
photograph. `photographs` is the row of doing nothing; `seed_1` and `seed_2` tell how far apart equal trainings end.

Exit status: 0 done, 1 some variants or pictures failed (each is named, the others are done), 2 bad command line.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

from absl import flags

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # this repository's gan_hd, installed or not

from benchmarks import ablation_table, processes, sample_pictures
from benchmarks.processes import RunError
from gan_hd import config as config_lib
from gan_hd.cli import entry

#: Name -> what is set differently from the preset.
VARIANTS: dict[str, list[str]] = {
    "default": [],
    "seed_1": ["train.seed=1"],
    "seed_2": ["train.seed=2"],
    # Combo
    "combo_off": ["combo.whole_share=1", "losses.seam_weight=0"],  # whole crops only
    "whole_0.75": ["combo.whole_share=0.75"],
    "whole_0.25": ["combo.whole_share=0.25"],
    "bare_tiles": ["combo.whole_share=0"],
    "fixed_phase": ["combo.random_phase=false"],
    # Discriminator and losses
    "spectral_norm": ["discriminator.spectral_norm=true"],
    "head_plain": ["discriminator.head=plain"],
    "head_gated": ["discriminator.head=gated"],
    "pooled": ["discriminator.pooled=true"],
    "scales_2": ["discriminator.scales=2"],
    "content_0": ["losses.content_weight=0"],
    "content_0.1": ["losses.content_weight=0.1"],
    "content_2": ["losses.content_weight=2"],
    "margin_1": ["losses.margin=1"],
    "margin_4": ["losses.margin=4"],
    "rotations_1": ["losses.rotations=1"],
    "travel_1": ["losses.travel_weight=1"],
    "r1_1": ["losses.r1_weight=1"],
    "lecam_0.3": ["losses.lecam_weight=0.3"],
    "augment_0.125": ["train.augment=0.125"],
    "ema_0.99": ["train.ema_decay=0.99"],
    "ema_off": ["train.ema_decay=0"],
    "tones_0": ["losses.tones_weight=0"],
    "tones_8px": ["losses.tones_cell_px=8"],
    "seam_0": ["losses.seam_weight=0"],
    # Crops
    "random_crops": ["content.candidates=1", "style.candidates=1"],
    "same_photo": ["content.crops_per_picture=2"],
    "photos_768px": ["content.side_px=768"],
    "photos_one_scale": ["content.scale_min=1", "content.scale_max=1"],
    "paintings_512px": ["style.side_px=512"],
    "paintings_1024px": ["style.side_px=1024"],
    # Generator
    "identity_start_off": ["generator.identity_start=false"],
    "unbounded": ["generator.bounded=false"],
    "context_off": ["generator.context_size=0", "generator.scale_range_px=[]"],
    "scale_untold": ["generator.scale_range_px=[]"],
    "noise_off": ["generator.noise_channels=0"],
}
#: Other methods, benchmarks/baselines: same crops, same generator, same number of steps.
BASELINES = ("cyclegan", "cut")

_CONTENT = flags.DEFINE_string("content_dir", None, "Photographs (default: the embedded sample set, drawn).")
_STYLE = flags.DEFINE_string("style_dir", None, "Paintings.")
_EVAL_CONTENT = flags.DEFINE_string(
    "eval_content_dir", None, "Photographs to measure with (default: --content_dir)."
)
_EVAL_STYLE = flags.DEFINE_string("eval_style_dir", None, "Paintings to measure with (default: --style_dir).")
_TRUTH = flags.DEFINE_string(
    "truth_dir", None, "Where known: the right painting of each photograph to measure with, same name."
)
_WORK = flags.DEFINE_string("work_dir", "runs/ablations", "Folder for everything.")
_PRESET = flags.DEFINE_enum("preset", "default", list(config_lib.PRESETS), "What all variants start from.")
_STEPS = flags.DEFINE_integer("steps", 600, "Updates of each training.", lower_bound=1)
_SET = flags.DEFINE_multi_string("set", [], "A setting of all variants, as for train.py; repeatable.")
_ONLY = flags.DEFINE_list("only", [], "Names, with commas between (default: all).")
_LIST = flags.DEFINE_bool("list", False, "Print the names and what they set; do nothing.")
_PICTURES = flags.DEFINE_integer("pictures", 8, "Photographs to measure with, at most.", lower_bound=1)
_CROPS = flags.DEFINE_integer("crops", 64, "Crops of each.", lower_bound=1)
_CROP = flags.DEFINE_integer("crop_px", 128, "Side of a crop, px.", lower_bound=64)
_SAMPLES = flags.DEFINE_integer("samples", 24, "Pictures of each kind that are drawn.", lower_bound=4)
_SAMPLE = flags.DEFINE_integer("sample_px", 1024, "Long side of its pictures, px.", lower_bound=64)
_PRECISION = flags.DEFINE_enum("precision", "auto", config_lib.PRECISIONS, "Arithmetic of all processes.")


def main(argv: list[str]) -> int:
    del argv
    every = {**VARIANTS, **{name: [] for name in BASELINES}}
    if _LIST.value:
        for name, overrides in every.items():
            print(f"{name:20}" + (f"--method={name}" if name in BASELINES else " ".join(overrides)))
        return entry.OK
    if bool(_CONTENT.value) != bool(_STYLE.value):
        return entry.fail("--content_dir and --style_dir go together; without both the sample set is drawn")
    if not _CONTENT.value and (_EVAL_CONTENT.value or _EVAL_STYLE.value or _TRUTH.value):
        return entry.fail("--eval_content_dir, --eval_style_dir and --truth_dir need --content_dir")
    unknown = [name for name in _ONLY.value if name not in every]
    if unknown:
        return entry.fail(f"--only: there is no {unknown[0]!r}; known: {', '.join(every)}")
    try:
        base = config_lib.apply_overrides(config_lib.PRESETS[_PRESET.value], _SET.value)
    except ValueError as error:
        return entry.fail(error)
    # Ends as by Ctrl-C, so that the training under way saves and ends too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    work = Path(_WORK.value)
    work.mkdir(parents=True, exist_ok=True)
    try:
        folders = _folders(work)
    except (RunError, OSError) as error:
        return entry.fail(error, entry.SOME_FAILED)

    # === Train ===
    failed = 0
    rows: list[dict] = [{"name": "photographs", "model": "identity", "command": "", "overrides": []}]
    for name in dict.fromkeys(_ONLY.value or every):
        row: dict = {"name": name, "overrides": every[name]}
        if name not in (*BASELINES, "default") and config_lib.apply_overrides(base, every[name]) == base:
            rows.append(row | {"same_as": "default"})
            continue
        command = _training(name, every[name], folders)
        try:
            done = processes.once(
                command,
                log=work / f"{name}.log",
                record=work / f"{name}.train.json",
                resumes=(work / name).exists(),
                is_done=lambda run_dir=work / name: _steps_of(run_dir) >= _STEPS.value,  # type: ignore[misc]
            )
        except RunError as error:
            failed += 1
            entry.fail(f"{name}: {error}")
            continue
        failed += _unreadable(name, done)
        row |= {"model": str(work / name), "steps": _STEPS.value, "seconds": done.seconds}
        rows.append(row | {"command": processes.shown(command)})

    # === Measure ===
    for row in rows:
        if "same_as" in row:
            continue
        file = work / f"{row['name']}.{row.get('steps', 0)}.figures.json"
        command = _measuring(row["model"], file, base, folders)
        row["measured_by"] = processes.shown(command)
        try:
            done = processes.once(
                command,
                log=work / f"{row['name']}.log",
                record=work / f"{row['name']}.measure.json",
                replaces=file,
                is_done=lambda file=file, run_dir=Path(row["model"]): _is_newer(file, run_dir),  # type: ignore[misc]
            )
            failed += _unreadable(row["name"], done)
            row["figures"] = next(iter(json.loads(file.read_text())["figures"].values()))
        except RunError as error:
            failed += 1
            entry.fail(f"{row['name']}: {error}")
    print(ablation_table.markdown(rows))
    print(json.dumps({"benchmark": "ablations", "preset": _PRESET.value, "folders": folders, "rows": rows}))
    return entry.SOME_FAILED if failed else entry.OK


def _folders(work: Path) -> dict[str, str]:
    """Flag -> folder, for trainings (content_dir, style_dir) and measuring."""
    if _CONTENT.value and _STYLE.value:
        return {
            "content_dir": _CONTENT.value,
            "style_dir": _STYLE.value,
            "eval_content_dir": _EVAL_CONTENT.value or _CONTENT.value,
            "eval_style_dir": _EVAL_STYLE.value or _STYLE.value,
        } | ({"truth_dir": _TRUTH.value} if _TRUTH.value else {})
    return sample_pictures.draw(work, count=_SAMPLES.value, side_px=_SAMPLE.value)


def _training(name: str, overrides: list[str], folders: dict[str, str]) -> list[str]:
    if name in BASELINES:
        script = ["-m", "benchmarks.baselines", f"--method={name}"]
    else:
        # Evaluations on the way would count as training time.
        script = [os.path.relpath(processes.ROOT / "train.py"), "--evaluate_every=0"]
    return [
        *script,
        f"--content_dir={folders['content_dir']}",
        f"--style_dir={folders['style_dir']}",
        f"--run_dir={Path(_WORK.value) / name}",
        f"--preset={_PRESET.value}",
        f"--steps={_STEPS.value}",
        *(f"--set={text}" for text in [*_SET.value, *overrides]),
        *([f"--precision={_PRECISION.value}"] if _PRECISION.value != "auto" else []),
    ]


def _measuring(model: str, file: Path, base: config_lib.Config, folders: dict[str, str]) -> list[str]:
    return [
        *("-m", "gan_hd.cli.evaluate", f"--model={model}"),
        f"--content_dir={folders['eval_content_dir']}",
        f"--style_dir={folders['eval_style_dir']}",
        *([f"--truth_dir={folders['truth_dir']}"] if "truth_dir" in folders else []),
        f"--content_px={base.content.side_px}",
        f"--style_px={base.style.side_px}",
        *(f"--pictures={_PICTURES.value}", f"--crops={_CROPS.value}", f"--crop_px={_CROP.value}"),
        f"--precision={_PRECISION.value}",
        f"--json={file}",
    ]


def _unreadable(name: str, done: processes.Done) -> int:
    """1, and a line, where some pictures could not be read."""
    if done.status:
        entry.fail(f"{name}: some pictures could not be read; {Path(_WORK.value) / name}.log names them")
    return done.status


def _is_newer(file: Path, run_dir: Path) -> bool:
    """Whether the file is there, and no model was exported since."""
    metadata = run_dir / "saved_model" / "metadata.json"
    exported = metadata.stat().st_mtime if metadata.is_file() else 0
    return file.is_file() and file.stat().st_mtime >= exported


def _steps_of(run_dir: Path) -> int:
    """Steps behind the exported model; 0 where there is none."""
    metadata = run_dir / "saved_model" / "metadata.json"
    return json.loads(metadata.read_text())["step"] if metadata.is_file() else 0


if __name__ == "__main__":
    entry.run(main)
