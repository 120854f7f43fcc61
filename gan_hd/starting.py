"""A new training that begins where another ended (`train.py --init_from`), and the mean of both (`export`).

Only weights are taken over. Optimisers, step count and run folder are new, so settings may differ; the shape of what is
taken over may not, except that noise (generator.noise_channels) and the scale (generator.scale_range_px) may be added.

In: a fresh SiameseGAN, a run folder or SavedModel. Out: the same GAN with its weights.
"""

from __future__ import annotations

import json
import os

import tensorflow as tf

from gan_hd import discriminators, export
from gan_hd.config import Config, differences
from gan_hd.discriminators import by_path
from gan_hd.gan import SiameseGAN
from gan_hd.models.generator import Generator


def start_from(
    gan: SiameseGAN, model: str | os.PathLike, *, discriminator_from: str | os.PathLike | None = None
) -> str:
    """Gives `gan` the weights of `model`.

    The averaged generator becomes both generators. The discriminator comes too, where the model has one of this one's
    shape (discriminators.py); while a new one learns, G forgets much of its style. One that learnt the same style
    against another generator holds it as well (docs/experiments.md).

    Args:
        gan: before its first step.
        model: a run folder, its newest checkpoint, or a SavedModel of this project.
        discriminator_from: another one, whose discriminator is taken instead.

    Returns:
        one line that says what was taken.

    Raises:
        ExportError: there is no model that can be read.
        ValueError: its generator has another shape, and the settings are named; its discriminator is damaged; or
            `discriminator_from` has none, or one of another shape.
    """
    weights, config, step = _weights_for(gan.generator, model, flag="init_from")
    for ours in map(by_path, (gan.generator, gan.ema_generator)):
        for path, value in weights.items():
            ours[path].assign(value)
    found = f"starting from {model}: generator of step {step}"
    if discriminator_from:
        _, config, _ = export.load_generator(discriminator_from)
        if reason := _take_discriminator(gan, discriminator_from, config):
            raise ValueError(f"--discriminator_from={discriminator_from}: {reason}")
        return f"{found}, and the discriminator of {discriminator_from}"
    if reason := _take_discriminator(gan, model, config):
        return f"{found}; {reason}: the discriminator is new, and much of the style is lost while it learns"
    return f"{found}, and its discriminator"


def _take_discriminator(gan: SiameseGAN, model: str | os.PathLike, config: Config) -> str | None:
    """Gives `gan` the discriminator of `model`, whose training had `config`; returns None, or in one line why not."""
    kept = discriminators.load(model, config)
    if kept is None:
        return "no discriminator is kept with it"
    if changed := _shapes_of_d(config, gan.config):
        return f"its discriminator goes with {_as_flags(changed)} only"
    ours = by_path(gan.discriminator)
    for path, variable in by_path(kept).items():
        ours[path].assign(variable.value)
    return None


def average_with(generator: Generator, model: str | os.PathLike, *, share: float = 0.5) -> int:
    """Moves all weights by `share` of the way (0..1) to those of `model`; returns its step.

    Between a generator and the one that its training began with lies often a calmer painter than either.

    Raises:
        ExportError, ValueError: as for :func:`start_from`.

    Reference: Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022.
    """
    weights, _, step = _weights_for(generator, model, flag="average_with")
    ours = by_path(generator)
    for path, value in weights.items():
        ours[path].assign(ours[path].value + share * (value - ours[path].value))
    return step


def _weights_for(
    generator: Generator, model: str | os.PathLike, *, flag: str
) -> tuple[dict[str, tf.Tensor], Config, int]:
    """The weights of `model` by their paths in `generator`, its configuration and its step."""
    found, config, step = export.load_generator(model)
    changed = differences(Config(generator=config.generator), Config(generator=generator.config))
    for name in ("generator.noise_channels", "generator.scale_range_px"):
        if name in changed and not changed[name][0]:
            del changed[name]  # the kernels of what is added are zeros at first: nothing changes
    if changed:
        raise ValueError(f"--{flag}={model} has another generator: train with {_as_flags(changed)}")
    shapes = {path: variable.shape for path, variable in by_path(generator).items()}
    weights = {}
    for path, variable in by_path(found).items():
        more = shapes[path][0] - variable.shape[0]  # the scale comes last in the context
        weights[path] = tf.pad(variable.value, [[0, more], *([[0, 0]] * (len(variable.shape) - 1))])
    return weights, config, step


def _shapes_of_d(theirs: Config, ours: Config) -> dict[str, tuple]:
    """Settings in which the shapes of D's weights differ: {name: (theirs, ours)}.

    The weights are the same at any number of scales and, pooled, for any crop.
    """
    changed = differences(theirs, ours)
    shaping = {name for name in changed if name.startswith("discriminator.")} - {"discriminator.scales"}
    if not (theirs.discriminator.pooled and ours.discriminator.pooled):
        shaping |= {"combo.tile_px", "combo.rows", "combo.cols"} & changed.keys()
    return {name: changed[name] for name in sorted(shaping)}


def _as_flags(changed: dict[str, tuple]) -> str:
    """The old values as command-line flags."""
    return " ".join(
        f"--set={name}={json.dumps(old, separators=(',', ':'))}" for name, (old, _) in changed.items()
    )
