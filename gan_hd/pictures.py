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
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageOps
import pyvips

from gan_hd import formats

# The operation cache would keep whole decoded pictures alive.
pyvips.cache_set_max(0)
# Pillow refuses pictures over 179 MP by default; size is the caller's business here.
PIL.Image.MAX_IMAGE_PIXELS = None


# Where the flags of a WebP file's header are, and the one for transparency.
_WEBP_FLAGS, _WEBP_ALPHA = 20, 0x10


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
    with errors_named(path):
        image = open_sequential(path)
        orientation = image.get("orientation") if image.get_typeof("orientation") else 1
        size = (image.width, image.height) if orientation < 5 else (image.height, image.width)
        scale = 1.0 if side_px is None else side_px / {"long": max, "short": min}[side](size)
        if scale < 1:
            image = _thumbnail(path, *(max(1, round(length * scale)) for length in size))
        elif orientation > 1:
            image = image.copy_memory().autorot()  # turning by 90° needs random access to the pixels
        return np.ascontiguousarray(_to_srgb(image).numpy())


@contextmanager
def errors_named(
    path: str | os.PathLike,
    *,
    only: type[Exception] | tuple[type[Exception], ...] = (pyvips.Error, OSError, ValueError, SyntaxError),
) -> Iterator[None]:
    """Turns whatever goes wrong while `path` is read, or what is named, into a PictureError that names it."""
    try:
        yield
    except PictureError:
        raise
    except only as error:
        if "No space left" in str(error):
            raise OSError(f"{path}: the disk is full: {one_line(error)}") from error
        raise PictureError(f"{path}: {_reason(path, error)}") from error


def open_sequential(path: str | os.PathLike) -> pyvips.Image:
    """Opens a file as a libvips picture as it is stored, to be read once from top to bottom.

    Raises:
        pyvips.Error, OSError, ValueError, SyntaxError: see :func:`errors_named`; some only when pixels are read.
    """
    options = {"access": "sequential", "fail_on": "truncated"}
    try:
        image = pyvips.Image.new_from_source(_source(path), "", **options)
    except pyvips.Error:
        return _open_with_pillow(path)
    if image.get("vips-loader").startswith("uhdrload"):  # which leaves out XMP and IPTC
        # By its name, as pyvips keeps a source alive for new_from_source alone; phones make these, none is huge.
        image = pyvips.Image.jpegload(os.fspath(path), **options)
    if image.get("vips-loader").startswith("tiffload"):
        _check_strips(path)
    if image.get("vips-loader").startswith("webpload") and image.bands == 3:
        data = Path(path).read_bytes()
        if _hides_alpha(data):
            flags = bytes([data[_WEBP_FLAGS] | _WEBP_ALPHA])
            data = data[:_WEBP_FLAGS] + flags + data[_WEBP_FLAGS + 1 :]
            image = pyvips.Image.new_from_buffer(data, "", **options)
    return image


def _hides_alpha(data: bytes) -> bool:
    """True for a lossless WebP file with transparency that its header does not own up to.

    exiftool 12 makes them of files without a header, and most viewers show their transparency.
    """
    if data[12:16] != b"VP8X" or data[_WEBP_FLAGS] & _WEBP_ALPHA:
        return False
    at = 12
    while at + 13 <= len(data):  # chunks: name, size, content, padded to an even length
        if data[at : at + 4] == b"VP8L":  # a signature byte, 14 bits of width − 1, 14 of height − 1, alpha
            return bool(data[at + 12] & 0x10)
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        at += 8 + size + size % 2
    return False


def _check_strips(path: str | os.PathLike) -> None:
    """Raises ValueError for a TIFF that ends before its pixels do, which libvips takes for black ones."""
    try:
        with PIL.Image.open(path) as picture:
            tags = getattr(picture, "tag_v2", {})
            parts = [(tags.get(a, ()), tags.get(b, ())) for a, b in ((273, 279), (324, 325))]  # strips, tiles
    except (OSError, ValueError, SyntaxError, PIL.UnidentifiedImageError):
        return  # of a kind that Pillow does not know
    ends = [offset + size for offsets, sizes in parts for offset, size in zip(offsets, sizes, strict=False)]
    if max(ends, default=0) > os.path.getsize(path):
        raise ValueError("the file is truncated")


class _File:
    """A file's bytes as libvips asks for them; left to itself, libvips would map all of the file into memory."""

    def __init__(self, path: str | os.PathLike) -> None:
        if os.path.isdir(path):  # which opens, but cannot be read
            raise IsADirectoryError(path)
        self._file = os.open(path, os.O_RDONLY)

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            os.close(self._file)

    def read(self, size: int) -> bytes:
        return os.read(self._file, size)

    def seek(self, offset: int, whence: int) -> int:
        return os.lseek(self._file, offset, whence)


def _source(path: str | os.PathLike) -> pyvips.SourceCustom:
    file, source = _File(path), pyvips.SourceCustom()
    source.on_read(file.read)  # the source owns the file
    source.on_seek(file.seek)
    return source


def _open_with_pillow(path: str | os.PathLike) -> pyvips.Image:
    with PIL.Image.open(path) as picture:
        upright = PIL.ImageOps.exif_transpose(picture)
        if upright.mode.startswith("I"):  # 16-bit grey, which Pillow would cut off at 255
            grey = np.asarray(upright).clip(0, 65535).astype(np.uint16)
            return pyvips.Image.new_from_array(grey, interpretation="grey16")
        mode = "RGBA" if upright.has_transparency_data else "RGB"
        image = pyvips.Image.new_from_array(np.asarray(upright.convert(mode)))
        if upright.mode == mode and picture.info.get("icc_profile"):
            image = image.copy()
            image.set_type(pyvips.GValue.blob_type, "icc-profile-data", picture.info["icc_profile"])
        xres, yres = (dpi / 25.4 for dpi in picture.info.get("dpi", (25.4, 25.4)))
        return image.copy(xres=xres, yres=yres)


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
    return f"cannot be decoded: {one_line(error)}"


def one_line(error: Exception) -> str:
    """An error's text; libvips reports several lines, some of them twice."""
    return "; ".join(dict.fromkeys(line.strip() for line in str(error).splitlines() if line.strip()))


def write_rgb(path: str | os.PathLike, pixels: np.ndarray) -> None:
    """Writes uint8 [h, w, 3] sRGB; the suffix chooses the format (gan_hd.formats has what each can hold).

    The file appears whole or not at all, and missing folders are made.

    Raises:
        ValueError: for a suffix that cannot be written, or a picture too large for it.
        OSError: where the disk refuses (full, read-only).
    """
    formats.check(path, *pixels.shape[:2])
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix=f".{path.stem}.", dir=path.parent) as work_dir:
            image = pyvips.Image.new_from_array(pixels, interpretation="srgb")
            formats.save(image, path, work_dir=work_dir)
    except pyvips.Error as error:
        raise OSError(f"{path} could not be written: {one_line(error)}") from error


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
