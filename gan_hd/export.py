"""EMA generator -> a SavedModel that needs neither this project nor Keras, and metadata.json beside it.

Signatures, all ``pixels`` float32 [n, h, w, 3] in [-1, 1] -> ``pixels`` of the same shape, h and w multiples of
the stride; they share one set of float32 weights and differ in the precision they compute in:

    tile                  float32
    tile_mixed_bfloat16   bfloat16
    tile_mixed_float16    float16

metadata.json: tile_px, stride_px, radius_px, step, preset, versions and the training's configuration.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import uuid
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

import gan_hd
from gan_hd.config import Config
from gan_hd.models.generator import Generator

#: Signature name by precision.
SIGNATURES = {
    "float32": "tile",
    "mixed_bfloat16": "tile_mixed_bfloat16",
    "mixed_float16": "tile_mixed_float16",
}


def export_generator(
    generator: Generator, output: str | os.PathLike, *, config: Config, step: int, description: str = ""
) -> Path:
    """Writes `generator` as a SavedModel folder, whole or not at all; an older one there is replaced.

    Args:
        generator: usually the EMA generator; its weights are copied.
        output: the folder.
        config: of the training, kept in the metadata.
        step: of the training.
        description: one line about where the weights come from.

    Returns:
        The folder.
    """
    output = Path(output)
    module, signatures = _trace(generator)
    metadata = {
        "format": 1,
        "tile_px": config.combo.tile_px,
        "stride_px": generator.stride_px,
        "radius_px": generator.radius_px,
        "step": step,
        "description": description,
        "versions": {"gan_hd": gan_hd.__version__, "tensorflow": tf.__version__, "keras": keras.__version__},
        "config": dataclasses.asdict(config),
    }
    output.parent.mkdir(parents=True, exist_ok=True)
    mark = uuid.uuid4().hex[:8]
    part, old = (output.with_name(f".{output.name}.{mark}.{state}") for state in ("part", "old"))
    try:
        tf.saved_model.save(module, str(part), signatures=signatures)
        (part / "metadata.json").write_text(json.dumps(metadata, indent=2) + "\n")
        if output.exists():  # a full folder cannot be replaced in one go: move it aside first
            os.rename(output, old)
        os.rename(part, output)
    finally:
        for leftover in (part, old):
            shutil.rmtree(leftover, ignore_errors=True)
    return output


def _trace(generator: Generator) -> tuple[tf.Module, dict[str, Any]]:
    """A module that owns one set of weights, and a concrete function per precision that uses it."""
    module = tf.Module()
    twin = Generator(generator.config, dtype="float32")
    twin.set_weights(generator.get_weights())
    module.weights = [variable.value for variable in twin.variables]
    spec = tf.TensorSpec([None, None, None, 3], tf.float32, name="pixels")
    signatures = {}
    for precision, name in SIGNATURES.items():
        _set_precision(twin, precision)
        # Concrete functions only: saving a tf.function would trace it anew, in the last precision set.
        signatures[name] = tf.function(
            lambda pixels: {"pixels": twin(pixels, training=False)}, input_signature=[spec]
        ).get_concrete_function()
    return module, signatures


def _set_precision(model: keras.Model, precision: str) -> None:
    """Sets the compute dtype of every layer that has one to choose; the weights stay float32."""
    for layer in model.layers:
        # IdentityStart works on pixels and stays float32 in every precision.
        if layer.name.startswith("identity_start"):
            continue
        layer.dtype_policy = keras.DTypePolicy(precision)
