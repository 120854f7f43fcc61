"""Export the averaged generator of a run folder as a SavedModel that any TensorFlow runtime serves.

  python -m gan_hd.cli.export --model=runs/vangogh --output=vangogh_model
  python -m gan_hd.cli.export --model=runs/vangogh --output=vangogh_model --float16_storage --overwrite
  python -m gan_hd.cli.export --model=runs/vangogh --output=vangogh.onnx --format=onnx
  python -m gan_hd.cli.export --model=runs/vangogh --output=vangogh_model --which=best
  python -m gan_hd.cli.export --model=runs/vangogh --output=vangogh_model --discriminator
  python -m gan_hd.cli.export --model=runs/longer --average_with=runs/vangogh --output=vangogh_model

The model takes image bytes of any size and returns image bytes: decoding, tiling and encoding happen inside it. It
needs neither this project nor Keras; docs/serving.md lists its signatures. metadata.json lies beside it, and in its
assets. ONNX and LiteRT files hold the network alone: tiles in, tiles out.

Exit status: 0 done, 2 bad command line.
"""

import json
from pathlib import Path

from absl import flags

from gan_hd.cli import entry

_MODEL = flags.DEFINE_string(
    "model",
    None,
    "Run folder of a training, finished or not, or a SavedModel of this project (default: the Van Gogh that ships).",
)
_OUTPUT = flags.DEFINE_string("output", None, "Folder for the SavedModel, or the file of another format.")
_FORMAT = flags.DEFINE_enum("format", "saved_model", ["saved_model", "onnx", "litert"], "What to write.")
_WHICH = flags.DEFINE_enum(
    "which", "last", ["last", "best"], "The last checkpoint, or the best evaluation's (docs/evaluation.md)."
)
_AVERAGE = flags.DEFINE_string(
    "average_with",
    None,
    "Run folder or SavedModel of a generator of the same shape: take a mean of its weights and the model's. Between "
    "a training and the one that it was continued from (train.py --init_from) lies often a calmer painter than either.",
)
_SHARE = flags.DEFINE_float(
    "average_share", 0.5, "Share of --average_with in the mean.", lower_bound=0, upper_bound=1
)
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace an older export there.")
_FLOAT16 = flags.DEFINE_bool(
    "float16_storage", False, "Keep the weights as float16, in half the space; the arithmetic stays the same."
)
_TILE = flags.DEFINE_integer(
    "tile_px", None, "Largest side of a tile within the model (default: 1024).", lower_bound=64
)
_DISCRIMINATOR = flags.DEFINE_bool(
    "discriminator",
    False,
    "Keep the discriminator beside the SavedModel too, as float16: a training that begins with both (train.py "
    "--init_from) goes on where this one stands; with the generator alone it forgets its style first.",
)
_DESCRIPTION = flags.DEFINE_string(
    "description", None, "What it was trained on, for the metadata (default: what the training wrote)."
)
_LICENCE = flags.DEFINE_string("licence", None, "What may be done with the weights, for the metadata.")


def main(argv: list[str]) -> int:
    del argv
    entry.log_to_stderr()
    if not _OUTPUT.value:
        return entry.fail("--output is missing: name a folder for the model")
    output = Path(_OUTPUT.value)
    if _FORMAT.value != "saved_model" and (_FLOAT16.value or _TILE.value or _DISCRIMINATOR.value):
        return entry.fail("--float16_storage, --tile_px and --discriminator belong to --format=saved_model")
    if _DISCRIMINATOR.value and _WHICH.value == "best":
        return entry.fail(
            "--discriminator belongs to --which=last: of the best step the generator alone is kept"
        )
    problem = _occupied(output)
    if problem:
        return entry.fail(problem)
    entry.import_tensorflow()  # slow; a bad command line does without
    from gan_hd import discriminators, export
    from gan_hd.starting import average_with
    from gan_hd.translator import PRETRAINED

    model = Path(_MODEL.value or PRETRAINED)
    known = _metadata(model)
    about = {
        "description": known.get("description", "") if _DESCRIPTION.value is None else _DESCRIPTION.value,
        "licence": _LICENCE.value or known.get("licence", export.LICENCE_NOTE),
    }
    try:
        generator, config, step = export.load_generator(model, which=_WHICH.value)
        if _AVERAGE.value:
            other = average_with(generator, _AVERAGE.value, share=_SHARE.value)
            share = f"{100 * _SHARE.value:g} %"
            about["description"] += f"; {share} of the weights are another generator's, of step {other}"
        discriminator = discriminators.load(model, config) if _DISCRIMINATOR.value else None
        if _DISCRIMINATOR.value and discriminator is None:
            return entry.fail(f"--discriminator: {model} has none; export it from the run folder")
        if _FORMAT.value == "saved_model":
            export.export_generator(
                generator,
                output,
                config=config,
                step=step,
                float16_storage=_FLOAT16.value,
                serving_tile_px=_TILE.value or export.SERVING_TILE_PX,
                discriminator=discriminator,
                **about,
            )
        else:
            from gan_hd import convert

            write = convert.to_onnx if _FORMAT.value == "onnx" else convert.to_litert
            write(generator, output, metadata=export.describe(generator, config=config, step=step, **about))
    except (ValueError, OSError) as error:
        return entry.fail(error)
    files = [path for path in (output, *output.rglob("*")) if path.is_file()]
    print(f"{output}: step {step}, {sum(path.stat().st_size for path in files) / 2**20:.1f} MiB")
    return entry.OK


def _occupied(output: Path) -> str | None:
    """Why nothing may be written to `output`, if so."""
    if not output.exists():
        return None
    if _FORMAT.value == "saved_model":
        if output.is_dir() and not any(output.iterdir()):
            return None
        if not (output / "saved_model.pb").is_file():
            return f"--output={output} exists and is no SavedModel: name another folder"
    elif output.is_dir():
        return f"--output={output} is a folder: name a file for --format={_FORMAT.value}"
    return None if _OVERWRITE.value else f"--output={output} exists: --overwrite replaces it"


def _metadata(model: Path) -> dict:
    """What the model says of itself, or the one that the end of its training wrote; empty where there is neither."""
    for folder in (model, model / "saved_model"):
        try:
            return json.loads((folder / "metadata.json").read_text())
        except (OSError, ValueError):
            continue
    return {}


if __name__ == "__main__":
    entry.run(main)
