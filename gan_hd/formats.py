"""Output formats: what each can hold, and how libvips is asked to write it.

A format is chosen by the file's suffix. :func:`save` adapts the picture to it (8 bits, no alpha, no CMYK where the
format has none) and writes in bands of rows; metadata and the ICC profile that the picture carries go along.

    jpg   8 bit, RGB CMYK             png   8 and 16 bit, alpha          webp  8 bit, alpha
    tif   all, BigTIFF beyond 4 GB    avif  8 and 12 bit, alpha          bmp   8 bit, in memory
    dzi   DeepZoom: NAME.dzi and a folder NAME_files of JPEG tiles, for viewers such as OpenSeadragon

In -> out: a libvips picture -> a file (or, for dzi, a file and a folder) that replaces an older one.
"""

from __future__ import annotations

import os
import shutil
import struct
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import PIL.Image
import pyvips

from gan_hd import tiff_exif


@dataclass(frozen=True)
class Format:
    """What a file of one kind can hold.

    Attributes:
        suffixes: the first is what `--format` appends.
        quality: default of the lossy coder, 1..100; None where there is none.
        compressions: what `compression` may be; the first is the default.
        max_side_px, max_px: largest width and height, and their largest product.
        deep: holds 16 bits per channel (avif: the upper 12).
        alpha, cmyk, profile: holds alpha, CMYK, an ICC profile.
        metadata: what it holds of EXIF, XMP and IPTC; resolution apart.
    """

    suffixes: tuple[str, ...]
    quality: int | None = None
    compressions: tuple[str, ...] = ()
    max_side_px: int = 2**31 - 1
    max_px: int = 2**62
    deep: bool = False
    alpha: bool = False
    cmyk: bool = False
    profile: bool = True
    metadata: tuple[str, ...] = ("EXIF", "XMP")


#: Name of a picture's field: bits per channel of the HEIF or AVIF file it comes from.
HEIF_BITS = "gan-hd-heif-bits"
_JPEG_SEGMENT = 60_000  # what libvips puts into one
_ALL = ("EXIF", "XMP", "IPTC")
_IPTC_RESOURCE = b"8BIM\x04\x04\0\0"  # Photoshop's name for IPTC records
FORMATS = {
    "jpg": Format((".jpg", ".jpeg", ".jpe"), quality=95, max_side_px=65500, cmyk=True, metadata=_ALL),
    "png": Format((".png",), compressions=tuple("6012345789"), deep=True, alpha=True),
    "webp": Format((".webp",), quality=95, compressions=("lossy", "lossless"), max_side_px=16383, alpha=True),
    "tif": Format(
        (".tif", ".tiff"),
        quality=95,
        compressions=("deflate", "none", "lzw", "jpeg"),
        deep=True,
        alpha=True,
        cmyk=True,
        metadata=_ALL,
    ),
    "avif": Format(
        (".avif",), quality=90, compressions=("lossy", "lossless"), max_side_px=16384, deep=True, alpha=True
    ),
    "bmp": Format((".bmp",), max_side_px=65535, max_px=1_400_000_000, profile=False, metadata=()),
    "dzi": Format((".dzi",), quality=90, metadata=()),
}
SUFFIXES = frozenset(suffix for form in FORMATS.values() for suffix in form.suffixes)


@dataclass(frozen=True)
class SaveOptions:
    """How to write.

    Attributes:
        quality: of lossy coders, 1..100; None takes the format's default.
        compression: one of the format's `compressions`; None takes the first.
        pyramid: TIFF with tiles and smaller copies, for viewers of huge pictures.
    """

    quality: int | None = None
    compression: str | None = None
    pyramid: bool = False


def name_of(path: str | os.PathLike) -> str:
    """The key in FORMATS for a file name.

    Raises:
        ValueError: where no format has its suffix.
    """
    suffix = Path(path).suffix.lower()
    for name, form in FORMATS.items():
        if suffix in form.suffixes:
            return name
    raise ValueError(f"pictures are written as {' '.join(sorted(SUFFIXES))}. Received: {Path(path).name}")


