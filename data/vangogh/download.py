"""Brings one remote picture to disk, whole and verified, or not at all.

Conventions: bytes go to ``NAME.part`` and are renamed to NAME only when verified. An original is
verified by the SHA-1 that the API gives, a thumbnail (which has none) by decoding all of it at the
expected size. A part is
continued with a Range request only where a mix of two versions would be noticed: by the SHA-1, or
by the ETag of the same process; otherwise the file starts again.

In: Remote + path -> out: Local (SHA-256, bytes, size) and the file; or FetchError / OutputError.
"""

from __future__ import annotations

import errno
import hashlib
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from data.vangogh import http_client

# MIME type -> Pillow's names. MPO is a JPEG with further pictures behind the first, as many cameras
# write.
FORMATS = {"image/jpeg": ("JPEG", "MPO"), "image/png": ("PNG",)}
_EXIF_ORIENTATION = 0x0112
_MAX_BAD_BODIES = 2


@dataclass(frozen=True)
class Remote:
    """A file to download; `sha1` and `size_bytes` are None for thumbnails."""

    url: str
    mime: str
    width_px: int
    height_px: int
    sha1: str | None = None
    size_bytes: int | None = None


@dataclass(frozen=True)
class Local:
    """A verified file on disk."""

    sha256: str
    size_bytes: int
    width_px: int
    height_px: int


class OutputError(Exception):
    """The output folder cannot be written to. Stops the run; the text is one line for people."""


class BadPictureError(Exception):
    """A file is not the picture it should be."""


@contextmanager
def output_errors(path: Path) -> Iterator[None]:
    """Turns an OSError of the block into an OutputError that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
            raise OutputError(
                f"Disk full while writing {path}. Free some space (or choose another --output) and"
                " run the same"
                " command again; finished pictures are kept."
            ) from error
        raise OutputError(f"Cannot write {path}: {error.strerror or error}.") from error


def download(client: http_client.PoliteClient, remote: Remote, target: Path) -> Local:
    """Downloads `remote` to `target`, replacing it, and returns what is there now.

    Raises:
        http_client.FetchError: the file cannot be had, or is not what it should be.
        OutputError: it cannot be stored.
    """
    transfer = _Transfer(client, remote, target.with_name(target.name + ".part"))
    try:
        local = client.run(transfer.attempt)
        with output_errors(target):
            os.replace(transfer.part, target)
        return local
    except (http_client.FetchError, OutputError) as error:
        # A part is worth keeping only if a later run can continue it, and never when it fills the
        # disk.
        if remote.sha1 is None or isinstance(error, OutputError):
            transfer.part.unlink(missing_ok=True)
        raise


def verify(path: Path, remote: Remote) -> Local:
    """Checks that `path` is exactly what `remote` announces.

    Raises:
        BadPictureError: it is not; the text says in which respect.
    """
    sha1, sha256, size_bytes = hashlib.sha1(usedforsecurity=False), hashlib.sha256(), 0
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            sha1.update(block)
            sha256.update(block)
            size_bytes += len(block)
    if remote.size_bytes is not None and size_bytes != remote.size_bytes:
        raise BadPictureError(f"{size_bytes} bytes where {remote.size_bytes} were announced")
    if remote.sha1 is not None and sha1.hexdigest() != remote.sha1:
        raise BadPictureError(f"SHA-1 {sha1.hexdigest()} where {remote.sha1} was announced")
    width_px, height_px = _decode(path, remote)
    return Local(sha256.hexdigest(), size_bytes, width_px, height_px)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


class _Transfer:
    """What one file keeps between attempts: the part on disk, its ETag, the count of bad bodies."""

    def __init__(self, client: http_client.PoliteClient, remote: Remote, part: Path):
        self._client = client
        self._remote = remote
        self.part = part
        self._etag: str | None = None
        self._bad_bodies = 0

    def attempt(self) -> Local:
        have = self._resumable_bytes()
        if have == 0 or have != self._remote.size_bytes:
            self._receive(have)
        try:
            return verify(self.part, self._remote)
        except BadPictureError as error:
            self.part.unlink()
            self._bad_bodies += 1
            # Once may be a mishap on the way; twice is what the server has.
            if self._bad_bodies >= _MAX_BAD_BODIES:
                raise http_client.FetchError(str(error)) from error
            raise http_client.TransientError(str(error)) from error

    def _resumable_bytes(self) -> int:
        if self._remote.sha1 is None and self._etag is None:
            return 0
        have = self.part.stat().st_size if self.part.is_file() else 0
        announced = self._remote.size_bytes
        return have if announced is None or have <= announced else 0

    def _receive(self, have: int) -> None:
        headers = {}
        if have:
            headers["Range"] = f"bytes={have}-"
            if self._etag is not None:
                headers["If-Range"] = self._etag
        try:
            response = self._client.open(self._remote.url, headers=headers)
        except http_client.StatusError as error:
            if error.status != 416 or not have:
                raise
            # The file is shorter than our part: it was replaced since. Without this, every run
            # would ask again.
            self.part.unlink()
            raise http_client.TransientError("the file changed on the server") from error
        with response:
            kind = response.headers.get_content_type()
            if kind.startswith("text/") or kind in ("application/json", "application/xml"):
                raise http_client.TransientError(f"got {kind} where a picture was expected")
            etag = response.headers.get("ETag")
            # A weak validator (W/...) does not promise identical bytes: RFC 9110 forbids it in
            # If-Range.
            self._etag = etag if etag and not etag.startswith("W/") else None
            start = f"bytes {have}-"
            resumed = response.status == 206 and (response.headers.get("Content-Range", "").startswith(start))
            if response.status == 206 and not resumed:
                raise http_client.FetchError("the server sent another range than asked for")
            blocks = http_client.read_chunks(response)
            with output_errors(self.part), open(self.part, "ab" if resumed else "wb") as file:
                for block in blocks:
                    file.write(block)


def _decode(path: Path, remote: Remote) -> tuple[int, int]:
    """Decodes every pixel; returns the displayed (width, height)."""
    expected = (remote.width_px, remote.height_px)
    try:
        with warnings.catch_warnings():
            # The size is compared with the announced one before any pixel is decoded: no bomb to
            # warn about.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                if image.format not in FORMATS.get(remote.mime, ()):
                    raise BadPictureError(f"{image.format} where {remote.mime} was announced")
                size = image.size
                if image.getexif().get(_EXIF_ORIENTATION) in (5, 6, 7, 8):
                    size = size[::-1]
                # The API rounds the height of a thumbnail, the scaler may truncate it: one pixel is
                # the same size.
                if any(abs(a - b) > 1 for a, b in zip(size, expected, strict=True)):
                    raise BadPictureError(
                        f"{size[0]}x{size[1]} px where {expected[0]}x{expected[1]} px were announced"
                    )
                image.load()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        # SyntaxError is what Pillow's PNG reader raises for broken chunks.
        raise BadPictureError(f"not a complete picture ({error})") from error
    return size
