"""Training data for the benchmarks: drawn landscapes as both domains, so that no folder has to be named.

In: a configuration. Out: domains of gan_hd.domains, and batches as training sees them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tensorflow as tf

from benchmarks.landscape import draw_picture
from gan_hd import pipeline
from gan_hd.config import Config
from gan_hd.domains import Domain, load_domains

#: Enough for pictures of any training resolution to be cached.
ALL_IN_MEMORY = 2**40


def draw_folder(folder: Path, *, count: int, width: int, height: int) -> Path:
    """Draws `count` JPEGs of width×height px into the folder, where it has none yet."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        path = folder / f"landscape_{width}x{height}_{number}.jpg"
        if not path.exists():
            draw_picture(path, width, height, seed=number)
    return folder


def domains(folder: Path, config: Config, *, memory_bytes: int = ALL_IN_MEMORY) -> tuple[Domain, Domain]:
    """The folder's pictures as content and as style, at most `memory_bytes` of each in memory."""
    domains = load_domains(
        config, content_dir=folder, style_dir=folder, memory_bytes=memory_bytes, progress=False
    )
    return domains["content"], domains["style"]


def training_data(folder: Path, config: Config, *, count: int = 4) -> tuple[tf.data.Dataset, Any]:
    """Batches from pictures in memory, drawn into `folder`, and the first of them.

    A batch is what SiameseGAN.train_step takes; nothing here looks into it.
    """
    side = max(config.content.side_px, config.style.side_px, *config.crop_px)
    draw_folder(folder, count=count, width=side * 3 // 2, height=side)
    batches = pipeline.training_batches(*domains(folder, config), config)
    return batches, next(iter(batches))
