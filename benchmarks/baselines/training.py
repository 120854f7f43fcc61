"""Trains a baseline from folders to SavedModel, as gan_hd.training does with the project's own method.

In: a method's name, a validated configuration, two folders. Out: the run folder:

    RUN_DIR/baseline.json      the method and the configuration; another one is refused
    RUN_DIR/ckpt/              everything that resuming needs
    RUN_DIR/logs/train.jsonl   a line of means per interval
    RUN_DIR/samples/*.png      rows of photo | translation | painting
    RUN_DIR/saved_model/       the averaged generator, when training reaches its steps
"""

from __future__ import annotations

import dataclasses
import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import PIL.Image
import tensorflow as tf

from benchmarks.baselines.adversarial import Baseline
from benchmarks.baselines.cut import CUT
from benchmarks.baselines.cyclegan import CycleGAN
from gan_hd import callbacks, pipeline, pixels, runtime
from gan_hd.config import Config
from gan_hd.domains import load_domains
from gan_hd.export import export_generator
from gan_hd.files import whole_file

METHODS: dict[str, type[Baseline]] = {"cyclegan": CycleGAN, "cut": CUT}
_ROWS = 5


class BaselineError(ValueError):
    """The folder cannot take this training; the message is one line."""


class BrokenError(RuntimeError):
    """A value became NaN or infinite; the last checkpoint is older."""


@dataclass(frozen=True)
class Outcome:
    """How a training ended.

    Attributes:
        saved_model: the exported model, or None where a signal stopped the training.
        signal_number: that signal, or None.
        skipped: path -> reason, the pictures that could not be read.
    """

    saved_model: Path | None
    signal_number: int | None
    skipped: dict[str, str]


def train(
    method: str,
    config: Config,
    *,
    content_dir: str,
    style_dir: str,
    run_dir: str,
    steps: int,
    precision: str = "auto",
    every: int = 250,
) -> Outcome:
    """Trains until `steps` updates are made in all, resuming where the run folder stands, then exports.

    Args:
        method: a key of METHODS.
        config: a validated configuration; domains, crop size, generator, batch size and seed are used.
        content_dir, style_dir: see gan_hd.files.find_pictures.
        run_dir: where everything goes.
        steps: counted from the first start.
        precision: see gan_hd.runtime.choose_precision.
        every: steps between log lines, sample grids and checkpoints.

    Returns:
        how it ended.

    Raises:
        EmptyDomainError: a folder without pictures.
        BaselineError: the run folder is of another training.
        BrokenError: a loss became NaN or infinite.
    """
    # Neither method has a place for what G could be told about the whole picture.
    config = dataclasses.replace(
        config, generator=dataclasses.replace(config.generator, context_size=0, scale_range_px=())
    )
    folder = Path(run_dir)
    claim(folder, {"method": method, "config": json.loads(json.dumps(dataclasses.asdict(config)))})
    domains = load_domains(config, content_dir=content_dir, style_dir=style_dir, memory_bytes=2 * 2**30)
    skipped = domains["content"].skipped | domains["style"].skipped
    model = METHODS[method](config, dtype=runtime.choose_precision(precision))
    manager = tf.train.CheckpointManager(
        tf.train.Checkpoint(values=[variable.value for variable in _state(model)], step=model.step),
        str(folder / "ckpt"),
        max_to_keep=2,
    )
    if manager.latest_checkpoint:
        manager.checkpoint.restore(manager.latest_checkpoint).assert_consumed()
    first_step = int(model.step.numpy())
    logging.info(
        "%s, %s, precision %s, step %d of %d",
        method,
        runtime.describe_devices(),
        model.dtype_policy.name,
        first_step,
        steps,
    )
    grid_px = (2 * config.crop_px[0], 2 * config.crop_px[1])
    shown = [
        pipeline.fixed_samples(domain, crop_px=grid_px, count=_ROWS, seed=seed)[0]
        for seed, domain in zip((-1, -2), domains.values(), strict=True)
    ]
    stop, keeper = callbacks.GracefulStop(), _Keeper(folder, manager, shown, every=every)
    if first_step < steps:
        batch_size = config.train.batch_size
        progress = callbacks.Progress(total_steps=steps, batch_size=batch_size, every=10)
        model.fit(
            pipeline.training_batches(
                domains["content"], domains["style"], config, start_sample=first_step * batch_size
            ),
            steps_per_epoch=steps - first_step,
            shuffle=False,
            verbose=0,
            callbacks=[progress, keeper, stop],
        )
    step = int(model.step.numpy())
    if keeper.broken:
        raise BrokenError(f"{method}: stopped at step {step} because a loss was not finite")
    if step < steps:
        return Outcome(None, stop.signal_number, skipped)
    saved_model = export_generator(
        model.ema_generator,
        folder / "saved_model",
        config=config,
        step=step,
        description=f"baseline {method}, trained on {len(domains['content'])} content and "
        f"{len(domains['style'])} style pictures",
    )
    return Outcome(saved_model, None, skipped)


