"""Input pipeline: folders of pictures -> an endless tf.data stream of batches of random crops.

Order: files -> decode and shrink to the training resolution -> cache as uint8 (what does not fit the budget is
decoded anew each time) -> choose a picture -> random, informative crop -> scale jitter, flip -> batch ->
prefetch. Every random choice is a function of (seed, sample index), so a run that starts at sample n sees
what an uninterrupted one would have seen: nothing needs to be saved to resume.

In: paths. Out: (content, style), each a pair of crops [batch, crop_h, crop_w, 3] and thumbnails of the pictures they
are from [batch, T, T, 3], float32 in [-1, 1].
"""

from __future__ import annotations

import logging
import os
import sys
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from gan_hd import files, pictures, pixels, runtime
from gan_hd.config import Config, DomainConfig
from gan_hd.thumbnail import thumbnail

T = TypeVar("T")
_ALIGN = 64  # bytes; slices of a tensor that start and end on this boundary share its memory


class EmptyDomainError(ValueError):
    """A folder gave no usable picture. The message says which and why, in one line."""


@dataclass(frozen=True)
class Domain:
    """The pictures of one domain at training resolution.

    Cached pictures lie one after another in one flat tensor, each row padded to `pitch` bytes so that a picture
    is a slice without a copy. Pictures beyond the memory budget have offset -1 and are read from their file.
    """

    name: str
    config: DomainConfig
    paths: list[str]
    heights: np.ndarray  # int64 [n]
    widths: np.ndarray  # int64 [n]
    offsets: np.ndarray  # int64 [n], bytes into `pool`, or -1
    pool: tf.Tensor  # uint8 [bytes]
    thumbnails: tf.Tensor  # uint8 [n, T, T, 3]
    min_side_px: int  # smaller pictures are enlarged to this
    skipped: dict[str, str]  # path -> why

    def __len__(self) -> int:
        return len(self.paths)


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
        memory_bytes: at most this much is cached.
        thumbnail_px: T, side of the thumbnails.
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
    offsets: list[int] = []
    chunks: list[np.ndarray] = []
    thumbnails: list[np.ndarray] = []
    used, enlarged, skipped = 0, 0, {}
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
        block = _padded_rows(picture)
        fits = used + block.nbytes <= memory_bytes
        kept.append(str(path))
        thumbnails.append(pixels.to_integer(thumbnail(picture, thumbnail_px)))
        sizes.append((height, width))
        offsets.append(used if fits else -1)
        if fits:
            chunks.append(block.reshape(-1))
            used += block.nbytes
    for bad, why in skipped.items():
        logging.warning("skipped %s: %s", bad, why)
    if not kept:
        first = next(iter(skipped.values()))
        raise EmptyDomainError(
            f"--{name}_dir: none of the {len(paths)} files in {source} can be read (the first: {first}).{hint}"
        )
    streamed = sum(offset < 0 for offset in offsets)
    logging.info(
        "%s: %d pictures from %s, %d skipped, %.0f MiB cached%s%s",
        name,
        len(kept),
        source,
        len(skipped),
        used / 2**20,
        f", {streamed} read anew for each crop (see --cache_gib)" if streamed else "",
        f", {enlarged} enlarged to or just as large as a crop" if enlarged else "",
    )
    heights, widths = np.array(sizes, np.int64).T
    pool = _pool(chunks, used)
    with tf.device("CPU"):
        small = tf.constant(np.stack(thumbnails))
    offset_of = np.array(offsets, np.int64)
    return Domain(name, config, kept, heights, widths, offset_of, pool, small, min_side_px, skipped)


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


def _pool(chunks: list[np.ndarray], size: int) -> tf.Tensor:
    """Joins the chunks, letting go of each as it is copied; leaves `chunks` empty."""
    joined = np.zeros(max(size, _ALIGN), np.uint8)
    end = size
    while chunks:
        chunk = chunks.pop()
        joined[end - chunk.size : end] = chunk
        end -= chunk.size
    with tf.device("CPU"):
        return tf.constant(joined)


