"""Input pipeline: the pictures of two domains -> an endless tf.data stream of batches of random crops.

Order: choose a picture (domains.py) -> random, informative crop, scale jitter, flip (crops.py) -> batch -> prefetch.
Every random choice is a function of (seed, sample index), so a run that starts at sample n sees what an uninterrupted
one would have seen: nothing needs to be saved to resume.

In: two Domains. Out: (content, style), each a pair of crops [batch, crop_h, crop_w, 3], float32 in [-1, 1], and the
Whole (thumbnail.py) of the pictures they are from.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from gan_hd import crops, grain, pixels, runtime
from gan_hd.config import Config
from gan_hd.domains import Domain
from gan_hd.thumbnail import Whole


class Sample(NamedTuple):
    """A crop, and what there is to tell of the picture it is from.

    Attributes:
        pixels: uint8 [crop_h, crop_w, 3].
        thumbnail: uint8 [T, T, 3], mirrored together with the crop.
        side_px: the long side of the picture at the crop's scale.
    """

    pixels: np.ndarray
    thumbnail: np.ndarray
    side_px: float


def training_batches(
    content: Domain, style: Domain, config: Config, *, start_sample: int = 0
) -> tf.data.Dataset:
    """The endless training stream from sample `start_sample` on."""
    batch, seed, crop_px = config.train.batch_size, config.train.seed, config.crop_px

    def draw(indices: np.ndarray) -> list[np.ndarray]:
        parts: list[np.ndarray] = []
        for domain, stream in ((content, 2 * seed), (style, 2 * seed + 1)):
            parts += _stacked([random_sample(domain, int(k), crop_px=crop_px, seed=stream) for k in indices])
        return parts

    shapes = [
        shape
        for domain in (content, style)
        for shape in ([*crop_px, 3], list(domain.thumbnails.shape[1:]), [])
    ]

    def samples(indices: tf.Tensor) -> tuple[tuple[tf.Tensor, Whole], tuple[tf.Tensor, Whole]]:
        # A call into Python costs more than a crop: one for the whole batch.
        parts = tf.numpy_function(draw, [indices], [tf.uint8, tf.uint8, tf.float32] * 2)
        parts = [
            tf.ensure_shape(part, [indices.shape[0], *shape])
            for part, shape in zip(parts, shapes, strict=True)
        ]
        a, b = (
            (pixels.tensor_to_float(found), Whole(pixels.tensor_to_float(thumbnails), sides_px))
            for found, thumbnails, sides_px in (parts[:3], parts[3:])
        )
        return a, b

    options = tf.data.Options()
    # Files have nothing to do with the order of samples; workers take turns over the samples.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return (
        tf.data.Dataset.counter(start_sample)
        .batch(batch, drop_remainder=True)
        .map(samples, num_parallel_calls=runtime.cpu_count(), deterministic=True)
        .prefetch(4)
        .with_options(options)
    )


def random_sample(domain: Domain, index: int, *, crop_px: tuple[int, int], seed: int) -> Sample:
    """Crop number `index` of the stream `seed`, and what there is to tell of the picture it is from.

    Args:
        domain: where from.
        index: the sample's number.
        crop_px: height and width of the crop.
        seed: the stream; the same (seed, index) gives the same crop, always.
    """
    number = domain.number(index, seed)
    random = np.random.Generator(np.random.Philox(key=[seed % 2**63, index]))
    draws = random.random(crops.draws_needed(domain.config))
    picture, small = domain.picture(number), domain.thumbnails[number]
    crop = crops.random_crop(picture, draws, domain.config, crop_px=crop_px)
    ys, xs = (  # as if it were cut out anywhere
        np.arange(side) + int(draw * grain.PERIOD) for side, draw in zip(crop_px, draws[-2:], strict=True)
    )
    window = grain.with_grain(crop.pixels, ys, xs, cell_px=domain.grain_px)
    return Sample(window, small[:, ::-1] if crop.mirrored else small, max(picture.shape[:2]) / crop.scale)


def fixed_samples(
    domain: Domain, *, crop_px: tuple[int, int], count: int, seed: int
) -> tuple[np.ndarray, Whole]:
    """`count` samples that never change, for grids: crops [count, h, w, 3] float32 in [-1, 1], and their Whole."""
    samples = [random_sample(domain, index, crop_px=crop_px, seed=seed) for index in range(count)]
    found, thumbnails, sides_px = _stacked(samples)
    return pixels.to_float(found), Whole(pixels.to_float(thumbnails), sides_px)


def _stacked(samples: list[Sample]) -> list[np.ndarray]:
    """uint8 [n, crop_h, crop_w, 3], uint8 [n, T, T, 3], float32 [n]."""
    found, thumbnails, sides_px = zip(*samples, strict=True)
    return [np.stack(found), np.stack(thumbnails), np.array(sides_px, np.float32)]
