"""`POST /translate`: which bodies are taken, and whether PNG or JPEG is given.

Reference: RFC 9110, sections 8.3 (Content-Type) and 12.5.1 (Accept).
"""

from __future__ import annotations

from gan_hd.serving.limits import Refused

#: Signature of the model by the format it writes.
SIGNATURES = {"PNG": "serving_default", "JPEG": "jpeg"}
_TYPES = {"PNG": "image/png", "JPEG": "image/jpeg"}


def check_content_type(content_type: str | None) -> None:
    """The body's own header says what it is; of Content-Type only forms and texts are refused.

    Raises:
        Refused: 415.
    """
    kind = (content_type or "image/*").partition(";")[0].strip().lower()
    if not kind.startswith("image/") and kind != "application/octet-stream":
        raise Refused(
            415, f"Content-Type {kind[:80]}: send the bytes of one picture as image/png or image/jpeg"
        )


def choose_output(accept: str | None, *, preferred: str) -> str:
    """The format to answer in, "PNG" or "JPEG".

    Args:
        accept: the request's Accept header; None and ``*/*`` take anything.
        preferred: where several are equally welcome: Pillow's name of the input's format.

    Raises:
        Refused: 406.
    """
    preferred = preferred if preferred in _TYPES else "PNG"
    welcome = {kind: _quality(accept or "*/*", name) for kind, name in _TYPES.items()}
    best = max(welcome, key=lambda kind: (welcome[kind], kind == preferred))
    if welcome[best] <= 0:
        raise Refused(406, f"Accept {(accept or '')[:80]}: image/png and image/jpeg are given")
    return best


def _quality(accept: str, name: str) -> float:
    """How welcome a type is, 0..1: the quality of the most specific range that names it."""
    ranges = ["*/*", "image/*", name]
    found, quality = -1, 0.0
    for part in accept.split(","):
        media, *parameters = (word.strip().lower() for word in part.split(";"))
        if media in ranges and ranges.index(media) > found:
            found, quality = ranges.index(media), 1.0
            for parameter in parameters:
                if parameter.startswith("q="):
                    try:
                        quality = float(parameter[2:])
                    except ValueError:
                        quality = 0.0
    return quality if quality == quality else 0.0  # not a number
