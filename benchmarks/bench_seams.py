"""How much a picture changes with the tile grid: GSE and SSZ of every mode, precision and tile size.

  python benchmarks/bench_seams.py --model=RUN_DIR --input='photos/*.jpg' [--tiles=128,256,512,1024]

Each picture is translated once in `exact` mode with tiles of 1024 px: the reference of its precision. Then, for each
tile size, with the grid shifted by half a tile, and compared with the reference. So a row of `exact` shows both at
once: what the tile size changes, and what the grid's place changes. `grid` and `blend` are compared with themselves,
shifted. A picture of pure noise, drawn here, is added to those given: the hardest case, nothing in it is smooth.

Prints a table, ends with one JSON line; --heat=FILE.png writes the heat maps of the first picture, one mode a row.
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np
from absl import flags

from gan_hd import files, pictures
from gan_hd.cli import entry
from gan_hd.metrics import seams
from gan_hd.streaming import ArrayRows

_MODEL = flags.DEFINE_string("model", None, "Run folder or SavedModel.")
_INPUT = flags.DEFINE_string("input", None, "Picture, folder or glob.")
_TILES = flags.DEFINE_list("tiles", ["128", "256", "512", "1024"], "Tile sides of exact mode, px.")
_PRECISIONS = flags.DEFINE_list("precisions", ["float32", "mixed_bfloat16"], "Arithmetic.")
_MODES = flags.DEFINE_list("modes", ["exact", "grid", "blend"], "Modes.")
_NOISE = flags.DEFINE_integer("noise_px", 2160, "Height of the noise picture (16:9); 0 leaves it out.")
_HEAT = flags.DEFINE_string("heat", None, "Where the heat maps of the first picture go.")
_COLUMNS = "{:16}{:7}{:>6}{:>10}{:>7}{:>7}{:>12}{:>9}{:>8}{:>8}"


def main(argv: list[str]) -> int:
    del argv
    entry.log_to_stderr()
    if not _MODEL.value or not _INPUT.value:
        return entry.fail("--model and --input are needed")
    names = files.find_pictures(_INPUT.value)
    entry.import_tensorflow()
    from gan_hd.translator import Translator

    content = [(path.name, pictures.read_rgb(path)) for path in names]
    if _NOISE.value:
        size = (_NOISE.value, _NOISE.value * 16 // 9, 3)
        content.append(("noise", np.random.default_rng(0).integers(0, 256, size, dtype=np.uint8)))
    print(
        _COLUMNS.format(
            "precision", "mode", "tile", "GSE mean", "p99", "max", "differing", "at grid", "SSZ", "photo"
        )
    )
    rows, heats = [], []
    for precision in _PRECISIONS.value:
        model = Translator(_MODEL.value, precision=precision)
        references = [model.translate(pixels, tile_px=1024) for _, pixels in content]
        sides = {mode: [model.default_tile_px(mode)] for mode in _MODES.value}
        sides |= {"exact": [int(side) for side in _TILES.value]}
        cases = [(mode, side) for mode in _MODES.value for side in sides[mode]]
        for mode, side in cases:
            row, heat = _measure(model, content, references, mode, side)
            rows.append({"precision": precision, "mode": mode, "tile_px": side} | row)
            heats.append(heat)
            print(
                _COLUMNS.format(
                    precision,
                    mode,
                    side,
                    *(
                        f"{row[key]:.3g}" if row[key] is not None else "-"
                        for key in ("mean", "p99", "max", "differing", "border_ratio", "ssz", "ssz_photo")
                    ),
                ),
                flush=True,
            )
    if _HEAT.value:
        scale = max(float(heat.max()) for heat in heats)
        pictures.write_rgb(
            _HEAT.value, np.concatenate([seams.heat_picture(h, full_scale=scale) for h in heats])
        )
    print(json.dumps({"benchmark": "seams", "pictures": [name for name, _ in content], "rows": rows}))
    return entry.OK


def _measure(model, content, references, mode, side) -> tuple[dict, np.ndarray]:
    """Means over the pictures, the largest maximum, and the first picture's heat map."""
    found = []
    for (_, pixels), reference in zip(content, references, strict=True):
        pitch = model.plan(*pixels.shape[:2], mode=mode, tile_px=side).pitch
        stride = model.metadata["stride_px"]
        shift = tuple(part // 2 // stride * stride for part in pitch)
        shifted = model.translate(pixels, mode=mode, tile_px=side, origin=shift)
        if mode != "exact":
            reference = model.translate(pixels, mode=mode, tile_px=side)
        error = seams.grid_shift_error(
            ArrayRows(reference), ArrayRows(shifted), tile=pitch, origins=((0, 0), shift)
        )
        painted, photo = (
            seams.seam_step_z(ArrayRows(picture), tile=pitch, origin=shift) for picture in (shifted, pixels)
        )
        found.append((error, painted.z, photo.z))
    errors = [error for error, _, _ in found]

    def mean(values) -> float | None:
        values = [value for value in values if np.isfinite(value)]
        return float(np.mean(values)) if values else None

    return {
        "mean": mean(error.mean for error in errors),
        "p99": mean(error.p99 for error in errors),
        "max": float(max(error.max for error in errors)),
        "differing": mean(error.share_differing for error in errors),
        "border_ratio": mean(error.border_ratio for error in errors),
        "ssz": mean(z for _, z, _ in found),
        "ssz_photo": mean(z for _, _, z in found),
    }, errors[0].heat


if __name__ == "__main__":
    entry.run(main)