def check(path: str | os.PathLike, height: int, width: int, options: SaveOptions | None = None) -> None:
    """Raises ValueError where the format that `path` ends in cannot hold this picture, or has no such option."""
    name = name_of(path)
    form, options = FORMATS[name], options or SaveOptions()
    if max(height, width) > form.max_side_px or height * width > form.max_px:
        most = f"{form.max_side_px} px a side" if form.max_px >= 2**62 else f"{form.max_px / 1e9} gigapixels"
        raise ValueError(
            f"{path}: a {name} file holds at most {most}, this picture has {width}x{height}: "
            "take --format=png or --format=tif"
        )
    if options.compression is not None and options.compression not in form.compressions:
        known = ", ".join(sorted(form.compressions)) or "none to choose"
        raise ValueError(f"--compression={options.compression}: {name} has {known}")
    if options.quality is not None:
        if not 1 <= options.quality <= 100:
            raise ValueError(f"--quality must be 1..100. Received: {options.quality}")
        compression = options.compression or (form.compressions or ("lossy",))[0]
        if form.quality is None or compression not in ("lossy", "jpeg"):
            lossy = (
                ""
                if form.quality is None
                else "; --compression=" + ("jpeg" if name == "tif" else "lossy") + " is not"
            )
            raise ValueError(f"--quality={options.quality}: {name} is lossless{lossy}")
    if options.pyramid and name != "tif":
        raise ValueError(f"--pyramid is for tif files (--format=tif). Received: {name}")


def fitting(path: str | os.PathLike, options: SaveOptions) -> SaveOptions:
    """The options that the format of `path` has; the others at their defaults."""
    name = name_of(path)
    form = FORMATS[name]
    return SaveOptions(
        quality=options.quality if form.quality is not None else None,
        compression=options.compression if options.compression in form.compressions else None,
        pyramid=options.pyramid and name == "tif",
    )


def exists(path: Path) -> bool:
    """True where writing to `path` would replace something."""
    return path.exists() or (name_of(path) == "dzi" and _tiles_of(path).exists())


def save(
    image: pyvips.Image,
    path: str | os.PathLike,
    options: SaveOptions | None = None,
    *,
    work_dir: str | os.PathLike,
    done: Callable[[float], object] = lambda pixels: None,
) -> list[str]:
    """Writes a picture; it appears whole or not at all.

    Args:
        image: uchar or ushort; RGB or CMYK, with or without alpha.
        path: where to; its folder is made where it is missing.
        options: see SaveOptions.
        work_dir: folder on the same file system in which the file grows.
        done: is told how many pixels more are written.

    Returns:
        What the format could not hold, in words.

    Raises:
        ValueError: see :func:`check`.
        OSError: where the disk refuses (full, read-only).
    """
    path, options, name = Path(path), options or SaveOptions(), name_of(path)
    check(path, image.height, image.width, options)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = Path(work_dir) / f"whole{path.suffix.lower()}"
    image, notes = _adapted(image, name, options)
    pixels, told = image.width * image.height, 0.0

    def tell(_: pyvips.Image, progress: Any) -> None:
        nonlocal told
        now = max(told, pixels * progress.percent / 100)
        done(now - told)
        told = now

    image.set_progress(True)
    image.signal_connect("eval", tell)
    try:
        with ThreadPoolExecutor(1) as writing:  # in a thread, so that Ctrl-C is heard
            try:
                writing.submit(_write, image, part, name, options).result()
            except KeyboardInterrupt:
                image.set_kill(True)
                raise
        if name == "dzi":
            shutil.rmtree(_tiles_of(path), ignore_errors=True)
            os.rename(_tiles_of(part), _tiles_of(path))
        os.replace(part, path)
    except pyvips.Error as error:
        reason = "; ".join(dict.fromkeys(line.strip() for line in str(error).splitlines() if line.strip()))
        raise OSError(f"{path} could not be written: {reason}") from error
    finally:
        part.unlink(missing_ok=True)
        shutil.rmtree(_tiles_of(part), ignore_errors=True)
    done(pixels - told)
    return notes


def _write(image: pyvips.Image, path: Path, name: str, options: SaveOptions) -> None:
    if name == "dzi":
        quality = options.quality or FORMATS[name].quality
        image.dzsave(str(path.with_suffix("")), suffix=f".jpg[Q={quality}]", keep="icc")
        (_tiles_of(path) / "vips-properties.xml").unlink(missing_ok=True)  # EXIF among other things
    elif name == "bmp":
        dpi = (image.xres * 25.4, image.yres * 25.4)
        PIL.Image.fromarray(image.numpy()).save(path, dpi=dpi)
    elif name == "tif":
        tags: tiff_exif.Directory = {}
        if image.get_typeof("exif-data"):
            tags = tiff_exif.directory(image.get("exif-data"), image.width, image.height)
        if image.get_typeof("iptc-data"):
            records = image.get("iptc-data")
            tags[tiff_exif.IPTC] = 7, len(records), records
            image.remove("iptc-data")  # libvips would write a quarter of it
        image.write_to_file(str(path), **_vips_options(name, image, options))
        if tags:
            tiff_exif.add(path, tags)
    else:
        image.write_to_file(str(path), **_vips_options(name, image, options))


def _tiles_of(path: Path) -> Path:
    return path.with_name(f"{path.stem}_files")


