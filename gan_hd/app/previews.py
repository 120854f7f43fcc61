"""Any picture as a JPEG that browsers show: upright, sRGB, 8 bits, alpha on white.

At full size up to what browsers can bear, smaller beyond. A photo and its painting have the same size, and so have
their previews.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import PIL.Image
import pyvips

from gan_hd import pictures
from gan_hd.pictures import PictureError

#: Larger pictures are shown smaller: a browser needs 4 bytes for each pixel of both, and refuses long sides.
SHOWN_MP, SHOWN_SIDE_PX = 24, 16384


@dataclass(frozen=True)
class Preview:
    """A picture as it is shown.

    Attributes:
        path: a JPEG.
        width, height: of the picture itself, upright, px.
        factor: the preview's size against the picture's, at most 1.
    """

    path: Path
    width: int
    height: int
    factor: float

    @property
    def megapixels(self) -> float:
        return self.width * self.height / 1e6


def make_preview(picture: Path, target: Path, *, max_mp: float = math.inf) -> Preview:
    """Writes the preview of a picture file to `target`, a .jpg.

    Raises:
        PictureError: it has more than `max_mp` megapixels, which its header tells, or it cannot be read.
        OSError: the disk refuses.
    """
    width, height = size_px(picture)
    if width * height > max_mp * 1e6:
        raise PictureError(
            f"{picture.name} has {width}x{height} px, {width * height / 1e6:.3g} megapixels; "
            f"this page takes at most {max_mp:.12g} (--max_mp)"
        )
    factor = min(1.0, math.sqrt(SHOWN_MP * 1e6 / (width * height)), SHOWN_SIDE_PX / max(width, height))
    long_px = max(1, math.floor(factor * max(width, height)))
    rgb = pictures.read_rgb(picture, side_px=long_px if factor < 1 else None)
    pictures.write_rgb(target, rgb)
    return Preview(target, width, height, factor)


def size_px(picture: Path) -> tuple[int, int]:
    """Width and height, upright, as the file's header has them.

    Raises:
        PictureError: it is no picture.
    """
    with pictures.errors_named(picture):
        try:  # as a source, since libvips takes [...] in a file's name for options
            source = pyvips.Source.new_from_file(str(picture))
            header = pyvips.Image.new_from_source(source, "", access="sequential").autorot()
            return header.width, header.height
        except pyvips.Error:
            with PIL.Image.open(picture) as unread:
                return unread.size
