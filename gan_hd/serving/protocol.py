"""TensorFlow Serving's REST protocol: JSON bodies <-> pictures.

In: ``{"instances": [{"b64": …}]}``, ``{"instances": [{"image_bytes": {"b64": …}}]}`` (rows), or
``{"inputs": {"image_bytes": [{"b64": …}]}}``, ``{"inputs": [{"b64": …}]}`` (columns), each with an optional
``signature_name``. Out: ``{"predictions": [{"b64": …}]}`` or ``{"outputs": [{"b64": …}]}``.
Reference: https://www.tensorflow.org/tfx/serving/api_rest
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import json
from collections.abc import Collection, Sequence
from typing import Any

from gan_hd.serving.limits import Refused

#: Name of the tensor that holds files, of every signature that is served.
TENSOR = "image_bytes"
DEFAULT_SIGNATURE = "serving_default"
#: The one version of the model that is served.
VERSION = "1"
# Base64 has none of these, so an honest body has a handful per picture. Millions of them would become gigabytes of
# Python objects.
_STRUCTURE = b"[{,"
_STRUCTURE_PER_PICTURE, _STRUCTURE_MORE = 8, 64


@dataclasses.dataclass(frozen=True)
class Predict:
    """A request for predictions: files, what to call each in an error, and how to answer.

    Attributes:
        signature: of the model.
        columns: answer in columns, as asked.
        files: at least one.
        names: of each file, ``instances[0]`` for instance.
    """

    signature: str
    columns: bool
    files: tuple[bytes, ...]
    names: tuple[str, ...]


def parse_predict(body: bytes, *, signatures: Collection[str], max_pictures: int) -> Predict:
    """Reads the body of a `:predict` request.

    Args:
        body: JSON.
        signatures: those the model serves.
        max_pictures: most files in one request.

    Raises:
        Refused: 400 with the element that is wrong.
    """
    if sum(body.count(char) for char in _STRUCTURE) > _STRUCTURE_PER_PICTURE * max_pictures + _STRUCTURE_MORE:
        raise Refused(
            400, f"more JSON than {max_pictures} pictures need; at most so many are allowed at once"
        )
    try:
        request = json.loads(body)
    except RecursionError:
        raise Refused(400, "JSON parse error: too deep") from None
    except ValueError as error:  # JSONDecodeError, UnicodeDecodeError, an integer of too many digits
        raise Refused(400, f"JSON parse error: {str(error)[:200]}") from None
    if not isinstance(request, dict):
        raise Refused(400, f"expected a JSON object. Received: {_kind(request)}")
    unknown = request.keys() - {"instances", "inputs", "signature_name"}
    if unknown:
        raise Refused(400, f"unknown key {_short(sorted(unknown)[0])}: expected instances or inputs")
    signature = request.get("signature_name", "")
    if signature == "":
        signature = DEFAULT_SIGNATURE
    if not isinstance(signature, str) or signature not in signatures:
        raise Refused(
            400,
            f"signature_name {_short(signature)} is not served: expected one of {', '.join(signatures)}, which "
            f"take {TENSOR}",
        )
    if ("instances" in request) == ("inputs" in request):
        raise Refused(400, "expected either instances (rows) or inputs (columns)")
    columns = "inputs" in request
    path, elements = ("inputs", request["inputs"]) if columns else ("instances", request["instances"])
    if columns and isinstance(elements, dict):
        path, elements = _only_tensor(path, elements)
    if not isinstance(elements, list) or not elements:
        raise Refused(400, f"{path}: expected a list of pictures. Received: {_kind(elements)}")
    if len(elements) > max_pictures:
        raise Refused(400, f"{path}: {len(elements)} pictures, at most {max_pictures} are allowed at once")
    names = tuple(f"{path}[{number}]" for number in range(len(elements)))
    files = []
    for name, element in zip(names, elements, strict=True):
        if not columns and isinstance(element, dict) and "b64" not in element:
            name, element = _only_tensor(name, element)
        files.append(_file(name, element))
    return Predict(signature, columns, tuple(files), names)


def format_predictions(request: Predict, files: Sequence[bytes]) -> bytes:
    """The reply's body: the files, one for each of the request's, in the form it used."""
    values = [{"b64": base64.b64encode(file).decode()} for file in files]
    return json.dumps({"outputs" if request.columns else "predictions": values}).encode()


def format_status() -> dict[str, Any]:
    """The reply to ``GET /v1/models/NAME``."""
    status = {"error_code": "OK", "error_message": ""}
    return {"model_version_status": [{"version": VERSION, "state": "AVAILABLE", "status": status}]}


def format_metadata(name: str, signatures: dict[str, Any]) -> dict[str, Any]:
    """The reply to ``GET /v1/models/NAME/metadata``; `signatures` as :func:`gan_hd.serving.model` reads them."""
    return {
        "model_spec": {"name": name, "signature_name": "", "version": VERSION},
        "metadata": {"signature_def": {"signature_def": signatures}},
    }


def _only_tensor(path: str, value: dict) -> tuple[str, Any]:
    if value.keys() != {TENSOR}:
        raise Refused(400, f'{path}: expected {{"{TENSOR}": …}}. Received keys: {_short(list(value))}')
    return f"{path}.{TENSOR}", value[TENSOR]


def _file(name: str, element: Any) -> bytes:
    if not isinstance(element, dict) or element.keys() != {"b64"} or not isinstance(element["b64"], str):
        raise Refused(400, f'{name}: expected {{"b64": "…"}}. Received: {_kind(element)}')
    try:
        return base64.b64decode(element["b64"], validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refused(400, f"{name}: not base64: {error}") from None


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    return "an empty list" if value == [] else names.get(type(value), "a number")


def _short(value: Any) -> str:
    return json.dumps(value)[:80]
