"""What a request may ask for, and how it is refused before it costs anything.

In: the bytes of a picture. Out: its size and format, read from the header; no pixel is decoded.
"""

from __future__ import annotations

import dataclasses
import io
import math

import PIL.Image

# Pillow refuses pictures over 179 MP by default; `Limits.picture_px` does that here.
PIL.Image.MAX_IMAGE_PIXELS = None

#: Pillow's names of the formats that are taken. The model decodes more, but of an animation TensorFlow unpacks every
#: frame: the header's size would be no limit.
FORMATS = ("JPEG", "PNG")
# A progressive JPEG is decoded once per scan: a few kilobytes can hold thousands of scans. Cameras write about ten.
_JPEG_MAX_SCANS = 100
_JPEG_SCAN = b"\xff\xda"


class Refused(Exception):
    """A request that gets no picture: the HTTP status and the one line of the reply.

    Args:
        status: HTTP status.
        message: one line for the client.
        retry_after_sec: when to try again, where that helps.
    """

    def __init__(self, status: int, message: str, *, retry_after_sec: float | None = None) -> None:
        super().__init__(" ".join(message.split()))
        self.status = status
        self.headers = (
            {} if retry_after_sec is None else {"Retry-After": str(max(1, math.ceil(retry_after_sec)))}
        )


@dataclasses.dataclass(frozen=True)
class Limits:
    """What one request may take, and all of them together.

    Attributes:
        body_bytes: of a request's body, >= 1. A picture in JSON is a third larger than its file.
        picture_px: pixels of one picture, and of all pictures computed together, >= 1.
        request_sec: from a request's headers to its reply, > 0.
        queue: pictures accepted and not answered, >= 1.
        batch: most pictures in one call of the model, >= 1.
        batch_wait_sec: how long a picture waits for others to join it, >= 0.
    """

    body_bytes: int = 32 * 2**20
    picture_px: int = 25_000_000
    request_sec: float = 120
    queue: int = 32
    batch: int = 8
    batch_wait_sec: float = 0.005

    def __post_init__(self) -> None:
        for name in ("body_bytes", "picture_px", "queue", "batch"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1. Received: {getattr(self, name)}")
        if self.request_sec <= 0 or self.batch_wait_sec < 0:
            raise ValueError(f"times must be positive. Received: {self.request_sec}, {self.batch_wait_sec}")


@dataclasses.dataclass(frozen=True)
class Picture:
    """A picture that passed the limits: its file's bytes, pixels and Pillow's name of the format."""

    data: bytes
    pixels: int
    format: str


def check_picture(data: bytes, *, max_px: int) -> Picture:
    """Reads the header of a picture.

    Args:
        data: a file.
        max_px: most pixels.

    Raises:
        Refused: 400 for what is no picture, 413 for one that is too large.
    """
    if not data:
        raise Refused(400, "the picture is empty")
    try:
        with PIL.Image.open(io.BytesIO(data), formats=FORMATS) as image:  # lazy: header only
            (width, height), kind = image.size, image.format
    except PIL.UnidentifiedImageError:
        raise Refused(400, f"not a picture: expected {' or '.join(FORMATS)}") from None
    except Exception as error:  # of a damaged header Pillow raises whatever its parser stumbles over
        raise Refused(400, f"damaged picture: {str(error) or type(error).__name__}") from None
    if width * height > max_px:
        raise Refused(413, f"{width}x{height} px, at most {max_px / 1e6:g} megapixels are allowed")
    if kind not in FORMATS:  # MPO: a camera's JPEG with a preview behind it
        kind = "JPEG"
    if kind == "JPEG" and data.count(_JPEG_SCAN) > _JPEG_MAX_SCANS:
        raise Refused(400, f"a JPEG with more than {_JPEG_MAX_SCANS} scans")
    return Picture(data, width * height, kind)
