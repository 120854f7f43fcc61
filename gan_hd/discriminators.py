"""The discriminator of a training, kept beside its generator, so that another training can go on with both.

A generator that goes on without the discriminator it was trained with forgets its style before a new one has learned to
tell paint from a photograph (docs/experiments.md). A run folder has D in its checkpoints; a SavedModel has it where
`export --discriminator` wrote DISCRIMINATOR beside it, half-precision weights by their paths.

In and out: a Discriminator, and the folder it comes from or goes to.
"""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np

from gan_hd.config import Config
from gan_hd.models.discriminator import Discriminator
from gan_hd.restoring import NO_CHECKPOINT, restore_parts

#: Name of the file in a SavedModel's folder. TensorFlow does not look at it.
DISCRIMINATOR = "discriminator.npz"


class DiscriminatorError(ValueError):
    """There is a discriminator, and it cannot be read or kept; the message is one line."""


def load(model: str | os.PathLike, config: Config) -> Discriminator | None:
    """The discriminator of a run folder's newest checkpoint, or of a SavedModel; None where there is none.

    Args:
        model: the folder.
        config: of its training.

    Raises:
        DiscriminatorError: what is there is damaged, or of another shape than `config` says.
    """
    folder = Path(model)
    discriminator = Discriminator(config.discriminator, crop_px=config.crop_px)
    values = [variable.value for variable in discriminator.variables]
    reason = restore_parts(folder / "ckpt", discriminator=values)
    file = folder / DISCRIMINATOR
    if reason == NO_CHECKPOINT:
        if not file.exists():
            return None
        reason = _read(discriminator, file)
    if reason:
        raise DiscriminatorError(f"the discriminator of {folder} cannot be read: {reason}")
    return discriminator


def _read(discriminator: Discriminator, file: Path) -> str | None:
    """Gives `discriminator` the weights in `file`; returns None, or in one line why not."""
    try:
        with np.load(file, allow_pickle=False) as stored:
            for path, variable in by_path(discriminator).items():
                variable.assign(stored[path].astype(np.float32))
    except (KeyError, ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        return " ".join(str(error).split())[:200]
    return None


def write(discriminator: Discriminator, file: Path) -> None:
    """Writes the weights as float16, a relative rounding of 2⁻¹¹.

    Raises:
        DiscriminatorError: a weight is not finite, or beyond float16.
    """
    weights = {path: np.asarray(variable) for path, variable in by_path(discriminator).items()}
    most = np.finfo(np.float16).max
    unfit = [path for path, values in weights.items() if not (np.abs(values) <= most).all()]  # nor is NaN
    if unfit:
        raise DiscriminatorError(
            f"weights of the discriminator do not fit into float16: {', '.join(unfit)}; export without it"
        )
    halves: dict[str, Any] = {path: values.astype(np.float16) for path, values in weights.items()}
    np.savez(file, **halves)


def by_path(model: keras.Model) -> dict[str, keras.Variable]:
    """Layer and name, the same in every model of a shape, -> weight."""
    return {variable.path.removeprefix(f"{model.name}/"): variable for variable in model.variables}
