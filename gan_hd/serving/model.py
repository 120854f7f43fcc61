"""The SavedModel that is served: its signatures that take files and give files.

In -> out: a list of PNG or JPEG files -> a list of translated files (PNG, or JPEG from the signature ``jpeg``).
"""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from typing import Any

import PIL.Image
import tensorflow as tf
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import saved_model_pb2

from gan_hd.serving.limits import Refused
from gan_hd.serving.protocol import DEFAULT_SIGNATURE, TENSOR
from gan_hd.translator import ModelError, find_model

_WARM_UP_PX = 64


class ServedModel:
    """A SavedModel, loaded.

    Args:
        model: see :func:`gan_hd.translator.find_model`.

    Attributes:
        folder: the SavedModel.
        signatures: all of the model's signatures, in TensorFlow Serving's JSON form.
        served: names of those that take and give ``image_bytes``, the default one first.

    Raises:
        ModelError: no such model, damaged, or without signatures for files.
    """

    def __init__(self, model: str | os.PathLike | None) -> None:
        self.folder = find_model(model)
        try:
            self.signatures = _read_signatures((self.folder / "saved_model.pb").read_bytes())
            self._loaded = tf.saved_model.load(str(self.folder))  # owns the weights
        except (ValueError, OSError, IndexError, tf.errors.OpError) as error:
            reason = " ".join(str(error).split())[:300]
            raise ModelError(f"--model={self.folder} is damaged ({reason}): export it again") from error
        names = [name for name, signature in self.signatures.items() if _takes_files(signature)]
        self.served = sorted(names, key=lambda name: (name != DEFAULT_SIGNATURE, name))
        if self.served[:1] != [DEFAULT_SIGNATURE]:
            raise ModelError(
                f"--model={self.folder} has no signature {DEFAULT_SIGNATURE} that takes {TENSOR}: export it again"
            )

    def run(self, signature: str, files: Sequence[bytes]) -> list[bytes]:
        """Translates files with one call of a signature of `served`.

        Raises:
            Refused: 400, TensorFlow cannot decode one of the files.
            Exception: whatever else TensorFlow raises.
        """
        function = self._loaded.signatures[signature]
        try:
            output = function(**{TENSOR: tf.constant(list(files), tf.string)})[TENSOR]
        except tf.errors.InvalidArgumentError as error:
            if f"{TENSOR}[" not in error.message:  # the model names the element where it is to blame
                raise
            raise Refused(400, "cannot be decoded: it must be a whole JPEG or PNG file") from error
        return list(output.numpy())

    def warm_up(self) -> None:
        """Runs each served signature once: the first call of a graph is slow."""
        file = io.BytesIO()
        PIL.Image.new("RGB", (_WARM_UP_PX, _WARM_UP_PX), (90, 120, 60)).save(file, "PNG")
        for signature in self.served:
            self.run(signature, [file.getvalue()])


def _takes_files(signature: dict[str, Any]) -> bool:
    return all(
        list(signature[side]) == [TENSOR] and signature[side][TENSOR]["dtype"] == "DT_STRING"
        for side in ("inputs", "outputs")
    )


def _read_signatures(saved_model: bytes) -> dict[str, Any]:
    """All signatures of a saved_model.pb, as protobuf's JSON form with the names of the .proto files."""
    saved = saved_model_pb2.SavedModel()
    try:
        saved.ParseFromString(saved_model)
    except Exception as error:  # DecodeError, of one module or another with protobuf's version
        raise ValueError("saved_model.pb cannot be parsed") from error
    return {
        name: {
            "inputs": {key: _tensor(info) for key, info in sorted(definition.inputs.items())},
            "outputs": {key: _tensor(info) for key, info in sorted(definition.outputs.items())},
            "method_name": definition.method_name,
            "defaults": {},
        }
        for name, definition in sorted(saved.meta_graphs[0].signature_def.items())
    }


def _tensor(info: Any) -> dict[str, Any]:
    # 64-bit numbers are strings in protobuf's JSON.
    dims = [{"size": str(dim.size), "name": dim.name} for dim in info.tensor_shape.dim]
    return {
        "dtype": types_pb2.DataType.Name(info.dtype),
        "tensor_shape": {"dim": dims, "unknown_rank": info.tensor_shape.unknown_rank},
        "name": info.name,
    }