def _read_at(path: str, config: DomainConfig, min_side_px: int) -> np.ndarray:
    """Reads at training resolution; a picture smaller than a crop is enlarged until it covers one."""
    picture = pictures.read_rgb(path, side=config.side, side_px=config.side_px)
    return pictures.enlarge_to_cover(picture, min_side_px)


def _padded_rows(picture: np.ndarray) -> np.ndarray:
    """uint8 [h, w, 3] -> uint8 [h, pitch], the pitch being 3·w rounded up to the alignment."""
    height, width = picture.shape[:2]
    block = np.zeros((height, -(-3 * width // _ALIGN) * _ALIGN), np.uint8)
    block[:, : width * 3] = picture.reshape(height, -1)
    return block


def training_batches(
    content: Domain, style: Domain, config: Config, *, start_sample: int = 0
) -> tf.data.Dataset:
    """The endless training stream from sample `start_sample` on."""
    batch, seed = config.train.batch_size, config.train.seed
    options = tf.data.Options()
    # Files have nothing to do with the order of samples; workers take turns over the samples.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return (
        tf.data.Dataset.counter(start_sample)
        .map(
            lambda index: (
                random_sample(content, index, crop_px=config.crop_px, seed=2 * seed),
                random_sample(style, index, crop_px=config.crop_px, seed=2 * seed + 1),
            ),
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )
        .batch(batch, drop_remainder=True)
        .prefetch(4)
        .with_options(options)
    )


def random_crop(domain: Domain, index: tf.Tensor, *, crop_px: tuple[int, int], seed: int) -> tf.Tensor:
    """The crop alone of :func:`random_sample`."""
    return random_sample(domain, index, crop_px=crop_px, seed=seed)[0]


def random_sample(
    domain: Domain, index: tf.Tensor, *, crop_px: tuple[int, int], seed: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Crop number `index` of the stream `seed`, and the thumbnail of the picture it is from.

    Args:
        domain: where from.
        index: int64 scalar, the sample's number.
        crop_px: height and width of the crop.
        seed: the stream; the same (seed, index) gives the same crop, always.

    Returns:
        [crop_h, crop_w, 3] and [T, T, 3], float32 in [-1, 1]; mirrored together.
    """
    config, count = domain.config, len(domain)
    index = tf.cast(index, tf.int64)
    # Each pass over the pictures visits every one once, in an order of its own.
    epoch, place = index // count, index % count
    choice = tf.random.experimental.index_shuffle(
        place, tf.stack([tf.constant(seed, tf.int64), epoch]), tf.constant(count - 1, tf.int64)
    )
    height, width = tf.constant(domain.heights)[choice], tf.constant(domain.widths)[choice]
    picture = _picture(domain, choice, height, width)  # [height, pitch] uint8

    # One draw per choice: scale, flat or not, flip, and a position per candidate.
    draws = tf.random.stateless_uniform(
        [3 + 2 * config.candidates], tf.stack([tf.constant(seed, tf.int64), index])
    )
    window_h, window_w = _window(config, draws[0], height, width, crop_px)

    best, best_score = None, None
    for candidate in range(config.candidates):
        y = _position(draws[3 + 2 * candidate], height - window_h)
        x = _position(draws[4 + 2 * candidate], width - window_w)
        window = picture[y : y + window_h, 3 * x : 3 * (x + window_w)]
        if config.candidates == 1:
            best = window
            break
        # Candidates after the first count only where a structured crop is wanted.
        score = structure(tf.reshape(window, [window_h, window_w, 3]))
        score = score if candidate == 0 else tf.where(draws[1] < config.flat_share, -1.0, score)
        better = best_score is None or score > best_score
        best = window if best_score is None else tf.cond(better, lambda w=window: w, lambda b=best: b)
        best_score = score if best_score is None else tf.maximum(score, best_score)
    crop = tf.cast(tf.reshape(best, [window_h, window_w, 3]), tf.float32)
    crop = tf.cond(
        (window_h == crop_px[0]) & (window_w == crop_px[1]),
        lambda: crop,
        lambda: tf.image.resize(crop, crop_px, "lanczos3", antialias=True),
    )
    small = domain.thumbnails[choice]
    if config.flip:
        crop, small = tf.cond(
            draws[2] < 0.5, lambda: (tf.reverse(crop, [1]), tf.reverse(small, [1])), lambda: (crop, small)
        )
    crop = tf.clip_by_value(pixels.tensor_to_float(crop), -1.0, 1.0)
    return tf.ensure_shape(crop, [*crop_px, 3]), pixels.tensor_to_float(small)


def structure(window: tf.Tensor) -> tf.Tensor:
    """How much there is to see in uint8 [h, w, 3]: mean absolute luma step over 4 px, 0..255, float32.

    Steps over 4 px of every second pixel: grain counts little, edges and strokes count much.
    """
    luma = tf.reduce_mean(tf.cast(window[::2, ::2], tf.float32), axis=-1)
    vertical = tf.reduce_mean(tf.abs(luma[2:] - luma[:-2]))
    return vertical + tf.reduce_mean(tf.abs(luma[:, 2:] - luma[:, :-2]))


def _picture(domain: Domain, choice: tf.Tensor, height: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
    """uint8 [height, pitch]: from the cache without a copy, or from the file."""
    pitch = -(-3 * width // _ALIGN) * _ALIGN
    offset = tf.constant(domain.offsets)[choice]

    def from_cache() -> tf.Tensor:
        return tf.reshape(tf.slice(domain.pool, [offset], [height * pitch]), [height, pitch])

    def read(number: np.ndarray) -> np.ndarray:
        path, size = domain.paths[number], (domain.heights[number], domain.widths[number])
        picture = _read_at(path, domain.config, domain.min_side_px)
        if picture.shape[:2] != size:
            raise pictures.PictureError(f"{path}: the file has changed since training started")
        return _padded_rows(picture)

    def from_file() -> tf.Tensor:
        return tf.ensure_shape(tf.numpy_function(read, [choice], tf.uint8), [None, None])

    if (domain.offsets >= 0).all():
        return from_cache()
    return tf.cond(offset >= 0, from_cache, from_file)


def _window(
    config: DomainConfig, draw: tf.Tensor, height: tf.Tensor, width: tf.Tensor, crop_px: tuple[int, int]
) -> tuple[tf.Tensor, tf.Tensor]:
    """Height and width of the window to cut, log-uniform in scale, never beyond the picture."""
    log_min, log_max = np.log(config.scale_min), np.log(config.scale_max)
    scale = tf.exp(log_min + draw * (log_max - log_min))
    fits = tf.minimum(tf.cast(height, tf.float32) / crop_px[0], tf.cast(width, tf.float32) / crop_px[1])
    scale = tf.minimum(scale, fits)
    window = [tf.cast(tf.round(scale * side), tf.int64) for side in crop_px]
    return tf.minimum(window[0], height), tf.minimum(window[1], width)


def _position(draw: tf.Tensor, room: tf.Tensor) -> tf.Tensor:
    """Uniform over 0 … room, both included; `draw` in [0, 1)."""
    return tf.minimum(tf.cast(draw * tf.cast(room + 1, tf.float32), tf.int64), room)


def fixed_samples(
    domain: Domain, *, crop_px: tuple[int, int], count: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """`count` samples that never change, for sample grids: crops [count, h, w, 3], thumbnails [count, T, T, 3]."""
    samples = [
        random_sample(domain, tf.constant(index), crop_px=crop_px, seed=seed) for index in range(count)
    ]
    crops, thumbnails = zip(*samples, strict=True)
    return np.stack(crops), np.stack(thumbnails)
