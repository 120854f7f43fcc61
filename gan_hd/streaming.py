"""Pictures that need not fit in memory.

    RawFile      a picture on disk as plain rows; written anywhere, read anywhere, opened by libvips
    Spool        any libvips picture on its way into a RawFile, readable as far as it has come
    ArrayRows    a picture that is in memory already

Pixels are uint8 or uint16 [rows, width, 3]; y and x count from the upper left corner.
"""

from __future__ import annotations

import os
import struct
import threading
from pathlib import Path

import numpy as np
import pyvips

_VIPS_FORMAT = {np.dtype(np.uint8): "uchar", np.dtype(np.uint16): "ushort"}
_INTERPRETATION = {np.dtype(np.uint8): "srgb", np.dtype(np.uint16): "rgb16"}


class ArrayRows:
    """A picture in memory, uint8 or uint16 [h, w, bands], as an engine.Source and as metrics.seams.Rows."""

    def __init__(self, pixels: np.ndarray) -> None:
        self.pixels = pixels
        self.height, self.width = pixels.shape[:2]
        self.dtype = pixels.dtype

    def wait(self, last: int) -> None:
        """All rows are there."""

    def window(self, ys: np.ndarray, xs: np.ndarray) -> np.ndarray:
        """The pixels [len(ys), len(xs), bands] at these rows and columns."""
        return self.pixels[np.ix_(ys, xs)]

    def rows(self, first: int, last: int) -> np.ndarray:
        """The rows first … last−1."""
        return self.pixels[first:last]

    def write(self, y: int, x: int, pixels: np.ndarray) -> None:
        """Puts `pixels` [h, w, bands] at (y, x)."""
        self.pixels[y : y + pixels.shape[0], x : x + pixels.shape[1]] = pixels


class RawFile:
    """A picture of three bands as plain rows in a TIFF file.

    Args:
        path: made, with its whole space on disk reserved, where it does not exist; else opened as it is.
        height, width: px.
        dtype: np.uint8 or np.uint16.

    Raises:
        OSError: the disk has no room, or an existing file is another picture's.

    Reference: the BigTIFF file format, https://www.awaresystems.be/imaging/tiff/bigtiff.html
    """

    def __init__(self, path: str | os.PathLike, *, height: int, width: int, dtype: type | np.dtype) -> None:
        self.path, self.height, self.width, self.dtype = Path(path), height, width, np.dtype(dtype)
        self.row_bytes = width * 3 * self.dtype.itemsize
        header = _tiff_header(height, width, self.dtype)
        self._begin = len(header)
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            size = os.fstat(self._file).st_size
            if size == 0:
                reserve(self._file, self._begin + height * self.row_bytes)
                os.pwrite(self._file, header, 0)
            elif (
                size != self._begin + height * self.row_bytes
                or os.pread(self._file, len(header), 0) != header
            ):
                raise OSError(f"{path} is no picture of {width}x{height} px and {self.dtype.name} values")
        except BaseException:
            os.close(self._file)
            raise

    def __enter__(self) -> RawFile:
        return self

    def __exit__(self, *error: object) -> None:
        os.close(self._file)

    def write(self, y: int, x: int, pixels: np.ndarray) -> None:
        """Puts `pixels` [h, w, 3] at (y, x)."""
        offset = self._begin + y * self.row_bytes + x * 3 * self.dtype.itemsize
        if pixels.shape[1] == self.width:
            _write(self._file, pixels, offset)
            return
        for row in pixels:
            _write(self._file, row, offset)
            offset += self.row_bytes

    def append(self, done: int, data: bytes) -> None:
        """Puts bytes of rows after the first `done` ones."""
        _write(self._file, np.frombuffer(data, np.uint8), self._begin + done)

    def rows(self, first: int, last: int) -> np.ndarray:
        """The rows first … last−1, [rows, width, 3]."""
        buffer = np.empty((last - first) * self.row_bytes, np.uint8)
        _read(self._file, buffer, self._begin + first * self.row_bytes)
        return buffer.view(self.dtype).reshape(last - first, self.width, 3)

    def window(self, ys: np.ndarray, xs: np.ndarray) -> np.ndarray:
        """The pixels [len(ys), len(xs), 3] at these rows and columns, in any order."""
        left, right = int(xs.min()), int(xs.max()) + 1
        pixel = 3 * self.dtype.itemsize
        rows = np.empty((len(ys), (right - left) * pixel), np.uint8)
        for row, y in zip(rows, ys.tolist(), strict=True):
            _read(self._file, row, self._begin + y * self.row_bytes + left * pixel)
        pixels = rows.view(self.dtype).reshape(len(ys), right - left, 3)
        return pixels if len(xs) == right - left and xs[0] == left else pixels[:, xs - left]

    def sync(self) -> None:
        """Returns when what was written is on the disk."""
        os.fsync(self._file)

    def image(self, *, random_access: bool = False) -> pyvips.Image:
        """The file as a libvips picture, sRGB, of uchar or ushort, to be read once from top to bottom.

        With `random_access` in any order, but then the whole file is mapped into memory: pages that the system can
        take back, and yet counts.
        """
        if not random_access:
            return pyvips.Image.tiffload(str(self.path), access="sequential")
        return pyvips.Image.rawload(
            str(self.path),
            self.width,
            self.height,
            3,
            offset=self._begin,
            format=_VIPS_FORMAT[self.dtype],
            interpretation=_INTERPRETATION[self.dtype],
        )


