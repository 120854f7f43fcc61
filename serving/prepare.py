"""Puts an exported model where TensorFlow Serving looks for it, with warm-up requests.

  python serving/prepare.py --model=runs/vangogh
  docker compose -f serving/docker-compose.yml up

Writes OUTPUT/gan_hd/1, which must not exist: TensorFlow Serving may be reading it. Exit status: 0 done, 2 bad
command line.
"""

import io
import shutil
import sys
import uuid
from pathlib import Path

from absl import flags

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # this repository's gan_hd, installed or not

from gan_hd.cli import entry

_MODEL = flags.DEFINE_string("model", None, "Run folder or SavedModel.")
_OUTPUT = flags.DEFINE_string(
    "output",
    str(Path(__file__).parent / "models"),
    "Folder of models; docker-compose.yml mounts the default.",
)
_VERSION = flags.DEFINE_integer("version", 1, "Number of this version; the highest is served.", lower_bound=1)

#: As in models.config.
MODEL_NAME = "gan_hd"
# One tile, and several; alone, and as a batch.
_SIDES_PX, _BATCHES = (64, 1000), (1, 2)


def main(argv: list[str]) -> int:
    del argv
    target = Path(_OUTPUT.value) / MODEL_NAME / str(_VERSION.value)
    if target.exists():
        return entry.fail(f"--output: {target} exists: name another --version")
    entry.import_tensorflow()
    import PIL.Image

    from gan_hd.serving.model import ServedModel
    from gan_hd.serving.warmup import write_warm_up

    def picture(side_px: int) -> bytes:
        file = io.BytesIO()
        PIL.Image.effect_noise((side_px, side_px), 60).convert("RGB").save(file, "JPEG")
        return file.getvalue()

    # TensorFlow Serving looks at folders with a number for a name only, so it never sees half a model.
    part = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        model = ServedModel(_MODEL.value)
        shutil.copytree(model.folder, part)
        requests = [
            (signature, [picture(side)] * count)
            for signature in model.served
            for side in _SIDES_PX
            for count in _BATCHES
        ]
        write_warm_up(part, requests, model_name=MODEL_NAME, version=_VERSION.value)
        part.rename(target)
    except (ValueError, OSError) as error:
        return entry.fail(error)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    print(f"{target}  ({len(requests)} warm-up requests)")
    return entry.OK


if __name__ == "__main__":
    entry.run(main)
