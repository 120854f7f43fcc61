"""What watches a training: progress bar, logs, sample grids, health alarms, checkpoints and a graceful stop.

All are Keras callbacks for ``SiameseGAN.fit``; each looks at the step count and acts at its own interval, so a
resumed run acts at the same steps as an uninterrupted one.
"""

from __future__ import annotations

import json
import logging
import math
import signal
import sys
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
import PIL.Image
import tensorflow as tf
from tqdm import tqdm

from gan_hd import pixels
from gan_hd.checkpoints import Checkpoints
from gan_hd.files import whole_file
from gan_hd.gan import SiameseGAN
from gan_hd.thumbnail import Whole


class Interval(keras.callbacks.Callback):
    """Calls `act` at each multiple of `every` steps, and at the end where `at_end` is set."""

    at_end = True

    def __init__(self, every: int) -> None:
        super().__init__()
        self.every = every
        self.step = 0
        self._acted_at = -1

    def on_train_begin(self, logs: Any = None) -> None:
        self.step = int(self.model.step.numpy())

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.step += 1
        if self.step % self.every == 0:
            self._act()

    def on_train_end(self, logs: Any = None) -> None:
        if self.at_end and self._acted_at != self.step:
            self._act()

    def _act(self) -> None:
        self._acted_at = self.step
        self.act()

    def act(self) -> None:
        raise NotImplementedError


class Progress(Interval):
    """A tqdm bar over all steps of the run with crops per second and time left."""

    at_end = False

    def __init__(self, *, total_steps: int, batch_size: int, every: int) -> None:
        super().__init__(every)
        self.total_steps = total_steps
        self.batch_size = batch_size

    def on_train_begin(self, logs: Any = None) -> None:
        super().on_train_begin()
        self._started, self._first = time.monotonic(), self.step
        self.bar = tqdm(
            total=self.total_steps,
            initial=self.step,
            unit="step",
            desc="training",
            file=sys.stderr,
            dynamic_ncols=True,
        )

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        super().on_train_batch_end(batch, logs)
        self.bar.update(1)

    def act(self) -> None:
        rate = (self.step - self._first) * self.batch_size / (time.monotonic() - self._started)
        self.bar.set_postfix_str(f"{rate:.1f} crops/s")

    def on_train_end(self, logs: Any = None) -> None:
        self.bar.close()


class ScalarLog(Interval):
    """Means of all terms over each interval, to logs/train.jsonl and TensorBoard; raises the alarms.

    What nothing can recover from stops the training at its line; `broken` says why. With several workers each runs
    this callback, because the means are gathered from all; only the chief, the one with a `log_file`, writes and
    speaks.
    """

    def __init__(
        self, *, every: int, log_file: Path | None, writer: tf.summary.SummaryWriter, batch_size: int
    ) -> None:
        super().__init__(every)
        self.log_file = log_file
        self.writer = writer
        self.batch_size = batch_size

    def on_train_begin(self, logs: Any = None) -> None:
        super().on_train_begin()
        self.broken: str | None = None
        self._time, self._logged_step = time.monotonic(), self.step
        self.alarms = HealthAlarms(self.model.config.losses.margin, can_rank=self.batch_size > 2)

    def act(self) -> None:
        now = time.monotonic()
        values = {name: float(mean.result()) for name, mean in self.model.means.items()}
        for mean in self.model.means.values():
            mean.reset_state()
        steps = self.step - self._logged_step
        values["crops_per_sec"] = steps * self.batch_size / max(now - self._time, 1e-9)
        self._time, self._logged_step = now, self.step
        self.broken = self.alarms.fatal(self.step, values)
        if self.broken:
            self.model.stop_training = True
        if self.log_file is None:
            return
        with open(self.log_file, "a") as log:
            log.write(
                json.dumps({"step": self.step, "images_seen": self.step * self.batch_size} | values) + "\n"
            )
        with self.writer.as_default(step=self.step):
            for name, value in values.items():
                tf.summary.scalar(name, value)
        for message in self.alarms.check(self.step, values):
            tqdm.write(f"ALARM at step {self.step}: {message}", file=sys.stderr)


