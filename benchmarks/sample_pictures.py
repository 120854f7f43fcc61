"""The embedded sample set to train on, and pictures that are not in it to measure with, their right paintings included.

In: a folder. Out: pictures in it, and where they are by the names of flags.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import PIL.Image

from benchmarks import processes
from data.samples import paint
from data.samples.build import MANIFEST
from gan_hd.files import whole_file

# Of data.samples: other seeds draw other scenes.
_TRAINING_SEED, _MEASURING_SEED = 0, 1


def draw(work: Path, *, count: int, side_px: int) -> dict[str, str]:
    """Draws what is not there yet.

    Args:
        work: the folder.
        count: photographs to train on, paintings to train on, and as many of each, of other scenes, to measure with.
        side_px: long side of all.

    Returns:
        flag -> folder: content_dir, style_dir, eval_content_dir, eval_style_dir, truth_dir.

    Raises:
        processes.RunError: data.samples failed.
    """
    drawn, others, truths = work / "samples", work / "held_out", work / "truths"
    for output, seed in ((drawn, _TRAINING_SEED), (others, _MEASURING_SEED)):
        size = [f"--count={count}", f"--long_side_px={side_px}"]
        no_hd = ["--hd_width_px=16", "--hd_height_px=16"]
        processes.once(
            ["-m", "data.samples", f"--output={output}", f"--seed={seed}", *size, *no_hd],
            log=work / "samples.log",
            record=work / f"{output.name}.draw.json",
            is_done=(output / MANIFEST).is_file,
        )
    paint_truths(others, truths)
    return {
        "content_dir": str(drawn / "photos"),
        "style_dir": str(drawn / "paintings"),
        "eval_content_dir": str(others / "photos"),
        "eval_style_dir": str(others / "paintings"),
        "truth_dir": str(truths),
    }


def paint_truths(samples: Path, output: Path) -> None:
    """The right painting of each photograph of a drawn set, as PNG under the same name; those there are kept."""
    output.mkdir(exist_ok=True)
    for picture in json.loads((samples / MANIFEST).read_text())["pictures"]:
        target = (output / Path(picture["path"]).name).with_suffix(".png")
        if picture["domain"] != "photos" or target.exists():
            continue
        photo = np.asarray(PIL.Image.open(samples / picture["path"]))
        with whole_file(target) as part:
            PIL.Image.fromarray(paint(photo, seed=picture["scene_seed"])).save(part)