def claim(folder: Path, settings: dict[str, Any]) -> None:
    """Makes the run folder, or checks that it is of this very training; `settings` as JSON knows them."""
    file = folder / "baseline.json"
    if file.is_file():
        if json.loads(file.read_text()) != settings:
            raise BaselineError(f"--run_dir={folder} was trained with other settings: name a new folder")
        return
    if folder.exists() and any(folder.iterdir()):
        raise BaselineError(f"--run_dir={folder} exists and is no baseline's: name a new folder")
    for part in ("logs", "samples"):
        (folder / part).mkdir(parents=True)
    with whole_file(file) as part_file:
        part_file.write_text(json.dumps(settings, indent=2) + "\n")


def _state(model: Baseline) -> list[Any]:
    """Weights of all networks and both optimisers, in a fixed order."""
    means = {id(variable) for mean in model.metrics for variable in mean.variables}
    weights = [variable for variable in model.variables if id(variable) not in means]
    return [*weights, *model.g_optimizer.variables, *model.d_optimizer.variables]


class _Keeper(keras.callbacks.Callback):
    """Every `every` steps and at the end: a line of means, and, unless a value is not finite, a checkpoint and a grid.

    Args:
        folder: of the run.
        manager: saves checkpoints.
        shown: photographs and paintings for the grid, [n, h, w, 3] float32 in [-1, 1] each.
        every: steps.

    `broken` says that a value was not finite; training then stops.
    """

    def __init__(
        self, folder: Path, manager: tf.train.CheckpointManager, shown: list[np.ndarray], *, every: int
    ) -> None:
        super().__init__()
        self._folder, self._manager, self._shown, self._every = folder, manager, shown, every
        self.broken = False

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if int(self.model.step.numpy()) % self._every == 0:
            self._keep()

    def on_train_end(self, logs: Any = None) -> None:
        if int(self.model.step.numpy()) % self._every:
            self._keep()

    def _keep(self) -> None:
        step = int(self.model.step.numpy())
        values = {name: float(mean.result()) for name, mean in self.model.means.items()}
        for mean in self.model.means.values():
            mean.reset_state()
        with open(self._folder / "logs" / "train.jsonl", "a") as log:
            log.write(json.dumps({"step": step} | values) + "\n")
        self.broken = not all(abs(value) < float("inf") for value in values.values())
        if self.broken:
            self.model.stop_training = True
            return
        self._manager.save(checkpoint_number=step)
        content, style = self._shown
        translated = np.concatenate([self.model(x[None]).numpy() for x in content])
        grid = pixels.to_integer(np.concatenate(np.concatenate([content, translated, style], axis=2)))
        with whole_file(self._folder / "samples" / f"step_{step:07d}.png") as part:
            PIL.Image.fromarray(grid).save(part)
