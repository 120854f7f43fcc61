"""What the page does, without the page: visitors, their files, one painting at a time.

    FOLDER/VISITOR/xxxx/photo.jpg            what was chosen, its bytes untouched
    FOLDER/VISITOR/xxxx/shown.jpg            its preview
    FOLDER/VISITOR/yyyy/photo_painted.jpg    as jobs.translate_file writes it, and its preview

VISITOR is a long random name, since who knows a file's path can download it. Files that a visitor no longer sees are
deleted, all of them when the visitor leaves.
"""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from gan_hd import files, formats, jobs
from gan_hd.app.models import Models
from gan_hd.app.previews import Preview, make_preview
from gan_hd.app.progress import Bar, Report, Stopped

_POLL_SEC = 0.1


@dataclass(frozen=True)
class Chosen:
    """A photo that can be painted."""

    photo: Path
    preview: Preview


@dataclass(frozen=True)
class Painted:
    """A painting.

    Attributes:
        file: what translate_file wrote.
        before, after: previews of the photo and of `file`.
        notes: what the file could not keep, in words.
        seconds: that the painting took.
    """

    file: Path
    before: Preview
    after: Preview
    notes: list[str]
    seconds: float


@dataclass
class _Visitor:
    """One open page."""

    folder: Path
    chosen: Chosen | None = None
    stop: threading.Event = field(default_factory=threading.Event)
    painting: threading.Lock = field(default_factory=threading.Lock)


class Studio:
    """Paints for visitors, who are told apart by any string.

    Args:
        models: to choose from.
        folder: takes the visitors' files.
        max_mp: most megapixels of a photo.
        memory_gib: see jobs.Settings.
    """

    def __init__(self, models: Models, folder: Path, *, max_mp: float, memory_gib: float) -> None:
        self.models, self._folder, self._max_mp, self._memory_gib = models, folder, max_mp, memory_gib
        self._visitors: dict[str, _Visitor] = {}
        self._entrance, self._easel = threading.Lock(), threading.Lock()

    def choose(self, visitor: str, source: Path, *, move: bool = False) -> Chosen:
        """Makes a picture file the photo that :meth:`paint` paints; a bad one leaves none.

        Args:
            visitor: whose photo.
            source: the file.
            move: take the file away instead of copying it.

        Raises:
            PictureError: it is too large or cannot be read; the message names it without its folder.
            OSError: the disk refuses.
        """
        room = self._visitor(visitor)
        room.chosen = None
        folder = Path(tempfile.mkdtemp(dir=room.folder))
        photo = folder / "photo" / source.name
        photo.parent.mkdir()
        with _without_folder(photo.parent):
            (shutil.move if move else shutil.copyfile)(source, photo)
            room.chosen = Chosen(photo, make_preview(photo, folder / "shown.jpg", max_mp=self._max_mp))
        return room.chosen

    def paint(
        self, visitor: str, model: str, report: Report, *, strength: float, preserve_color: bool, scale: str
    ) -> Painted:
        """Paints the chosen photo; waits while another painting is made.

        Args:
            visitor: whose photo.
            model: one of the models' names.
            report: is told how far it is.
            strength, preserve_color: see jobs.Settings.
            scale: see :func:`parse_scales`.

        Raises:
            Stopped: after :meth:`stop`, at the next tile.
            ValueError: nothing is chosen, a setting is out of range, the picture cannot be read or painted.
            OSError, MemoryError, PredictionError: see jobs.translate_file.
        """
        room = self._visitor(visitor)
        settings = jobs.Settings(
            memory_gib=self._memory_gib,
            scales=parse_scales(scale),
            strength=strength,
            preserve_color=preserve_color,
        )
        with room.painting:
            chosen, room.stop = room.chosen, threading.Event()
            if chosen is None:
                raise ValueError("Choose a photo first.")
            with self._turn(room.stop):
                report(0, "loading the model")
                translator = self.models.get(model)
                folder = Path(tempfile.mkdtemp(dir=room.folder))
                try:
                    painted = _paint(translator, chosen, folder, settings, Bar(report, room.stop))
                except BaseException:
                    shutil.rmtree(folder, ignore_errors=True)
                    raise
            self._tidy(room, painted)
            return painted

    def stop(self, visitor: str) -> None:
        """Ends the visitor's painting at the next tile."""
        self._visitor(visitor).stop.set()

    def leave(self, visitor: str) -> None:
        """Ends the visitor's painting and deletes all of the visitor's files."""
        with self._entrance:
            room = self._visitors.pop(visitor, None)
        if room:
            room.stop.set()
            with room.painting:
                shutil.rmtree(room.folder, ignore_errors=True)

    def close(self) -> None:
        """All visitors leave."""
        for visitor in list(self._visitors):
            self.leave(visitor)

    def _visitor(self, visitor: str) -> _Visitor:
        with self._entrance:
            if visitor not in self._visitors:
                folder = self._folder / secrets.token_hex(16)
                folder.mkdir()
                self._visitors[visitor] = _Visitor(folder)
            return self._visitors[visitor]

    @contextmanager
    def _turn(self, stop: threading.Event) -> Iterator[None]:
        """Waits for the one painting at a time."""
        while not self._easel.acquire(timeout=_POLL_SEC):
            if stop.is_set():
                raise Stopped
        try:
            yield
        finally:
            self._easel.release()

    def _tidy(self, room: _Visitor, painted: Painted) -> None:
        """Deletes what the visitor no longer sees. Another photo may have been chosen meanwhile."""
        shown = [painted.before, painted.after, *([room.chosen.preview] if room.chosen else [])]
        for folder in set(room.folder.iterdir()) - {preview.path.parent for preview in shown}:
            shutil.rmtree(folder, ignore_errors=True)


def parse_scales(text: str) -> tuple[float, ...]:
    """The factors of translate.py's --scale: "0.25, 0.5, 1" -> (0.25, 0.5, 1.0).

    Raises:
        ValueError: for what is no number.
    """
    try:
        return tuple(float(word) for word in text.replace(",", " ").split())
    except ValueError:
        raise ValueError(f"--scale takes numbers, 0.25, 0.5, 1 for instance. Received: {text}") from None


def _paint(translator, chosen: Chosen, folder: Path, settings: jobs.Settings, bar: Bar) -> Painted:
    began = time.monotonic()
    photo = chosen.photo
    ((_, beside),) = files.plan_outputs([photo], photo, None, writable=formats.SUFFIXES)
    target = folder / beside.name
    with _without_folder(photo.parent), _without_folder(folder):
        notes = jobs.translate_file(translator, photo, target, settings, bar)
        seconds = time.monotonic() - began
        bar.check()
        bar.start("preparing the view", chosen.preview.megapixels * 1e6, 0)
        after = make_preview(target, folder / "shown.jpg")
    return Painted(target, chosen.preview, after, notes, seconds)


@contextmanager
def _without_folder(folder: Path) -> Iterator[None]:
    """Leaves a temporary folder's name out of what a ValueError or OSError says."""
    try:
        yield
    except (ValueError, OSError) as error:
        text = str(error).replace(f"{folder}{os.sep}", "")
        raise type(error)(text) if isinstance(error, ValueError) else OSError(text) from error