class Spool:
    """Copies a libvips picture into a RawFile, in a thread, from top to bottom; an engine.Source meanwhile.

    A context manager: leaving it stops what is not copied yet.

    Args:
        image: three bands of uchar or ushort.
        path: the file, made anew.

    Raises:
        pyvips.Error: by :meth:`wait`, :meth:`rows` and on leaving, where the picture cannot be read to its end.
        OSError: the disk is full.
    """

    def __init__(self, image: pyvips.Image, path: str | os.PathLike) -> None:
        Path(path).unlink(missing_ok=True)
        self.height, self.width = image.height, image.width
        dtype = {"uchar": np.uint8, "ushort": np.uint16}[image.format]
        self._raw = RawFile(path, height=image.height, width=image.width, dtype=dtype)
        self._image = image.copy()
        self._bytes = 0
        self._error: Exception | None = None
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._copy, daemon=True)
        self._thread.start()

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *error: object) -> None:
        self._image.set_kill(True)
        self._thread.join()
        self._raw.__exit__()

    def wait(self, last: int) -> None:
        """Returns when the rows above `last` are there."""
        needed = last * self._raw.row_bytes
        with self._news:
            self._news.wait_for(lambda: self._bytes >= needed or self._error is not None)
            if self._bytes < needed and self._error is not None:
                raise self._error

    def window(self, ys: np.ndarray, xs: np.ndarray) -> np.ndarray:
        """The pixels [len(ys), len(xs), 3] at these rows, waited for before, and columns."""
        return self._raw.window(ys, xs)

    def rows(self, first: int, last: int) -> np.ndarray:
        """The rows first … last−1, once they are there."""
        self.wait(last)
        return self._raw.rows(first, last)

    def _copy(self) -> None:
        target = pyvips.TargetCustom()
        target.on_write(self._take)
        try:
            self._image.rawsave_target(target)
        except pyvips.Error as error:
            self._fail(error)

    def _take(self, data: bytes) -> int:
        """libvips gives the next bytes; -1 tells it to stop."""
        try:
            self._raw.append(self._bytes, data)
        except OSError as error:
            self._fail(error)
            return -1
        with self._news:
            self._bytes += len(data)
            self._news.notify_all()
        return len(data)

    def _fail(self, error: Exception) -> None:
        with self._news:
            self._error = self._error or error
            self._news.notify_all()


def _tiff_header(height: int, width: int, dtype: np.dtype) -> bytes:
    """What stands before the pixels: little-endian BigTIFF, RGB, no compression, strips of about 1 MiB."""
    row = width * 3 * dtype.itemsize
    strip_rows = max(1, min(height, 2**20 // row))
    strips = -(-height // strip_rows)
    short, long, long8 = 3, 4, 16  # field types
    begin_of_lists = 16 + 8 + 10 * 20 + 8
    begin = 4096 * -(-(begin_of_lists + 16 * strips) // 4096)
    offsets = [begin + strip * strip_rows * row for strip in range(strips)]
    counts = [min(strip_rows, height - strip * strip_rows) * row for strip in range(strips)]
    fields = [
        (256, long, 1, width),
        (257, long, 1, height),
        (258, short, 3, 8 * dtype.itemsize * 0x100010001),  # bits per sample, three times
        (259, short, 1, 1),  # no compression
        (262, short, 1, 2),  # RGB
        (273, long8, strips, begin_of_lists if strips > 1 else offsets[0]),
        (277, short, 1, 3),  # samples per pixel
        (278, long, 1, strip_rows),
        (279, long8, strips, begin_of_lists + 8 * strips if strips > 1 else counts[0]),
        (284, short, 1, 1),  # RGBRGB…
    ]
    header = struct.pack("<2sHHHQQ", b"II", 43, 8, 0, 16, len(fields))
    header += b"".join(struct.pack("<HHQQ", *field) for field in fields) + struct.pack("<Q", 0)
    header += struct.pack(f"<{2 * strips}Q", *offsets, *counts)
    return header.ljust(begin, b"\0")


def reserve(file: int, size: int) -> None:
    """Gives an open file `size` bytes of disk space, so that a full disk is met before the work, not within it."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, size)
    else:  # macOS
        os.ftruncate(file, size)


def _write(file: int, pixels: np.ndarray, offset: int) -> None:
    view, done = np.ascontiguousarray(pixels).data.cast("B"), 0
    while done < len(view):
        done += os.pwrite(file, view[done:], offset + done)


def _read(file: int, buffer: np.ndarray, offset: int) -> None:
    view, done = buffer.data, 0
    while done < len(view):
        got = os.preadv(file, [view[done:]], offset + done)
        if not got:
            raise OSError(f"the file ends {len(view) - done} bytes early")
        done += got
