"""The pictures of a training: a folder -> a Domain, which has each of them at training resolution when it is asked.

Files are found, decoded and shrunk once, and kept as uint8 as far as the memory goes. What does not fit is decoded now
and then, and cropped several times each time; which picture a sample is from follows from (seed, sample index) alone.

In: a folder, a glob or a file. Out: pictures uint8 [h, w, 3] and thumbnails uint8 [T, T, 3], by number.
"""

from __future__ import annotations

import functools
import logging
import os
import sys
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
from tqdm import tqdm

from gan_hd import files, pictures, pixels, runtime
from gan_hd.config import Config, DomainConfig
from gan_hd.thumbnail import thumbnail

T = TypeVar("T")

#: Where not all pictures fit the memory, so many of them are at hand at a time, and each is cropped so many times
#: before another takes its place.
_SLOTS, _VISITS = 16, 32
#: Pictures kept beyond the slots: batches are made in advance, and not quite in order.
_SPARE = 8


class EmptyDomainError(ValueError):
    """A folder gave no usable picture. The message says which and why, in one line."""


class Decoded:
    """The pictures decoded last, at most `most`; each is decoded once even if several threads ask for it."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._lock = threading.Lock()
        self._pictures: OrderedDict[int, Future[np.ndarray]] = OrderedDict()

    def get(self, number: int, read: Callable[[], np.ndarray]) -> np.ndarray:
        """Picture `number`, by `read` where it is not at hand; what `read` raises is raised."""
        with self._lock:
            future = self._pictures.get(number)
            mine = future is None
            if future is None:
                future = self._pictures[number] = Future()
                while len(self._pictures) > self.most:
                    self._pictures.popitem(last=False)
            self._pictures.move_to_end(number)
        if mine:
            try:
                future.set_result(read())
            except BaseException as error:
                future.set_exception(error)
        return future.result()


@dataclass(frozen=True)
class Domain:
    """The pictures of one domain at training resolution.

    Samples take turns over `slots` pictures; each picture keeps its slot for `visits` turns. Where all pictures are in
    memory, there is a slot for every one and a turn is an epoch.
    """

    name: str
    config: DomainConfig
    paths: list[str]
    sizes: list[tuple[int, int]]  # height, width
    pictures: list[np.ndarray | None]  # uint8 [h, w, 3]; None where there was no memory left for it
    thumbnails: np.ndarray  # uint8 [n, T, T, 3]
    min_side_px: int  # smaller pictures are enlarged to this
    skipped: dict[str, str]  # path -> why
    slots: int
    visits: int
    grain_px: int = 0  # side of the cells that get a grain where they are of one colour; 0 for none
    decoded: Decoded = field(default_factory=lambda: Decoded(_SLOTS + _SPARE))

    def __len__(self) -> int:
        return len(self.paths)

    def number(self, index: int, seed: int) -> int:
        """Which picture sample `index` of the stream `seed` is from."""
        turn, place = divmod(index // self.config.crops_per_picture, self.slots)
        slot = int(_shuffled(self.slots, seed, 0, turn)[place])
        # Slots change their pictures at different turns, so that decoding is spread evenly.
        generation = (turn + slot * self.visits // self.slots) // self.visits
        epoch, place = divmod(generation * self.slots + slot, len(self))
        return int(_shuffled(len(self), seed, 1, epoch)[place])

    def picture(self, number: int) -> np.ndarray:
        """uint8 [h, w, 3], from memory or from the file.

        Raises:
            PictureError: the file cannot be read any more, or is another.
        """
        kept = self.pictures[number]
        return self.decoded.get(number, lambda: self._read(number)) if kept is None else kept

    def _read(self, number: int) -> np.ndarray:
        picture = _read_at(self.paths[number], self.config, self.min_side_px)
        if picture.shape[:2] != self.sizes[number]:
            raise pictures.PictureError(f"{self.paths[number]}: the file has changed since training started")
        return picture


@functools.lru_cache(maxsize=64)
def _shuffled(count: int, seed: int, stream: int, turn: int) -> np.ndarray:
    """0 … count−1 in an order of its own for each turn."""
    return np.random.default_rng([seed % 2**63, stream, turn]).permutation(count)


def load_domains(
    config: Config,
    *,
    content_dir: str | os.PathLike,
    style_dir: str | os.PathLike,
    memory_bytes: int,
    hint: str = "",
    progress: bool = True,
) -> dict[str, Domain]:
    """Both domains of a training, "content" and "style"; `memory_bytes` and all else as for :func:`load_domain`."""
    return {
        name: load_domain(
            source,
            domain,
            name=name,
            min_side_px=max(config.crop_px),
            grain_px=config.generator.grain_px if name == "content" else 0,
            memory_bytes=memory_bytes,
            thumbnail_px=config.generator.thumbnail_px,
            holdout=config.train.holdout,
            hint=hint,
            progress=progress,
        )
        for name, source, domain in (
            ("content", content_dir, config.content),
            ("style", style_dir, config.style),
        )
    }


def load_domain(
    source: str | os.PathLike,
    config: DomainConfig,
    *,
    name: str,
    min_side_px: int,
    memory_bytes: int,
    thumbnail_px: int,
    grain_px: int = 0,
    holdout: float = 0.0,
    hint: str = "",
    progress: bool = True,
) -> Domain:
    """Finds, decodes and caches the pictures of one domain.

    Args:
        source: folder, glob or file.
        config: the domain's training resolution.
        name: "content" or "style", for messages.
        min_side_px: pictures with a side below this after shrinking are enlarged to it, and counted.
        memory_bytes: at most this much is kept, and at least 16 pictures where not all fit.
        thumbnail_px: T, side of the thumbnails.
        grain_px: of the Domain.
        holdout: share of the pictures that is left out; see files.held_out.
        hint: what to do about an empty folder, appended to that error.

    Raises:
        EmptyDomainError: where nothing can be read; names the reasons.
    """
    try:
        paths = files.find_pictures(source)
    except FileNotFoundError as error:
        raise EmptyDomainError(f"--{name}_dir: {error}.{hint}") from error
    if not paths:
        raise EmptyDomainError(f"--{name}_dir: no pictures in {source}.{hint}")
    paths, _ = files.held_out(paths, holdout)
    if not paths:
        raise EmptyDomainError(f"--{name}_dir: --holdout={holdout} leaves no picture of {source} to train on")

    def read(path: Path) -> np.ndarray | str:
        try:
            return _read_at(str(path), config, min_side_px)
        except pictures.PictureError as error:
            return str(error).removeprefix(f"{path}: ")

    kept: list[str] = []
    sizes: list[tuple[int, int]] = []
    in_memory: list[np.ndarray | None] = []
    thumbnails: list[np.ndarray] = []
    used, largest, enlarged, skipped = 0, 0, 0, {}
    bar = tqdm(
        _read_ahead(paths, read),
        total=len(paths),
        desc=f"reading {name}",
        unit="picture",
        disable=not progress,
        file=sys.stderr,
    )
    for path, picture in zip(paths, bar, strict=True):
        if isinstance(picture, str):
            skipped[str(path)] = picture
            continue
        height, width = picture.shape[:2]
        enlarged += min(height, width) == min_side_px
        kept.append(str(path))
        thumbnails.append(pixels.to_integer(thumbnail(picture, thumbnail_px)))
        sizes.append((height, width))
        fits = used + picture.nbytes <= memory_bytes
        in_memory.append(picture if fits else None)
        used += picture.nbytes if fits else 0
        largest = max(largest, picture.nbytes)
    for bad, why in skipped.items():
        logging.warning("skipped %s: %s", bad, why)
    if not kept:
        first = next(iter(skipped.values()))
        raise EmptyDomainError(
            f"--{name}_dir: none of the {len(paths)} files in {source} can be read (the first: {first}).{hint}"
        )
    streams = any(picture is None for picture in in_memory)
    if streams:  # the pictures at hand need their share of the memory
        for number in reversed(range(len(kept))):
            picture = in_memory[number]
            if picture is not None and used + (_SLOTS + _SPARE) * largest > memory_bytes:
                used -= picture.nbytes
                in_memory[number] = None
    streamed = sum(picture is None for picture in in_memory)
    logging.info(
        "%s: %d pictures from %s, %d skipped, %.0f MiB in memory%s%s",
        name,
        len(kept),
        source,
        len(skipped),
        used / 2**20,
        f", {streamed} read now and then (see --cache_gib)" if streams else "",
        f", {enlarged} enlarged to or just as large as a crop" if enlarged else "",
    )
    slots, visits = (min(_SLOTS, len(kept)), _VISITS) if streams else (len(kept), 1)
    return Domain(
        name,
        config,
        kept,
        sizes,
        in_memory,
        np.stack(thumbnails),
        min_side_px,
        skipped,
        slots=slots,
        visits=visits,
        grain_px=grain_px,
    )


def _read_ahead(paths: list[Path], read: Callable[[Path], T]) -> Iterator[T]:
    """read(path) for all paths, in order, on all cores, with few results waiting."""
    cores = runtime.cpu_count()
    with ThreadPoolExecutor(cores) as workers:
        waiting: deque[Future[T]] = deque()
        for path in paths:
            waiting.append(workers.submit(read, path))
            if len(waiting) > 2 * cores:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _read_at(path: str, config: DomainConfig, min_side_px: int) -> np.ndarray:
    """Reads at training resolution; a picture smaller than a crop is enlarged until it covers one."""
    picture = pictures.read_rgb(path, side=config.side, side_px=config.side_px)
    return pictures.enlarge_to_cover(picture, min_side_px)
