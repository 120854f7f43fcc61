"""Pictures: read any file as RGB, write RGB to a file.

Whatever the file holds (grey, CMYK, palette, 16 bit, alpha, an EXIF orientation, a colour profile, several
frames), :func:`read_rgb` gives upright sRGB uint8 ``[h, w, 3]``: the first frame, alpha flattened on white.
libvips does the work (shrink-on-load, Lanczos3 resampling, colour management); Pillow opens the formats that
the bundled libvips leaves out (BMP and a few others).

In -> out: a path -> an array; an array -> a file that appears whole or not at all.
Reference: libvips, "How `vipsthumbnail` works", https://www.libvips.org/API/current/
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageOps
import pyvips

from gan_hd.files import whole_file

#: What write_rgb can write, by suffix, and libvips' options for it. BMP goes through Pillow.
_SAVE_OPTIONS: dict[str, dict] = {
    ".jpg": {"Q": 95, "subsample_mode": "off"},
    ".jpeg": {"Q": 95, "subsample_mode": "off"},
    ".jpe": {"Q": 95, "subsample_mode": "off"},
    ".png": {},
    ".webp": {"Q": 95},
    ".tif": {"compression": "deflate"},
    ".tiff": {"compression": "deflate"},
    ".bmp": {},
}
_MAX_SIDE_PX = {".jpg": 65500, ".jpeg": 65500, ".jpe": 65500, ".webp": 16383, ".bmp": 65535}

# The operation cache would keep whole decoded pictures alive.
pyvips.cache_set_max(0)
# Pillow refuses pictures over 179 MP by default; size is the caller's business here.
PIL.Image.MAX_IMAGE_PIXELS = None


class PictureError(ValueError):
    """A file that cannot be read as a picture; the message is one line: the path and the reason."""


def read_rgb(path: str | os.PathLike, *, side: str = "long", side_px: int | None = None) -> np.ndarray:
    """Reads a picture file.

    Args:
        path: the file.
        side: "long" or "short", the side that `side_px` speaks of.
        side_px: shrink until that side is `side_px` px, with a Lanczos3 filter; never enlarge. None: full size.

    Returns:
        uint8 [h, w, 3], sRGB, upright.

    Raises:
        PictureError: the file is missing, empty, truncated or no picture.
    """
    try:
        try:
            image = pyvips.Image.new_from_file(os.fspath(path), access="sequential", fail_on="truncated")
        except pyvips.Error:
            image = _open_with_pillow(path)
        orientation = image.get("orientation") if image.get_typeof("orientation") else 1
        size = (image.width, image.height) if orientation < 5 else (image.height, image.width)
        scale = 1.0 if side_px is None else side_px / {"long": max, "short": min}[side](size)
        if scale < 1:
            image = _thumbnail(path, *(max(1, round(length * scale)) for length in size))
        elif orientation > 1:
            image = image.copy_memory().autorot()  # turning by 90° needs random access to the pixels
        return np.ascontiguousarray(_to_srgb(image).numpy())
    except (pyvips.Error, OSError, ValueError, SyntaxError) as error:
        raise PictureError(f"{path}: {_reason(path, error)}") from error


def _open_with_pillow(path: str | os.PathLike) -> pyvips.Image:
    with PIL.Image.open(path) as picture:
        upright = PIL.ImageOps.exif_transpose(picture)
        mode = "RGBA" if upright.has_transparency_data else "RGB"
        return pyvips.Image.new_from_array(np.asarray(upright.convert(mode)))


def _thumbnail(path: str | os.PathLike, width: int, height: int) -> pyvips.Image:
    """The upright picture at exactly width×height px."""
    try:  # from the file: JPEG and WebP shrink while they decode
        return pyvips.Image.thumbnail(
            os.fspath(path), width, height=height, size="force", fail_on="truncated"
        )
    except pyvips.Error:
        return _to_srgb(_open_with_pillow(path)).thumbnail_image(width, height=height, size="force")


def _to_srgb(image: pyvips.Image) -> pyvips.Image:
    """Any band format, colour space and profile -> 8-bit sRGB with three bands."""
    if image.get_typeof("icc-profile-data") != 0 or image.interpretation == "cmyk":
        try:
            # A CMYK picture without a profile gets libvips' own.
            image = image.icc_transform("srgb", embedded=True, input_profile="cmyk")
        except pyvips.Error:
            # A profile that does not fit its picture is common and no reason to lose the picture.
            pass
    if image.interpretation == "multiband":
        image = image.copy(interpretation="srgb" if image.bands >= 3 else "b-w")
    if image.interpretation != "srgb":
        image = image.colourspace("srgb")
    if image.hasalpha():
        image = image.flatten(background=255)
    return image[:3].cast("uchar") if image.bands > 3 else image.cast("uchar")


def _reason(path: str | os.PathLike, error: Exception) -> str:
    """One line that says what is wrong with the file."""
    if not os.path.exists(path):
        return "no such file"
    if os.path.isdir(path):
        return "this is a folder"
    if not os.access(path, os.R_OK):
        return "permission denied"
    if os.path.getsize(path) == 0:
        return "the file is empty"
    if isinstance(error, PIL.UnidentifiedImageError):
        return "this is not a picture, or of a format that is not supported"
    return f"cannot be decoded: {_one_line(error)}"


def _one_line(error: Exception) -> str:
    """libvips reports several lines, some of them twice."""
    return "; ".join(dict.fromkeys(line.strip() for line in str(error).splitlines() if line.strip()))


def write_rgb(path: str | os.PathLike, pixels: np.ndarray) -> None:
    """Writes uint8 [h, w, 3] sRGB; the suffix chooses the format (JPEG and WebP at quality 95).

    The file appears whole or not at all, and missing folders are made.

    Raises:
        ValueError: for a suffix that cannot be written.
        OSError: where the disk refuses (full, read-only).
    """
    path = Path(path)
    check_writable(path, *pixels.shape[:2])
    options = _SAVE_OPTIONS[path.suffix.lower()]
    with whole_file(path) as part:
        if path.suffix.lower() == ".bmp":
            PIL.Image.fromarray(pixels).save(part)
            return
        try:
            pyvips.Image.new_from_array(pixels, interpretation="srgb").write_to_file(str(part), **options)
        except pyvips.Error as error:
            raise OSError(f"{path} could not be written: {_one_line(error)}") from error


def check_writable(path: str | os.PathLike, height: int, width: int) -> None:
    """Raises ValueError where the format that `path` ends in cannot hold a picture of this size."""
    suffix = Path(path).suffix.lower()
    if suffix not in _SAVE_OPTIONS:
        raise ValueError(f"pictures are written as {' '.join(_SAVE_OPTIONS)}. Received: {Path(path).name}")
    if max(height, width) > _MAX_SIDE_PX.get(suffix, 2**31 - 1):
        raise ValueError(
            f"{path}: a {suffix} file holds at most {_MAX_SIDE_PX[suffix]} px a side, this picture has "
            f"{width}x{height}: name a .png or .tif in --output"
        )


def enlarge_to_cover(pixels: np.ndarray, side_px: int) -> np.ndarray:
    """Enlarges uint8 [h, w, 3] (bicubic, aspect kept) until both sides are at least `side_px` px.

    A picture so narrow that this would need more than 64 times its pixels is mirrored instead.
    """
    height, width = pixels.shape[:2]
    scale = side_px / min(height, width)
    if scale <= 1:
        return pixels
    if scale > 8:
        rows, cols = (max(0, side_px - length) for length in (height, width))
        return np.pad(pixels, ((0, rows), (0, cols), (0, 0)), mode="symmetric")
    size = (max(side_px, round(width * scale)), max(side_px, round(height * scale)))
    return np.asarray(PIL.Image.fromarray(pixels).resize(size, PIL.Image.Resampling.BICUBIC))
