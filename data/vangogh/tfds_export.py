"""The source of ``--source=tfds``: tensorflow-datasets' ``cycle_gan/vangogh2photo`` as two folders
of PNG files.

Conventions: in this data set A is Van Gogh and B is photographs: split trainA -> ``paintings``,
trainB -> ``photos``; 256x256 px, uint8 RGB, stored without loss. The only file that imports
tensorflow-datasets.

In: Manifest (output folder) -> out: files and manifest entries; the number of pictures per domain.

Reference: https://www.tensorflow.org/datasets/catalog/cycle_gan; Zhu, Park, Isola, Efros, "Unpaired
Image-to-Image Translation using Cycle-Consistent Adversarial Networks", 2017 (paintings from
WikiArt, photographs from Flickr)
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from data.vangogh.download import output_errors, sha256_of
from data.vangogh.manifest import Entry, Manifest

DATASET = "cycle_gan/vangogh2photo"
SPLITS = {"paintings": "trainA", "photos": "trainB"}
HOMEPAGE = "https://people.eecs.berkeley.edu/~taesung_park/CycleGAN/datasets/"
_AUTHORS = {
    "paintings": "Vincent van Gogh (reproduction from WikiArt)",
    "photos": "Flickr photographer, not named by the data set",
}


class ExportError(Exception):
    """The data set cannot be had. The text is one line for people."""


def export(
    manifest: Manifest, *, max_pictures: int | None = None, data_dir: str | None = None
) -> dict[str, int]:
    """Writes up to `max_pictures` pictures per domain (None: all) and returns how many each domain
    has.

    Raises:
        ExportError: tensorflow-datasets is not installed, or cannot download.
        OutputError: the output folder cannot be written to.
    """
    tfds = _import_tfds()
    counts = {}
    for domain, split in SPLITS.items():
        folder = manifest.output / domain
        with output_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        images = islice(_images(tfds, split, data_dir), max_pictures)
        counts[domain] = 0
        for index, image in enumerate(tqdm(images, desc=domain, unit="picture", disable=None)):
            _export_one(manifest, domain, split, index, image)
            counts[domain] += 1
    return counts


def _import_tfds() -> Any:
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise ExportError(
            f"--source=tfds needs tensorflow-datasets ({error}). Install it: pip install gan-hd[datasets]"
        ) from error
    return tfds


def _images(tfds: Any, split: str, data_dir: str | None) -> Iterator[np.ndarray]:
    """Yields the pictures of one split, [h, w, 3] uint8 sRGB, always in the same order."""
    try:
        dataset = tfds.load(DATASET, split=split, data_dir=data_dir, shuffle_files=False)
    except Exception as error:
        # It fails with the exceptions of whichever library it downloads with, many of them not even
        # OSError.
        reason = " ".join(str(error).split())[:300]
        raise ExportError(
            f"tensorflow-datasets cannot prepare {DATASET} ({type(error).__name__}: {reason})."
            " Check the internet"
            " connection and the disk, then run the same command again."
        ) from error
    for example in tfds.as_numpy(dataset):
        yield example["image"]


def _export_one(manifest: Manifest, domain: str, split: str, index: int, image: np.ndarray) -> None:
    key = f"tfds:{split}:{index:05d}"
    if manifest.intact(key) is not None:
        return
    title = f"vangogh2photo-{split}-{index:05d}"
    file = f"{domain}/{title}.png"
    path = manifest.output / file
    part = path.with_name(path.name + ".part")
    try:
        with output_errors(path):
            Image.fromarray(image).save(part, format="PNG")
            os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    manifest.add(_entry(key, domain, file, title, path, image))


def _entry(key: str, domain: str, file: str, title: str, path: Path, image: np.ndarray) -> Entry:
    height_px, width_px = image.shape[:2]
    return Entry(
        key=key,
        domain=domain,
        file=file,
        title=title,
        author=_AUTHORS[domain],
        licence="not stated by the data set",
        licence_url="",
        source_page=HOMEPAGE,
        source_url=f"tfds:{DATASET}",
        source_sha1="",
        scaled=False,
        width_px=width_px,
        height_px=height_px,
        size_bytes=path.stat().st_size,
        sha256=sha256_of(path),
    )
