"""EMA generator -> a SavedModel that needs neither this project nor Keras, and metadata.json beside it.

Signatures (docs/serving.md):

    tile                      pixels float32 [n, h, w, 3] in [-1, 1], h and w multiples of the stride -> the same
    tile_mixed_bfloat16       the same, computed in bfloat16
    tile_mixed_float16        the same, computed in float16
    translate                 pixels uint8 [h, w, 3] of any size -> the same; tiling happens inside
    translate_mixed_bfloat16  the same, computed in bfloat16
    serving_default           image_bytes string [n], pictures of any size -> image_bytes string [n], PNG
    jpeg                      the same, JPEG out

All share one set of weights. The metadata is in the model twice: as the file, and as an asset, for runtimes that
are handed the SavedModel alone.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

import gan_hd
from gan_hd import config as config_lib
from gan_hd import graph, tiling
from gan_hd.config import PRESETS, Config
from gan_hd.models.generator import Generator

#: Name of the signature for tiles by precision.
SIGNATURES = {
    "float32": "tile",
    "mixed_bfloat16": "tile_mixed_bfloat16",
    "mixed_float16": "tile_mixed_float16",
}
#: Largest side of a tile in the signatures that tile by themselves; docs/serving.md has what other sides cost.
SERVING_TILE_PX = 1024
#: What the metadata says about licences unless told otherwise.
LICENCE_NOTE = (
    "The code that made this model is under the Apache License 2.0. The weights were trained on pictures whose "
    "licences are not recorded here: check them before you pass the model on."
)


class ExportError(ValueError):
    """There is nothing that can be exported, or no place for it; the message is one line and says what to do."""


def export_generator(
    generator: Generator,
    output: str | os.PathLike,
    *,
    config: Config,
    step: int,
    description: str = "",
    licence: str = LICENCE_NOTE,
    float16_storage: bool = False,
    serving_tile_px: int = SERVING_TILE_PX,
) -> Path:
    """Writes `generator` as a SavedModel folder, whole or not at all; an older one there is replaced.

    Args:
        generator: usually the EMA generator; its weights are copied.
        output: the folder.
        config: of the training, kept in the metadata.
        step: of the training.
        description: one line about the training data.
        licence: what may be done with the weights.
        float16_storage: keep the weights as float16, in half the space; they are cast up on use.
        serving_tile_px: largest side of a tile in the signatures that tile by themselves.

    Returns:
        The folder.
    """
    output = Path(output)
    weights_dtype = "float16" if float16_storage else "float32"
    metadata = describe(generator, config=config, step=step, description=description, licence=licence)
    metadata |= {"serving_tile_px": serving_tile_px, "weights_dtype": weights_dtype}
    module, signatures = _trace(generator, weights_dtype, serving_tile_px)
    output.parent.mkdir(parents=True, exist_ok=True)
    mark = uuid.uuid4().hex[:8]
    part, old, source = (
        output.with_name(f".{output.name}.{mark}.{state}") for state in ("part", "old", "source")
    )
    try:
        source.mkdir()
        (source / "metadata.json").write_text(json.dumps(metadata, indent=2) + "\n")
        module.metadata = tf.saved_model.Asset(str(source / "metadata.json"))
        tf.saved_model.save(module, str(part), signatures=signatures)
        shutil.copyfile(source / "metadata.json", part / "metadata.json")
        if output.exists():  # a full folder cannot be replaced in one go: move it aside first
            os.rename(output, old)
        os.rename(part, output)
    finally:
        for leftover in (part, old, source):
            shutil.rmtree(leftover, ignore_errors=True)
    return output


def describe(
    generator: Generator,
    *,
    config: Config,
    step: int,
    description: str = "",
    licence: str = LICENCE_NOTE,
) -> dict[str, Any]:
    """What the metadata of every format says about a model; see :func:`export_generator`."""
    changes = {name: config_lib.differences(preset, config) for name, preset in PRESETS.items()}
    nearest = min(changes, key=lambda name: len(changes[name]))
    return {
        "format": 2,
        "tile_px": config.combo.tile_px,
        "stride_px": generator.stride_px,
        "radius_px": generator.radius_px,
        "halo_px": _halo_px(generator),
        "step": step,
        "description": description,
        "licence": licence,
        "preset": nearest,
        "preset_changes": {name: new for name, (_, new) in changes[nearest].items()},
        "versions": {"gan_hd": gan_hd.__version__, "tensorflow": tf.__version__, "keras": keras.__version__},
        "config": dataclasses.asdict(config),
    }


def load_run(run_dir: str | os.PathLike) -> tuple[Generator, Config, int]:
    """The averaged generator of a run folder's newest checkpoint, the configuration and the step.

    Raises:
        ExportError: the folder is no run folder, or has no checkpoint that fits its configuration.
    """
    path = Path(run_dir)
    if not (path / "config.json").is_file():
        if (path / "saved_model.pb").is_file():
            raise ExportError(
                f"--model={path} is a SavedModel, the result of an export: name the run folder it came from"
            )
        raise ExportError(f"--model={path}: expected a run folder, with config.json and ckpt/")
    try:
        config = config_lib.validate(config_lib.from_json((path / "config.json").read_text()))
    except ValueError as error:
        raise ExportError(f"{path / 'config.json'} cannot be used: {error}") from error
    generator = Generator(config.generator, dtype="float32")
    step = tf.Variable(0, dtype=tf.int64)
    checkpoint = tf.train.Checkpoint(
        ema_generator=[variable.value for variable in generator.variables], step=step
    )
    state = tf.train.get_checkpoint_state(str(path / "ckpt"))
    reason = "there is none: let the training run until it saves one"
    for prefix in reversed(state.all_model_checkpoint_paths if state else []):
        try:
            status = checkpoint.restore(prefix)
            status.assert_existing_objects_matched()
            status.expect_partial()  # the other network and the optimisers stay behind
            return generator, config, int(step.numpy())
        except (tf.errors.OpError, AssertionError, IndexError, ValueError) as error:
            reason = " ".join(str(error).split())[:200]
    raise ExportError(f"no checkpoint in {path / 'ckpt'} can be used: {reason}")


# === Tracing ===


def _trace(generator: Generator, weights_dtype: str, tile_px: int) -> tuple[tf.Module, dict[str, Any]]:
    """A module that owns one set of weights, and a concrete function per signature that uses it.

    Concrete functions only: saving a tf.function would trace it anew, in the last precision set.
    """
    module = tf.Module()
    twin = Generator(generator.config, dtype="float32")
    twin.set_weights(generator.get_weights())
    module.weights = [tf.Variable(tf.cast(v.value, weights_dtype), trainable=False) for v in twin.variables]
    by_path = {variable.path: stored for variable, stored in zip(twin.variables, module.weights, strict=True)}

    def predict(pixels: tf.Tensor) -> tf.Tensor:
        trainable, rest = (
            [tf.cast(by_path[variable.path], tf.float32) for variable in variables]
            for variables in (twin.trainable_variables, twin.non_trainable_variables)
        )
        return twin.stateless_call(trainable, rest, pixels, training=False)[0]

    tiles = tf.TensorSpec([None, None, None, 3], tf.float32, name="pixels")
    signatures = {}
    for precision, name in SIGNATURES.items():
        _set_precision(twin, precision)
        signatures[name] = _concrete(lambda pixels: {"pixels": predict(pixels)}, tiles)

    picture = tf.TensorSpec([None, None, 3], tf.uint8, name="pixels")
    for precision in ("float32", "mixed_bfloat16"):
        tile = signatures[SIGNATURES[precision]]
        signatures[SIGNATURES[precision].replace("tile", "translate")] = _concrete(
            lambda pixels, tile=tile: {"pixels": _paint(generator, pixels, tile, tile_px)}, picture
        )

    files = tf.TensorSpec([None], tf.string, name="image_bytes")
    translate = signatures["translate"]
    for name, encode in (("serving_default", tf.io.encode_png), ("jpeg", _encode_jpeg)):
        signatures[name] = _concrete(
            lambda image_bytes, encode=encode: {
                "image_bytes": graph.for_each_image(
                    image_bytes, lambda pixels: translate(pixels=pixels)["pixels"], encode
                )
            },
            files,
        )
    return module, signatures


def _concrete(function: Callable[..., dict[str, tf.Tensor]], spec: tf.TensorSpec) -> Any:
    return tf.function(function, input_signature=[spec], autograph=False).get_concrete_function()


def _paint(generator: Generator, pixels: tf.Tensor, tile: Any, tile_px: int) -> tf.Tensor:
    with tf.control_dependencies(
        [
            tf.debugging.Assert(
                tf.size(pixels) > 0, ["pixels must be at least 1x1. Received:", tf.shape(pixels)]
            )
        ]
    ):
        pixels = tf.identity(pixels)
    return graph.paint(
        pixels,
        lambda windows: tile(pixels=windows)["pixels"],
        tile_px=tile_px,
        halo_px=_halo_px(generator),
        stride_px=generator.stride_px,
    )


def _encode_jpeg(pixels: tf.Tensor) -> tf.Tensor:
    return tf.io.encode_jpeg(pixels, format="rgb", quality=95, chroma_downsampling=False)


def _halo_px(generator: Generator) -> int:
    return tiling.halo_px(radius_px=generator.radius_px, stride_px=generator.stride_px)


def _set_precision(model: keras.Model, precision: str) -> None:
    """Sets the compute dtype of every layer that has one to choose; the weights stay float32."""
    for layer in model.layers:
        # What makes the pixels stays float32 in every precision.
        if layer.name.startswith(("identity_start", "tanh")):
            continue
        layer.dtype_policy = keras.DTypePolicy(precision)
