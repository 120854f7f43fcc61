"""EMA generator -> a SavedModel that needs neither this project nor Keras, and metadata.json beside it.

Signatures (docs/serving.md):

    context                   thumbnail float32 [n, T, T, 3] in [-1, 1] of whole pictures and, where the generator is
                              told the scale, side_px float32 [n], their long sides -> context float32 [n, k]
    tile                      pixels float32 [n, h, w, 3] in [-1, 1], h and w multiples of the stride, and context
                              [n or 1, k] -> pixels, the same shape
    tile_mixed_bfloat16       the same, computed in bfloat16
    tile_mixed_float16        the same, computed in float16
    translate                 pixels uint8 [h, w, 3] of any size -> the same; tiling happens inside
    translate_mixed_bfloat16  the same, computed in bfloat16
    serving_default           image_bytes string [n], pictures of any size -> image_bytes string [n], PNG
    jpeg                      the same, JPEG out

All share one set of weights. A generator without context has no signature `context`, and its `tile` takes pixels alone.
The metadata is in the model twice: as the file, and as an asset, for runtimes that are handed the SavedModel alone.
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
from gan_hd import discriminators, graph, thumbnail, tiling
from gan_hd.config import PRESETS, Config
from gan_hd.models.discriminator import Discriminator
from gan_hd.models.generator import Generator
from gan_hd.restoring import NO_CHECKPOINT, restore_parts
from gan_hd.thumbnail import Whole

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
    discriminator: Discriminator | None = None,
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
        discriminator: kept beside the model, for a training that goes on from it.

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
        # Nobody trains it: without the gradients of layers.replicated it is loaded faster.
        options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
        tf.saved_model.save(module, str(part), signatures=signatures, options=options)
        shutil.copyfile(source / "metadata.json", part / "metadata.json")
        if discriminator is not None:
            discriminators.write(discriminator, part / discriminators.DISCRIMINATOR)
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
        "format": 4,
        "tile_px": config.combo.tile_px,
        "stride_px": generator.stride_px,
        "radius_px": generator.radius_px,
        "halo_px": _halo_px(generator),
        "thumbnail_px": generator.config.thumbnail_px,
        # Cells of so many px that are of one colour get a grain (gan_hd.grain) for G's noise to see; 0: it has none.
        "grain_px": generator.config.grain_px,
        "context_size": generator.config.told_size,
        # Where it has two sides, the signature `context` takes side_px.
        "scale_range_px": list(generator.config.scale_range_px),
        # Stands in where the whole picture is not known.
        "null_context": [] if generator.encoder is None else generator.null_context.numpy().tolist(),
        "step": step,
        "description": description,
        "licence": licence,
        "preset": nearest,
        "preset_changes": {name: new for name, (_, new) in changes[nearest].items()},
        "versions": {"gan_hd": gan_hd.__version__, "tensorflow": tf.__version__, "keras": keras.__version__},
        "config": dataclasses.asdict(config),
    }


def load_run(run_dir: str | os.PathLike, *, which: str = "last") -> tuple[Generator, Config, int]:
    """The averaged generator of a run folder's newest checkpoint, the configuration and the step.

    Args:
        run_dir: the run folder.
        which: "last", or "best" for the best by the rule of gan_hd.best.

    Raises:
        ExportError: the folder is no run folder, or has no checkpoint that fits its configuration.
    """
    path = Path(run_dir)
    if not (path / "config.json").is_file():
        raise ExportError(f"--model={path}: expected a run folder, with config.json and ckpt/")
    try:
        config = config_lib.validate(config_lib.from_json((path / "config.json").read_text()))
    except ValueError as error:
        raise ExportError(f"{path / 'config.json'} cannot be used: {error}") from error
    generator = Generator(config.generator, dtype="float32")
    step = tf.Variable(0, dtype=tf.int64)
    folder = path / {"last": "ckpt", "best": "best"}[which]
    values = [variable.value for variable in generator.variables]
    reason = restore_parts(folder, ema_generator=values, step=step)
    if reason == NO_CHECKPOINT and which == "last":
        reason += ": let the training run until it saves one"
    elif reason == NO_CHECKPOINT:
        reason += ": no evaluation has met the rule so far (train.py --evaluate_every), take the last"
    if reason:
        raise ExportError(f"no checkpoint in {folder} can be used: {reason}")
    return generator, config, int(step.numpy())


def load_generator(model: str | os.PathLike, *, which: str = "last") -> tuple[Generator, Config, int]:
    """The generator of a run folder, see :func:`load_run`, or of a SavedModel that this project exported.

    Raises:
        ExportError: there is none that can be used.
    """
    path = Path(model)
    if not (path / "saved_model.pb").is_file():
        return load_run(path, which=which)
    try:
        metadata = json.loads((path / "metadata.json").read_text())
        config = config_lib.validate(config_lib.from_json(json.dumps(metadata["config"])))
        generator = Generator(config.generator, dtype="float32")
        stored = tf.saved_model.load(str(path)).weights
        generator.set_weights([tf.cast(weight, tf.float32).numpy() for weight in stored])
    except (ValueError, KeyError, AttributeError, OSError, tf.errors.OpError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ExportError(f"{path} holds no generator that can be read back: {reason}") from error
    return generator, config, int(metadata["step"])


# === Tracing ===


def _trace(generator: Generator, weights_dtype: str, tile_px: int) -> tuple[tf.Module, dict[str, Any]]:
    """A module that owns one set of weights, and a concrete function per signature that uses it.

    Concrete functions only: saving a tf.function would trace it anew, in the last precision set.
    """
    module = tf.Module()
    twin = Generator(generator.config, dtype="float32")
    twin.set_weights(generator.get_weights())
    module.weights = [tf.Variable(tf.cast(v.value, weights_dtype), trainable=False) for v in twin.variables]

    def with_weights(function: Callable[..., tf.Tensor], *inputs: tf.Tensor) -> tf.Tensor:
        values = [tf.cast(stored, tf.float32) for stored in module.weights]
        with keras.StatelessScope(state_mapping=list(zip(twin.variables, values, strict=True))):
            return function(*inputs)

    config, signatures = generator.config, {}
    pixels = tf.TensorSpec([None, None, None, 3], tf.float32, name="pixels")
    specs = [pixels]
    if config.context_size:
        specs.append(tf.TensorSpec([None, config.told_size], tf.float32, name="context"))
        signatures["context"] = _concrete(
            lambda *inputs: {"context": with_weights(lambda *x: twin.encode(Whole(*x)), *inputs)},
            *generator.whole_specs(count=None),
        )
    for precision, name in SIGNATURES.items():
        _set_precision(twin.network, precision)
        signatures[name] = _concrete(lambda *inputs: {"pixels": with_weights(twin, *inputs)}, *specs)

    picture = tf.TensorSpec([None, None, 3], tf.uint8, name="pixels")
    for precision in ("float32", "mixed_bfloat16"):
        tile = signatures[SIGNATURES[precision]]
        signatures[SIGNATURES[precision].replace("tile", "translate")] = _concrete(
            lambda pixels, tile=tile: {
                "pixels": _paint(generator, pixels, tile, signatures.get("context"), tile_px)
            },
            picture,
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


def _concrete(function: Callable[..., dict[str, tf.Tensor]], *specs: tf.TensorSpec) -> Any:
    return tf.function(function, input_signature=specs, autograph=False).get_concrete_function()


def _paint(generator: Generator, pixels: tf.Tensor, tile: Any, encode: Any | None, tile_px: int) -> tf.Tensor:
    with tf.control_dependencies(
        [
            tf.debugging.Assert(
                tf.size(pixels) > 0, ["pixels must be at least 1x1. Received:", tf.shape(pixels)]
            )
        ]
    ):
        pixels = tf.identity(pixels)
    context = {}
    if encode is not None:
        told = {"thumbnail": thumbnail.of_tensor(pixels, generator.config.thumbnail_px)[None]}
        if generator.config.scale_range_px:
            told["side_px"] = tf.cast(tf.reduce_max(tf.shape(pixels)), tf.float32)[None]
        context = {"context": encode(**told)["context"]}
    return graph.paint(
        pixels,
        lambda windows: tile(pixels=windows, **context)["pixels"],
        tile_px=tile_px,
        halo_px=_halo_px(generator),
        stride_px=generator.stride_px,
        grain_px=generator.config.grain_px,
    )


def _encode_jpeg(pixels: tf.Tensor) -> tf.Tensor:
    return tf.io.encode_jpeg(pixels, format="rgb", quality=95, chroma_downsampling=False)


def _halo_px(generator: Generator) -> int:
    return tiling.halo_px(radius_px=generator.radius_px, stride_px=generator.stride_px)


def _set_precision(model: keras.Model, precision: str) -> None:
    """Sets the compute dtype of every layer that has one to choose; the weights stay float32."""
    for layer in model.layers:
        # What reads levels from the pixels, and what makes the pixels, stays float32 in every precision.
        if layer.name.startswith(("identity_start", "tanh", "cell_noise")):
            continue
        layer.dtype_policy = keras.DTypePolicy(precision)
