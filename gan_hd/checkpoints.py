"""The run folder: what a training leaves on disk, and how the same command again carries on.

    RUN_DIR/config.json         the configuration; another one is refused
    RUN_DIR/ckpt/               both networks, the averaged generator, both optimisers, the step
    RUN_DIR/samples/*.png       sample grids
    RUN_DIR/logs/train.jsonl    one line of losses per logging interval; events.* for TensorBoard
    RUN_DIR/logs/evaluation.jsonl   one line per evaluation (watching.py)
    RUN_DIR/best/               the averaged generator of the best evaluation (best.py)
    RUN_DIR/saved_model/        the exported generator

The order of samples is a function of the seed and the step, so the checkpoint holds no iterator.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
from pathlib import Path
from typing import IO

import keras
import tensorflow as tf

from gan_hd import config as config_lib
from gan_hd.config import Config
from gan_hd.files import whole_file
from gan_hd.gan import SiameseGAN


class RunFolderError(ValueError):
    """The folder cannot take this training; the message is one line and says what to do."""


class RunFolder:
    """Opens (making it where it is new) the folder of one training, and keeps other processes out of it.

    A context manager: leaving it lets the next process in. So does the death of the process.

    Args:
        path: RUN_DIR.
        config: of the training that is to run.
        read_only: for the workers beside the chief, which read its checkpoints and write nothing.

    Raises:
        RunFolderError: the folder belongs to another configuration, holds something else, or is in use.
    """

    def __init__(self, path: str | os.PathLike, config: Config, *, read_only: bool = False) -> None:
        self.read_only = read_only
        self.path = Path(path)
        self.checkpoint_dir = self.path / "ckpt"
        self.samples_dir = self.path / "samples"
        self.logs_dir = self.path / "logs"
        self.log_file = self.logs_dir / "train.jsonl"
        self.evaluation_file = self.logs_dir / "evaluation.jsonl"
        self.best_dir = self.path / "best"
        self.saved_model_dir = self.path / "saved_model"
        check_config(self.path, config)
        self._lock: IO[str] | None = None
        if read_only:
            return
        self.path.mkdir(parents=True, exist_ok=True)
        lock = open(self.path / ".lock", "w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.close()
            raise RunFolderError(
                f"--run_dir={self.path} is in use by another training: wait for it or name another folder"
            ) from error
        self._lock = lock
        # Before the subfolders: whoever looks meanwhile must find a run folder, not a stranger's.
        with whole_file(self.path / "config.json") as part:
            part.write_text(config_lib.to_json(config))
        for folder in (self.checkpoint_dir, self.samples_dir, self.logs_dir):
            folder.mkdir(exist_ok=True)

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(self, *error: object) -> None:
        if self._lock is not None:
            self._lock.close()

    def checkpoints(self, gan: SiameseGAN) -> Checkpoints:
        return Checkpoints(self, gan)


def check_config(path: Path, config: Config) -> None:
    """Raises RunFolderError where `path` holds another training, or anything else than a training."""
    file = path / "config.json"
    # Listed before the configuration is looked for: another worker may be making this run folder now, and it
    # writes the configuration before anything else that shows. Hidden files are our own: a lock, a part.
    is_free = not path.exists() or (path.is_dir() and all(p.name.startswith(".") for p in path.iterdir()))
    if not file.exists():
        if not is_free:
            raise RunFolderError(f"--run_dir={path} exists and is not a run folder: name a new folder")
        return
    try:
        stored = config_lib.from_json(file.read_text())
    except ValueError as error:
        raise RunFolderError(f"{file} cannot be used ({error}): name a new --run_dir") from error
    changed = config_lib.differences(stored, config)
    if changed:
        fields = ", ".join(f"{name} is {old}, asked for {new}" for name, (old, new) in changed.items())
        raise RunFolderError(
            f"--run_dir={path} was trained with another configuration ({fields}): "
            "name a new --run_dir, or go back to the old settings"
        )


class Checkpoints:
    """Saves and restores everything that a training is made of."""

    def __init__(self, folder: RunFolder, gan: SiameseGAN) -> None:
        self._folder = folder
        self._gan = gan
        self._checkpoint = tf.train.Checkpoint(
            generator=_values(gan.generator),
            ema_generator=_values(gan.ema_generator),
            discriminator=_values(gan.discriminator),
            g_optimizer=_values(_inner(gan.g_optimizer)),
            d_optimizer=_values(_inner(gan.d_optimizer)),
            # Always there, so that a run may go on in another precision.
            g_loss_scale=_loss_scale(gan.g_optimizer),
            d_loss_scale=_loss_scale(gan.d_optimizer),
            norm_means=gan.norm_means.value,
            step=gan.step.value,
        )
        self._manager = tf.train.CheckpointManager(
            self._checkpoint, str(folder.checkpoint_dir), max_to_keep=2
        )

    def save(self) -> None:
        """Writes a checkpoint; an interrupted write leaves the previous one in force."""
        step = int(self._gan.step.numpy())
        if self._latest_step() != step:
            self._manager.save(checkpoint_number=step)

    def restore(self) -> int:
        """Restores the newest checkpoint that can be read and returns its step; 0 where there is none.

        Log lines that lie after it belong to work that is lost, and are removed.
        """
        for path in reversed(self._manager.checkpoints):
            try:
                self._checkpoint.restore(path).assert_consumed()
                break
            except (tf.errors.OpError, IndexError) as error:  # what TensorFlow raises for damaged files
                logging.warning("%s is damaged (%s), trying the one before", path, str(error).split("\n")[0])
        else:
            if self._manager.checkpoints:
                raise RunFolderError(
                    f"no checkpoint in {self._folder.checkpoint_dir} can be read: name a new --run_dir"
                )
        step = int(self._gan.step.numpy())
        if not self._folder.read_only:
            for file in (self._folder.log_file, self._folder.evaluation_file):
                _drop_lines_after(file, step)
        return step

    def _latest_step(self) -> int | None:
        latest = self._manager.latest_checkpoint
        return int(latest.rpartition("-")[2]) if latest else None


def _values(holder: object) -> list[tf.Variable]:
    """The TensorFlow variables behind a Keras model or optimiser, in their fixed order."""
    return [variable.value for variable in holder.variables]  # type: ignore[attr-defined]


def _inner(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    return getattr(optimizer, "inner_optimizer", optimizer)


def _loss_scale(optimizer: keras.optimizers.Optimizer) -> list[tf.Variable]:
    """Steps since the last change and the scale itself; stand-ins with the initial values where unused."""
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        return [optimizer.step_counter.value, optimizer.dynamic_scale.value]
    return [tf.Variable(0, dtype=tf.int64), tf.Variable(2.0**15)]


def _drop_lines_after(log_file: Path, step: int) -> None:
    if not log_file.exists():
        return
    kept = []
    for line in log_file.read_text().splitlines():
        try:
            if json.loads(line)["step"] <= step:
                kept.append(line + "\n")
        except (json.JSONDecodeError, KeyError):
            continue  # a line cut short by a killed process says nothing
    with whole_file(log_file) as part:
        part.write_text("".join(kept))
