"""Warm-up requests for TensorFlow Serving: it runs them while it loads a model, so that no client waits for it.

In: pictures. Out: ``assets.extra/tf_serving_warmup_requests`` in the SavedModel's folder, a TFRecord of PredictionLog
messages. Their .proto files are not part of TensorFlow, so the few fields are encoded here.
Reference: https://www.tensorflow.org/tfx/serving/saved_model_warmup; prediction_log.proto, predict.proto and
model.proto of TensorFlow Serving; https://protobuf.dev/programming-guides/encoding
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import tensorflow as tf

from gan_hd.serving.protocol import TENSOR

_RECORDS = Path("assets.extra") / "tf_serving_warmup_requests"


def write_warm_up(
    folder: str | os.PathLike,
    requests: Iterable[tuple[str, Sequence[bytes]]],
    *,
    model_name: str,
    version: int = 1,
) -> Path:
    """Writes the warm-up requests of a model.

    Args:
        folder: the SavedModel.
        requests: signature and files of each.
        model_name: under which it is served.
        version: of the model.

    Returns:
        The file written.
    """
    path = Path(folder) / _RECORDS
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature, files in requests:
            writer.write(prediction_log(signature, files, model_name=model_name, version=version))
    return path


def prediction_log(signature: str, files: Sequence[bytes], *, model_name: str, version: int = 1) -> bytes:
    """A PredictionLog message that asks for the translation of files."""
    # The numbers are the fields' of the .proto files.
    number = _field(2, _varint(1 << 3) + _varint(version))  # google.protobuf.Int64Value
    spec = _field(1, model_name.encode()) + number + _field(3, signature.encode())
    tensor = tf.make_tensor_proto(list(files), tf.string).SerializeToString()
    entry = _field(1, TENSOR.encode()) + _field(2, tensor)  # of the map `inputs`
    request = _field(1, spec) + _field(2, entry)
    return _field(6, _field(1, request))  # PredictionLog.predict_log.request


def _field(number: int, payload: bytes) -> bytes:
    """A field of wire type 2: a length, and so many bytes."""
    return _varint(number << 3 | 2) + _varint(len(payload)) + payload


def _varint(value: int) -> bytes:
    """Seven bits per byte, the lowest first; the top bit says that more follow."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
