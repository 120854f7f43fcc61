"""One picture from file to file: passes of the generator, what the file keeps, and work that survives.

While a picture is worked on there is a hidden folder `.NAME.partial` beside the output:

    manifest.json    what the painting depends on (hashes of input and model, settings), its contexts, the rows done
    pass_0.tif       the painting, one file for each pass
    content.tif      what is being painted, as it comes from the photo
    decoded.tif      the stored photo, where it has to be turned or scaled

A process that dies leaves it, and the same command goes on at the band of tiles that was not finished; it is
removed when the work is done. The output itself appears whole or not at all.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyvips

import gan_hd
from gan_hd import formats, pictures, tiling
from gan_hd.files import whole_file
from gan_hd.formats import SaveOptions
from gan_hd.metrics import seams
from gan_hd.photo import Photo, to_depth
from gan_hd.streaming import ArrayRows, RawFile, Spool
from gan_hd.translator import MEMORY_GIB, Translator

_LOG = logging.getLogger(__name__)
# Long side at which the picture that gives the context is read: more than a thumbnail needs.
_CONTEXT_PX = 1024


@dataclass(frozen=True)
class Settings:
    """How a picture is translated.

    Attributes:
        mode: one of tiling.MODES.
        tile_px: largest side of a tile, px; None chooses.
        batch: tiles at once; None chooses.
        memory_gib: for the whole process; chooses the tiles of `exact` mode.
        scales: of one pass each, largest strokes first: 0.5 paints the picture at half its size and enlarges the
            result. A later pass paints the painting so far, with the photo's finer detail put back, and adds its own
            finer detail to it.
        context: take the look of this picture file; None takes each picture's own.
        strength, preserve_color: see Photo.finish.
        report_seams: translate a second time with the tiles shifted by half a tile, and write what differs.
        save: how the file is written.

    Raises:
        ValueError: names the flag of translate.py that holds a value out of range.
    """

    mode: str = "exact"
    tile_px: int | None = None
    batch: int | None = None
    memory_gib: float = MEMORY_GIB
    scales: tuple[float, ...] = (1.0,)
    context: Path | None = None
    strength: float = 1.0
    preserve_color: bool = False
    report_seams: bool = False
    save: SaveOptions = field(default_factory=SaveOptions)

    def __post_init__(self) -> None:
        if self.mode not in tiling.MODES:
            raise ValueError(f"--mode must be one of {', '.join(tiling.MODES)}. Received: {self.mode}")
        if not 0 <= self.strength <= 1:
            raise ValueError(f"--strength must be 0..1. Received: {self.strength}")
        if not self.scales or not all(1 / 64 <= scale <= 8 for scale in self.scales):
            raise ValueError(f"--scale takes factors from 1/64 to 8. Received: {self.scales}")
        if list(self.scales) != sorted(set(self.scales)):
            raise ValueError(f"--scale: small factors come first, as in 0.25,0.5,1. Received: {self.scales}")


class Progress(Protocol):
    """What a progress bar must do."""

    def start(self, what: str, total_px: float, done_px: float) -> None:
        """A stage begins: its name, its pixels in all, and those an earlier run did."""

    def add(self, pixels: float) -> None:
        """So many pixels more are done."""


@dataclass(frozen=True)
class _Pass:
    """One run of the generator over the whole picture, at one size and with one tile grid."""

    name: str
    height: int
    width: int
    tile_px: int
    pitch: tuple[int, int]
    origin: tuple[int, int] = (0, 0)

    @property
    def pixels(self) -> int:
        return self.height * self.width


def translate_file(
    translator: Translator, source: Path, target: Path, settings: Settings, progress: Progress
) -> list[str]:
    """Translates one picture file into another; see the module's docstring for what survives a stop.

    Returns:
        Notes in words: what the output could not keep, what was measured.

    Raises:
        PictureError: the input, or the picture of Settings.context, cannot be read.
        ValueError: the output format cannot hold it, or the memory does not suffice.
        OSError: the disk refuses. What was painted is kept where it was full.
        MemoryError, PredictionError: see Translator.paint.
    """
    with _work_folder(target) as folder:
        photo = Photo(source, work_dir=folder, random_access=settings.scales != (1.0,))
        formats.check(target, photo.height, photo.width, settings.save)
        job = _Job(translator, photo, folder, settings, progress)
        job.paint()
        job.write(target)
        if settings.report_seams:
            photo.notes.append(job.report_seams(target))
    return photo.notes


class _Job:
    """The stages of one picture's translation."""

    def __init__(
        self, translator: Translator, photo: Photo, folder: Path, settings: Settings, progress: Progress
    ) -> None:
        self.translator, self.photo, self.folder = translator, photo, folder
        self.settings, self.progress = settings, progress
        plain = settings.scales == (1.0,) and settings.strength == 1 and not settings.preserve_color
        self.dtype = np.dtype(np.uint8 if plain and photo.srgb_depth == 8 else np.uint16)
        sizes = [[max(1, round(side * s)) for side in (photo.height, photo.width)] for s in settings.scales]
        self.passes = [self._pass(f"pass_{k}", *size) for k, size in enumerate(sizes)]
        self.sides_px = [max(p.height, p.width) for p in self.passes]
        self.contexts = None
        if settings.context is not None:
            self.contexts = contexts_of_file(translator, settings.context, sides_px=self.sides_px)
        self.manifest = _Manifest(folder, photo.path, self._key())

    def paint(self) -> None:
        """Carries out what is left of the passes."""
        passes = self.passes + ([self._shifted()] if self.settings.report_seams else [])
        total = sum(p.pixels for p in passes)
        done = sum(self.manifest.rows(p.name) * p.width for p in passes)
        if done:
            _LOG.info("%s: going on at %.0f %%", self.photo.path.name, 100 * done / total)
        self.progress.start("painting", total, done)
        for index, p in enumerate(passes):
            if self.manifest.rows(p.name) < p.height:
                self._paint(min(index, len(self.passes) - 1), p)

    def write(self, target: Path) -> None:
        """Writes the output file from the last pass."""
        photo, settings = self.photo, self.settings
        painting = _sized(self._painted(len(self.passes) - 1), photo)
        picture = photo.finish(painting, strength=settings.strength, preserve_color=settings.preserve_color)
        self.progress.start("writing", photo.height * photo.width, 0)
        photo.notes += formats.save(
            picture, target, settings.save, work_dir=self.folder, done=self.progress.add
        )

    def report_seams(self, target: Path) -> str:
        """Writes TARGET.seams.json and TARGET.seams.png, the heat map; returns one line."""
        last, shifted = self.passes[-1], self._shifted()
        self.progress.start("measuring seams", 3 * last.pixels, 0)
        with self._raw(last) as first, self._raw(shifted) as second:
            shift = seams.grid_shift_error(
                first, second, tile=last.pitch, origins=(last.origin, shifted.origin)
            )
            self.progress.add(last.pixels)
            painted = seams.seam_step_z(first, tile=last.pitch, origin=last.origin)
            self.progress.add(last.pixels)
        with self._content(len(self.passes) - 1) as content:
            original = seams.seam_step_z(content, tile=last.pitch, origin=last.origin)
        self.progress.add(last.pixels)
        report = {
            "mode": self.settings.mode,
            "tile_px": list(last.pitch),
            "shifted_by_px": list(shifted.origin),
            "grid_shift_error": shift.as_dict(),
            "seam_step_z": painted.as_dict(),
            "seam_step_z_of_the_photo": original.as_dict(),
        }
        with whole_file(target.with_suffix(".seams.json")) as part:
            part.write_text(json.dumps(report, indent=2) + "\n")
        scale = max(1.0, float(shift.heat.max()))
        pictures.write_rgb(target.with_suffix(".seams.png"), seams.heat_picture(shift.heat, full_scale=scale))
        return (
            f"seams: GSE mean {shift.mean:.3f}, p99 {shift.p99:.3g}, max {shift.max:.3g} levels; "
            f"SSZ {painted.z:.2f}, of the photo {original.z:.2f}"
        )

    def _pass(self, name: str, height: int, width: int) -> _Pass:
        settings = self.settings
        tile_px = settings.tile_px
        if tile_px is None and settings.mode == "exact":
            budget, batch = settings.memory_gib, settings.batch or 1
            tile_px = self.translator.choose_tile_px(height, width, memory_gib=budget, batch=batch)
        tile_px = tile_px or self.translator.default_tile_px(settings.mode)
        plan = self.translator.plan(height, width, mode=settings.mode, tile_px=tile_px)
        return _Pass(name, height, width, tile_px, plan.pitch)

    def _shifted(self) -> _Pass:
        """The last pass once more, its tiles shifted by half a tile."""
        last, stride = self.passes[-1], self.translator.metadata["stride_px"]
        origin = tuple(max(stride, side // 2 // stride * stride) for side in last.pitch)
        return _Pass("shifted", last.height, last.width, last.tile_px, last.pitch, (origin[0], origin[1]))

    def _key(self) -> dict[str, Any]:
        """What the painting depends on."""
        with pictures.errors_named(self.photo.path), open(self.photo.path, "rb") as file:
            digest = hashlib.sha256()
            while block := file.read(1 << 20):
                digest.update(block)
        return {
            "input": digest.hexdigest(),
            "model": self.translator.fingerprint(),
            "settings": {
                "mode": self.settings.mode,
                "batch": self.settings.batch,
                "dtype": self.dtype.name,
                "passes": [asdict(p) for p in self.passes],
                "contexts": None if self.contexts is None else self.contexts.tolist(),
            },
            "program": gan_hd.__version__,
        }

    def _raw(self, p: _Pass) -> RawFile:
        return RawFile(self.folder / f"{p.name}.tif", height=p.height, width=p.width, dtype=self.dtype)

    def _content(self, index: int) -> Spool:
        return Spool(self._input(index), self.folder / "content.tif")

    def _input(self, index: int) -> pyvips.Image:
        """What pass `index` paints: the photo, or the painting so far with the photo's finer detail put back."""
        photo, size = self.photo.srgb(), self.passes[index]
        if self.settings.scales == (1.0,):
            return photo
        photo = _sized(to_depth(photo, 16), size)
        return photo if index == 0 else self._refined(index, photo)

    def _painted(self, index: int) -> pyvips.Image:
        """The painting after pass `index`: a finer pass adds what the one before it was too small to hold.

        So the palette stays that of the coarsest pass; painting a painting shifts it further each time.
        """
        with self._raw(self.passes[index]) as raw:
            painted = raw.image(random_access=self.settings.scales != (1.0,))
        return painted if index == 0 else self._refined(index, painted)

    def _refined(self, index: int, picture: pyvips.Image) -> pyvips.Image:
        """The painting of the pass before `index`, enlarged, with the detail of `picture` finer than that pass."""
        size, coarser = self.passes[index], self.passes[index - 1]
        detail = picture - _sized(_sized(picture, coarser), size)
        return (_sized(self._painted(index - 1), size) + detail).cast("ushort")

    def _paint(self, index: int, p: _Pass) -> None:
        named = pictures.errors_named(self.photo.path, only=pyvips.Error)
        with named, self._raw(p) as raw, self._content(index) as content:

            def rows_done(rows: int) -> None:
                raw.sync()
                self.manifest.note(p.name, rows)

            self.translator.paint(
                content,
                raw.write,
                height=p.height,
                width=p.width,
                dtype=self.dtype,
                mode=self.settings.mode,
                tile_px=p.tile_px,
                batch=self.settings.batch,
                origin=p.origin,
                context=self._context(content, index),
                first_row=self.manifest.rows(p.name),
                done=self.progress.add,
                rows_done=rows_done,
            )

    def _context(self, content: Spool, index: int) -> np.ndarray | None:
        """Of pass `index`. All take one picture: the one asked for, else the photo, which the first pass paints."""
        if not self.translator.takes_context:
            return None
        if self.contexts is None:
            if self.manifest.contexts is None:
                found = self.translator.contexts_of(
                    content, height=content.height, width=content.width, sides_px=self.sides_px
                )
                assert found is not None
                self.manifest.contexts = found.tolist()  # written with the first rows
            self.contexts = np.array(self.manifest.contexts, np.float32)
        return self.contexts[index]


def contexts_of_file(translator: Translator, path: Path, *, sides_px: Sequence[int] = ()) -> np.ndarray:
    """The context vectors of a picture file, for Settings.context.

    Args:
        translator: whose.
        path: of the picture.
        sides_px: long sides of what is painted in them; see Translator.contexts_of.

    Raises:
        ValueError: the model takes no context.
        PictureError: the file cannot be read.
    """
    if not translator.takes_context:
        raise ValueError(f"--context: the model was trained without context. Received: {path}")
    picture = pictures.read_rgb(path, side_px=_CONTEXT_PX)
    height, width, _ = picture.shape
    contexts = translator.contexts_of(ArrayRows(picture), height=height, width=width, sides_px=sides_px)
    assert contexts is not None
    return contexts


class _Manifest:
    """Which rows of which pass are done, of what, and in which contexts. Work of something else is thrown away.

    Args:
        folder: the work folder.
        source: for messages.
        key: what the painting depends on.
    """

    def __init__(self, folder: Path, source: Path, key: dict[str, Any]) -> None:
        self._path, self._key = folder / "manifest.json", json.loads(json.dumps(key))  # as it will be read
        self._rows: dict[str, int] = {}
        self.contexts: list[list[float]] | None = None
        try:
            found = json.loads(self._path.read_text())
            if found["key"] == self._key:
                self._rows = {
                    name: rows for name, rows in found["rows"].items() if (folder / f"{name}.tif").exists()
                }
                self.contexts = found["contexts"]
                return
            changed = [name for name in key if found["key"].get(name) != self._key[name]]
            _LOG.warning("%s: starting over, another %s than before", source.name, " and ".join(changed))
        except FileNotFoundError:
            pass
        except (ValueError, KeyError, TypeError, AttributeError):
            _LOG.warning("%s: starting over, %s is damaged", source.name, self._path)
        for path in folder.iterdir():
            if path.suffix in (".tif", ".json"):
                path.unlink()

    def rows(self, name: str) -> int:
        return self._rows.get(name, 0)

    def note(self, name: str, rows: int) -> None:
        self._rows[name] = rows
        content = {"key": self._key, "rows": self._rows, "contexts": self.contexts}
        with whole_file(self._path) as part:
            part.write_text(json.dumps(content, indent=2) + "\n")


@contextmanager
def _work_folder(target: Path) -> Iterator[Path]:
    """The hidden folder beside `target`, kept from other processes; removed unless painted rows would be lost."""
    folder = target.with_name(f".{target.name}.partial")
    folder.mkdir(parents=True, exist_ok=True)
    keep = False
    with open(folder / "lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise OSError(f"{target} is being made by another process") from error
        # Of the same name, but perhaps of another picture.
        for path in folder.glob("decoded*"):
            path.unlink()
        try:
            yield folder
        except (ValueError, MemoryError):
            raise  # the same command would fail again
        except BaseException:
            keep = (folder / "manifest.json").exists()
            raise
        finally:
            if not keep:
                shutil.rmtree(folder, ignore_errors=True)


def _sized(image: pyvips.Image, size: _Pass | Photo) -> pyvips.Image:
    """`image` at exactly this height and width, by a Lanczos3 filter."""
    if (image.height, image.width) == (size.height, size.width):
        return image
    image = image.resize(size.width / image.width, vscale=size.height / image.height, kernel="lanczos3")
    return image.embed(0, 0, size.width, size.height, extend="copy")  # resize may round to one px less
