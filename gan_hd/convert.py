"""EMA generator -> files of other runtimes: ONNX and LiteRT (TensorFlow Lite).

Both hold what the SavedModel's signatures `context` and `tile` compute together: ``pixels`` float32 [n, h, w, 3] in
[-1, 1], h and w multiples of the stride, ``thumbnail`` [1, T, T, 3] of the whole picture they are from and ``side_px``
[1], its long side -> ``translated``, of the pixels' shape, in float32. A generator without context takes no thumbnail,
one that is not told the scale no side. Tiling, grain (gan_hd.grain), decoding and encoding are the caller's; the
metadata (stride_px, halo_px, ...) lies beside the file as NAME.json, and within ONNX files too.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from gan_hd.files import whole_file
from gan_hd.models.generator import Generator
from gan_hd.thumbnail import Whole

#: ONNX operator set: old enough for runtimes of 2023.
ONNX_OPSET = 18


def to_onnx(generator: Generator, output: str | os.PathLike, *, metadata: dict[str, Any]) -> Path:
    """Writes an ONNX file: pixels [n, h, w, 3] -> translated, every size free but the channels.

    Raises:
        ValueError: tf2onnx is not installed, or its onnx does not go with this TensorFlow.
    """
    try:
        import tf2onnx
    except (
        ImportError,
        AttributeError,
    ) as error:  # onnx looks for number types that an older ml_dtypes lacks
        raise ValueError(f"--format=onnx needs tf2onnx ({error}): pip install 'gan-hd[onnx]'") from error
    specs = _specs(generator, count=None)
    function = tf.function(
        lambda *inputs: {"translated": _frozen(generator, generator, *inputs)},
        input_signature=specs,
        autograph=False,
    )
    model, _ = tf2onnx.convert.from_function(function, input_signature=specs, opset=ONNX_OPSET)
    entry = model.metadata_props.add()
    entry.key, entry.value = "metadata.json", json.dumps(metadata)
    return _write(Path(output), model.SerializeToString(), metadata)


def to_litert(generator: Generator, output: str | os.PathLike, *, metadata: dict[str, Any]) -> Path:
    """Writes a LiteRT file: pixels [1, h, w, 3] -> translated; resize the input to the picture's size.

    Raises:
        ValueError: the converter refuses the model.
    """
    body = keras.Model(generator.network.inputs, generator.network.get_layer("rgb").output)

    def predict(pixels: tf.Tensor, context: tf.Tensor | None = None) -> tf.Tensor:
        h = body(pixels if context is None else [pixels, context])
        if not generator.config.identity_start:
            return tf.tanh(h)
        # layers.IdentityStart without atanh, which LiteRT lacks: tanh(atanh(y) + b) = (y + t)/(1 + y·t), t = tanh(b).
        t = tf.tanh(generator.network.get_layer("identity_start").added(h))
        y = 0.97 * tf.clip_by_value(pixels, -1.0, 1.0)
        return (y + t) / (1.0 + y * t)

    function = tf.function(
        lambda *inputs: {"translated": _frozen(generator, predict, *inputs)},
        input_signature=_specs(generator, count=1),
        autograph=False,
    ).get_concrete_function()
    try:
        data = tf.lite.TFLiteConverter.from_concrete_functions([function]).convert()
    except Exception as error:  # the converter raises a class of its own, which is not public
        reason = " ".join(str(error).split())[:300]
        raise ValueError(f"--format=litert: the converter refuses this model: {reason}") from error
    return _write(Path(output), data, metadata)


def _specs(generator: Generator, *, count: int | None) -> list[tf.TensorSpec]:
    """The inputs: pixels and, where the generator takes a context, what it is told of the whole picture."""
    specs = [tf.TensorSpec([count, None, None, 3], tf.float32, name="pixels")]
    if generator.encoder is not None:
        specs += generator.whole_specs(count=1)
    return specs


def _frozen(
    generator: Generator,
    predict: Callable[..., tf.Tensor],
    pixels: tf.Tensor,
    *whole: tf.Tensor,
) -> tf.Tensor:
    """predict(pixels, context) with the weights as constants of the graph it is traced in: converters look there."""
    with tf.init_scope():  # out of the graph, where variables have values
        values = generator.get_weights()
    weights = [(v, tf.constant(value)) for v, value in zip(generator.variables, values, strict=True)]
    with keras.StatelessScope(state_mapping=weights):
        if not whole:
            return predict(pixels)
        return predict(pixels, generator.encode(Whole(*whole)))


def _write(output: Path, data: bytes, metadata: dict[str, Any]) -> Path:
    with whole_file(output) as part:
        part.write_bytes(data)
    with whole_file(output.with_name(f"{output.name}.json")) as part:
        part.write_text(json.dumps(metadata, indent=2) + "\n")
    return output
