"""EXIF of TIFF files, which libvips neither reads nor writes.

An EXIF block is itself a small TIFF file; its directories are unpacked, and packed again elsewhere. Maker notes that
count bytes from the start of the file do not survive the move.

In -> out: a TIFF file -> the block as a JPEG file would hold it; a block -> tags added to a TIFF file.
Reference: TIFF 6.0, section 2; CIPA DC-008 (Exif), section 4.
"""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Container
from pathlib import Path
from typing import Any, BinaryIO

#: Of a TIFF file's first directory: description, make, model, software, date, artist, computer, ratings, copyright,
#: EXIF, GPS, and the descriptions that Windows makes. The rest says how the pixels are stored.
_TIFF_EXIF = frozenset(
    (270, 271, 272, 305, 306, 315, 316, 18246, 18249, 33432, 34665, 34853, *range(40091, 40096))
)
_EXIF, _GPS, _INTEROPERABILITY, _EXIF_WIDTH, _EXIF_HEIGHT = 34665, 34853, 40965, 40962, 40963
#: The tag of IPTC records, which libvips cuts off.
IPTC = 33723
#: Directories within directories, by level.
_SUB_DIRECTORIES: tuple[tuple[int, ...], ...] = ((_EXIF, _GPS), (_INTEROPERABILITY,), ())
#: Bytes of a value by its type's number, and the types that consist of two numbers; 0 is no type.
_BYTES, _FRACTIONS = (0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8, 8, 8), (5, 10)
#: Of a classic TIFF and of a BigTIFF, as struct calls them: a directory's length, an offset; and the offset's type.
_LAYOUT = {42: ("H", "I", 4), 43: ("Q", "Q", 16)}

Directory = dict[int, Any]  # tag -> (type, number of values, little-endian bytes), or another directory


def read(path: str | os.PathLike) -> bytes | None:
    """The EXIF block of a TIFF file, as a JPEG file would hold it; None where there is none.

    Raises:
        ValueError: where it is damaged.
    """
    with open(path, "rb") as file:
        directory, _ = _unpacked(file, only=_TIFF_EXIF)
    return b"Exif\0\0II*\0\x08\0\0\0" + _packed(directory, 8) if directory else None


def directory(block: bytes, width: int, height: int) -> Directory:
    """The tags of an EXIF block that describe a picture, for one of width×height px.

    Raises:
        ValueError: where the block is damaged.
    """
    found, _ = _unpacked(io.BytesIO(block.removeprefix(b"Exif\0\0")), only=_TIFF_EXIF)
    if _EXIF in found:
        sides = ((_EXIF_WIDTH, width), (_EXIF_HEIGHT, height))
        found[_EXIF] |= {tag: (4, 1, struct.pack("<I", side)) for tag, side in sides}
    return found


def add(path: Path, tags: Directory) -> None:
    """Adds tags to a TIFF file that libvips has written: a new first directory at its end."""
    with open(path, "r+b") as file:
        directory, following = _unpacked(file)
        file.seek(2)
        version = struct.unpack("<H", file.read(2))[0]
        file.write(bytes(-file.seek(0, os.SEEK_END) % 8))
        at = file.tell()
        file.write(_packed(tags | directory, at, following=following, version=version))
        file.seek(4 if version == 42 else 8)
        file.write(struct.pack("<" + _LAYOUT[version][1], at))


def _unpacked(file: BinaryIO, *, only: Container[int] | None = None) -> tuple[Directory, int]:
    """The first directory of a TIFF file, and the offset of the next one.

    Raises:
        ValueError: where the file is no TIFF, or ends too early.
    """
    order, version = {b"II": "<", b"MM": ">"}.get(file.read(2), "<"), 0

    def take(form: str, at: int | None = None) -> tuple:
        if at is not None:
            file.seek(at)
        return struct.unpack(order + form, file.read(struct.calcsize(order + form)))

    def unpack(at: int, level: int) -> tuple[Directory, int]:
        length, offset, _ = _LAYOUT[version]
        inline = struct.calcsize(offset)
        rows = [take(f"HH{offset}{inline}s") for _ in range(min(take(length, at)[0], 65535))]
        (following,) = take(offset)
        found: Directory = {}
        for tag, kind, count, value in rows:
            if (level == 0 and only is not None and tag not in only) or not 0 < kind < len(_BYTES):
                continue
            size = count * _BYTES[kind]
            if size > inline:
                (value,) = take(f"{size}s", struct.unpack(order + offset, value)[0])
            number = _BYTES[kind] // (2 if kind in _FRACTIONS else 1)
            if tag in _SUB_DIRECTORIES[level]:
                where = int.from_bytes(value[:size], "little" if order == "<" else "big")
                found[tag] = unpack(where, level + 1)[0]
            elif order == ">":
                turned = (value[k : k + number][::-1] for k in range(0, size, number))
                found[tag] = kind, count, b"".join(turned)
            else:
                found[tag] = kind, count, value[:size]
        return found, following

    try:
        (version,) = take("H")
        return unpack(take(_LAYOUT[version][1], 4 if version == 42 else 8)[0], 0)
    except (struct.error, KeyError, OverflowError) as error:
        raise ValueError(f"damaged TIFF directory: {error}") from error


def _packed(directory: Directory, at: int, *, following: int = 0, version: int = 42) -> bytes:
    """A directory and all it points to, for byte `at` of a little-endian file."""
    length, offset, offset_type = _LAYOUT[version]
    inline = struct.calcsize(offset)
    table, data = struct.pack("<" + length, len(directory)), b""
    behind = at + len(table) + len(directory) * (4 + 2 * inline) + inline
    for tag, entry in sorted(directory.items()):
        behind_now = behind + len(data)
        if isinstance(entry, dict):
            data += _packed(entry, behind_now, version=version)
            entry = offset_type, 1, struct.pack("<" + offset, behind_now)
        kind, count, value = entry
        if len(value) > inline:
            data += value + bytes(-len(value) % 8)
            value = struct.pack("<" + offset, behind_now)
        table += struct.pack("<HH" + offset, tag, kind, count) + value.ljust(inline, b"\0")
    return table + struct.pack("<" + offset, following) + data
