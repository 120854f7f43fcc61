"""A new training that begins where another ended: `train.py --init_from`.

Only weights are taken over. Optimisers, step count and run folder are new, so settings may differ; the shape of what is
taken over may not, except that noise (generator.noise_channels) and the scale (generator.scale_range_px) may be added.

In: a fresh SiameseGAN, a run folder or SavedModel. Out: the same GAN with its weights.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import keras
import tensorflow as tf

from gan_hd import export
from gan_hd.config import Config, differences
from gan_hd.gan import SiameseGAN
from gan_hd.models.generator import Generator


def start_from(gan: SiameseGAN, model: str | os.PathLike) -> str:
    """Gives `gan` the weights of `model`.

    The averaged generator becomes both generators. A run folder gives its discriminator too, where it has this one's
    shape; a SavedModel has none.

    Args:
        gan: before its first step.
        model: a run folder, its newest checkpoint, or a SavedModel of this project.

    Returns:
        one line that says what was taken.

    Raises:
        ExportError: there is no model that can be read.
        ValueError: its generator has another shape; names the settings.
    """
    generator, config, step = export.load_generator(model)
    changed = _shape_differences(config, gan.config, "generator.")
    for name in ("generator.noise_channels", "generator.scale_range_px"):
        if name in changed and not changed[name][0]:
            del changed[name]  # the kernels of what is added are zeros at first: nothing changes
    if changed:
        flags = " ".join(
            f"--set={name}={json.dumps(old, separators=(',', ':'))}" for name, (old, _) in changed.items()
        )
        raise ValueError(f"--init_from={model} has another generator: add {flags}")
    theirs = _by_path(generator)
    for ours in map(_by_path, (gan.generator, gan.ema_generator)):
        for path, variable in theirs.items():
            more = ours[path].shape[0] - variable.shape[0]  # the scale comes last in the context
            rows = [[0, more], *([[0, 0]] * (len(variable.shape) - 1))]
            ours[path].assign(tf.pad(variable.value, rows))
    taken = f"generator of step {step}"
    state = tf.train.get_checkpoint_state(str(Path(model) / "ckpt"))
    if (
        state
        and not _shape_differences(config, gan.config, "discriminator.")
        and config.crop_px == gan.config.crop_px
    ):
        values = [variable.value for variable in gan.discriminator.variables]
        status = tf.train.Checkpoint(discriminator=values).restore(state.model_checkpoint_path)
        status.assert_existing_objects_matched().expect_partial()
        taken += ", and its discriminator"
    return f"starting from {model}: {taken}"


def _by_path(generator: Generator) -> dict[str, keras.Variable]:
    """Layer and name, the same in every generator of a shape, -> weight."""
    return {variable.path.removeprefix(f"{generator.name}/"): variable for variable in generator.variables}


def _shape_differences(theirs: Config, ours: Config, section: str) -> dict:
    return {name: pair for name, pair in differences(theirs, ours).items() if name.startswith(section)}