class HealthAlarms:
    """Says in words when a training is sick. Each alarm speaks once per illness.

    Args:
        margin: m of the losses, the length D is asked to give to translations.
        can_rank: False where a batch has too few crops for more than one direction.
    """

    #: Steps at the start during which D may still be learning to separate.
    GRACE_STEPS = 300
    #: Share of the margin: where both lengths are shorter, D is silent, its gradients vanish, and none ever came back.
    SILENCE = 0.05

    def __init__(self, margin: float, *, can_rank: bool = True) -> None:
        self.margin = margin
        self.can_rank = can_rank
        self._ringing: set[str] = set()

    def fatal(self, step: int, values: dict[str, float]) -> str | None:
        """Why it is no use to go on after these interval means, if so."""
        if not _finite(values):
            return "a loss was not finite"
        return "D fell silent" if self._silent(step, values) else None

    def _silent(self, step: int, values: dict[str, float]) -> bool:
        return (
            step > self.GRACE_STEPS and max(values["norm_ab"], values["norm_b"]) < self.SILENCE * self.margin
        )

    def check(self, step: int, values: dict[str, float]) -> list[str]:
        """The messages that are new with these interval means."""
        silent = self._silent(step, values)
        signs = {
            "nan": (
                not _finite(values),
                "a loss is NaN or infinite. The last checkpoint is still good; lower the learning rates "
                "(--set=train.generator_lr=...) or use --precision=float32, in a new --run_dir.",
            ),
            "silent": (
                silent,
                f"D fell silent: ‖D(AB)‖ = {values['norm_ab']:.3f}, ‖D(B)‖ = {values['norm_b']:.3f}, and neither "
                "network learns any more. Training stops. Go on from the last good state in a new --run_dir with "
                "--init_from=RUN_DIR and another --seed, or begin anew with --set=discriminator.head=plain "
                "--set=train.discriminator_lr=2e-4.",
            ),
            "collapse": (
                step > self.GRACE_STEPS and self.can_rank and values["effective_rank"] < 1.5,
                f"D is collapsing: differences of its content vectors have effective rank "
                f"{values['effective_rank']:.2f}, so it tells contents apart along one line only. "
                "Raise losses.content_weight or losses.collapse_weight.",
            ),
            "blind": (
                not silent
                and step > self.GRACE_STEPS
                and values["norm_ab"] - values["norm_b"] < 0.02 * self.margin,
                f"D no longer separates: ‖D(AB)‖ = {values['norm_ab']:.3f}, ‖D(B)‖ = "
                f"{values['norm_b']:.3f}. G learns nothing about style; raise train.discriminator_lr or "
                "lower losses.margin.",
            ),
        }
        new = [text for name, (sick, text) in signs.items() if sick and name not in self._ringing]
        self._ringing = {name for name, (sick, _) in signs.items() if sick}
        return new


def _finite(values: dict[str, float]) -> bool:
    return all(math.isfinite(value) for value in values.values())


class SampleGrid(Interval):
    """PNG grids of fixed crops, a row each: A | AB from bare tiles | AB in one piece | B.

    Args:
        every: steps between grids.
        folder: where the PNGs go.
        writer: TensorBoard.
        content, style: [n, h, w, 3] float32 in [-1, 1], h and w multiples of the tile.
        wholes: of the pictures that `content` is from.
    """

    def __init__(
        self,
        *,
        every: int,
        folder: Path,
        writer: tf.summary.SummaryWriter,
        content: np.ndarray,
        wholes: Whole,
        style: np.ndarray,
    ) -> None:
        super().__init__(every)
        self.folder = folder
        self.writer = writer
        self.content = content
        self.wholes = wholes
        self.style = style

    def act(self) -> None:
        gan: SiameseGAN = self.model
        tile = gan.config.combo.tile_px
        n, h, w, _ = self.content.shape
        joined, in_one_piece = [], []
        for index, content in enumerate(self.content):
            whole = self.wholes.rows(slice(index, index + 1))
            # The same cut as Combo's, over more tiles.
            tiles = (
                content.reshape(h // tile, tile, w // tile, tile, 3)
                .transpose(0, 2, 1, 3, 4)
                .reshape(-1, tile, tile, 3)
            )
            painted = gan(tiles, whole=self.wholes.rows(np.full(len(tiles), index))).numpy()
            painted = painted.reshape(h // tile, w // tile, tile, tile, 3).transpose(0, 2, 1, 3, 4)
            joined.append(painted.reshape(h, w, 3))
            in_one_piece.append(gan(content[None], whole=whole).numpy()[0])
        columns = np.concatenate(
            [self.content, np.stack(joined), np.stack(in_one_piece), self.style], axis=2
        )  # [n, h, 4w, 3]
        if not np.isfinite(columns).all():
            return  # the NaN alarm speaks; a grid would show nothing
        grid = pixels.to_integer(columns.reshape(n * h, -1, 3))
        with whole_file(self.folder / f"step_{self.step:07d}.png") as part:
            PIL.Image.fromarray(grid).save(part)
        with self.writer.as_default(step=self.step):
            tf.summary.image("A | AB tiles | AB whole | B", grid[None])


class Saver(Interval):
    """Checkpoints at each interval and at the end, but of a training that is broken, none.

    `broken` says why, where weights that are not finite were met or the log found a reason; training then stops.
    """

    def __init__(self, *, every: int, checkpoints: Checkpoints, log: ScalarLog) -> None:
        super().__init__(every)
        self.checkpoints = checkpoints
        self.log = log
        self.broken: str | None = None

    def act(self) -> None:
        self.broken = self.log.broken
        if self.broken is None and not self.model.weights_are_finite():
            self.broken = "a weight was not finite"
        if self.broken:
            self.model.stop_training = True
        else:
            self.checkpoints.save()


class GracefulStop(keras.callbacks.Callback):
    """Ctrl-C and SIGTERM end the training after the current step; the second one ends it at once.

    `signal_number` is None where nothing came.
    """

    def __init__(self) -> None:
        super().__init__()
        self.signal_number: int | None = None

    def on_train_begin(self, logs: Any = None) -> None:
        self._previous = {
            number: signal.signal(number, self._handle) for number in (signal.SIGINT, signal.SIGTERM)
        }

    def on_train_end(self, logs: Any = None) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: Any) -> None:
        if self.signal_number is not None:
            raise KeyboardInterrupt
        self.signal_number = number
        self.model.stop_training = True
        logging.warning("stopping after this step; once more to stop at once")

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self.signal_number is not None:
            self.model.stop_training = True