def _adapted(image: pyvips.Image, name: str, options: SaveOptions) -> tuple[pyvips.Image, list[str]]:
    """What of the picture the format can hold, and what it cannot, in words."""
    form, notes = FORMATS[name], []
    if name == "tif" and options.compression == "jpeg":
        form = replace(form, deep=False, alpha=False)
    image, depth = image.copy(), 16 if image.format == "ushort" else 8
    cmyk = image.interpretation == "cmyk"
    if (cmyk and not form.cmyk) or (image.get_typeof("icc-profile-data") and not form.profile):
        colours = 4 if cmyk else 3
        alpha = image[colours] if image.bands > colours else None
        image = image.extract_band(0, n=colours).icc_transform(
            "srgb", embedded=True, input_profile="cmyk" if cmyk else "srgb", intent="relative", depth=depth
        )
        image = image if alpha is None else image.bandjoin(alpha)
        notes.append("its colours become sRGB")
        cmyk = False
    if image.bands > (4 if cmyk else 3) and not form.alpha:
        image = image.flatten(background=0 if cmyk else 2**depth - 1)
        notes.append("transparent parts are laid on white")
    if depth == 16 and not form.deep:
        image = (image / 257).rint().cast("uchar")
    if depth == 16 and not form.deep:
        notes.append("16 bits per channel become 8")
    elif depth == 16 and name == "avif" and not _heif_bits(image):
        notes.append("16 bits per channel become 12")
    image = image.copy(interpretation="cmyk" if cmyk else {"uchar": "srgb", "ushort": "rgb16"}[image.format])
    for field, kind in {"exif-data": "EXIF", "xmp-data": "XMP", "iptc-data": "IPTC"}.items():
        if image.get_typeof(field) and kind not in form.metadata:
            notes.append(f"a {name} file holds no {kind}")
        elif image.get_typeof(field) and name == "jpg" and len(image.get(field)) > _JPEG_SEGMENT:
            notes.append(f"a jpg file holds at most {_JPEG_SEGMENT} bytes of {kind}: it is left out")
            image.remove(field)
    if name == "tif" and image.get_typeof("exif-data"):
        try:
            tiff_exif.directory(image.get("exif-data"), image.width, image.height)
        except ValueError:
            image.remove("exif-data")
            notes.append("its EXIF is damaged and left out")
    if name == "jpg" and image.get_typeof("iptc-data"):
        records = image.get("iptc-data")
        resource = _IPTC_RESOURCE + struct.pack(">I", len(records)) + records + bytes(len(records) % 2)
        image.set_type(pyvips.GValue.blob_type, "iptc-data", b"Photoshop 3.0\0" + resource)
    return image, notes


def _heif_bits(image: pyvips.Image) -> int | None:
    """10 or 12, where the picture comes from a HEIF or AVIF file of that depth."""
    bits = image.get(HEIF_BITS) if image.get_typeof(HEIF_BITS) else None
    return bits if bits in (10, 12) else None


def _vips_options(name: str, image: pyvips.Image, options: SaveOptions) -> dict:
    form = FORMATS[name]
    quality = options.quality or form.quality or 0
    compression = options.compression or (form.compressions or ("",))[0]
    if name == "jpg":
        return {"Q": quality, "subsample_mode": "off"}
    if name == "png":
        return {"compression": int(compression)}
    if name == "webp":
        # "exact": pixels keep their colour where they are transparent.
        return {"Q": quality, "lossless": compression == "lossless", "exact": True}
    if name == "avif":
        lossless = compression == "lossless"
        depth = (_heif_bits(image) or 12) if image.format == "ushort" else 8
        subsample = "off" if lossless or quality >= 90 else "auto"
        return {
            "Q": quality,
            "lossless": lossless,
            "bitdepth": depth,
            "subsample_mode": subsample,
            "effort": 1,
        }
    size = image.width * image.height * image.bands * (2 if image.format == "ushort" else 1)
    lossless = compression in ("deflate", "lzw")
    return {
        "compression": compression,
        "Q": quality,
        "predictor": "horizontal" if lossless else "none",
        "bigtiff": size > 2e9 or options.pyramid,
        "tile": options.pyramid,
        "pyramid": options.pyramid,
        # Strips of a few rows; tiles of the size viewers expect.
        "tile_width": 256,
        "tile_height": 256 if options.pyramid else 128,
    }


def iptc_records(image: pyvips.Image) -> bytes | None:
    """The IPTC records that a picture read by libvips carries. In JPEG and TIFF they may be one of Photoshop's
    resources; the others (a thumbnail, settings) are left out.
    """
    blobs = [image.get(field) for field in ("photoshop-data", "iptc-data") if image.get_typeof(field)]
    for blob in blobs:
        head, found, rest = blob.partition(_IPTC_RESOURCE)
        if found:
            return rest[4 : 4 + int.from_bytes(rest[:4], "big")]
    return next((blob for blob in blobs if blob.startswith(b"\x1c")), None)
