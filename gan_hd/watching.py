"""How a training does, measured now and then on pictures that never change: a cheap part of the evaluation.

A few photographs, of each the middle, are translated by the averaged generator and compared with paintings
(evaluation.py). With ``train.holdout`` they are pictures that are not trained on; without, some that are. Nothing here
touches the training's random numbers, and an evaluation that fails is told and left out.

In: folders, a SiameseGAN under fit. Out: logs/evaluation.jsonl, TensorBoard, RUN_DIR/best (best.py).
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from gan_hd import files, pictures, pixels
from gan_hd.best import BestKeeper, edges_kept, score
from gan_hd.callbacks import Interval
from gan_hd.config import Config, DomainConfig
from gan_hd.evaluation import Evaluation, Report, Settings
from gan_hd.gan import SiameseGAN
from gan_hd.grain import with_grain
from gan_hd.metrics.seams import json_safe
from gan_hd.metrics.style import DISTANCES
from gan_hd.thumbnail import Whole, thumbnail

#: At most so many pictures are looked at; fewer paintings than the least cannot be split into two halves. With 16
#: paintings it was chance which half was nearer to photographs.
PHOTOS, PAINTINGS, _LEAST_PAINTINGS = 16, 48, 4
#: Side of the middle of each photograph that is translated, px.
REGION_PX = 256
_CROPS, _LEAST_CROP_PX, _MOST_CROP_PX = 16, 64, 128  # of each photograph


@dataclass(frozen=True)
class Watched:
    """The pictures of all evaluations of a run.

    Attributes:
        regions: uint8 [h, w, 3], the middles of photographs, sides multiples of the generator's stride.
        wholes: of the photographs, one each.
        paintings: uint8 [h, w, 3].
        settings: of the evaluations.
        fingerprint: changes with the pictures' names and the settings.
    """

    regions: list[np.ndarray]
    wholes: list[Whole]
    paintings: list[np.ndarray]
    settings: Settings
    fingerprint: str


def choose(config: Config, *, content_dir: str, style_dir: str, stride_px: int) -> Watched | None:
    """The pictures to watch: held out where there are such, else trained on; None, with a line, where too few.

    Which ones follows from their names (files.place_of), so a run that goes on takes the same.

    Args:
        config: of the training.
        content_dir, style_dir: its folders.
        stride_px: the generator's.
    """
    crop_px = min(max(_LEAST_CROP_PX, *config.crop_px), _MOST_CROP_PX)
    least_px = max(crop_px, stride_px)
    holdout = config.train.holdout
    photos, paintings = (
        _read(source, domain, holdout=holdout, most=most, least_px=least_px)
        for source, domain, most in (
            (content_dir, config.content, PHOTOS),
            (style_dir, config.style, PAINTINGS),
        )
    )
    which = f"held out by --holdout={holdout}" if holdout else "among those trained on (see --holdout)"
    if not photos or len(paintings) < _LEAST_PAINTINGS:
        logging.warning(
            "no evaluation while training: it needs a photograph and %d paintings, but %d and %d are %s",
            _LEAST_PAINTINGS,
            len(photos),
            len(paintings),
            which,
        )
        return None
    logging.info("evaluating on %d photographs and %d paintings, %s", len(photos), len(paintings), which)
    settings = Settings(crops=_CROPS, crop_px=crop_px, resamples=0)  # the same for all seeds of a training
    told = [str(settings), str(REGION_PX), *(path.name for path in (*photos, *paintings))]
    return Watched(
        [_middle(photo, stride_px) for photo in photos.values()],
        [_whole(photo, config.generator.thumbnail_px) for photo in photos.values()],
        list(paintings.values()),
        settings,
        hashlib.sha256("\n".join(told).encode("utf-8", "surrogateescape")).hexdigest()[:16],
    )


class Watcher(Interval):
    """Evaluates at each multiple of `every` steps and at the last step; keeps the best averaged generator.

    Not at a stop in between, which would measure what a run without the stop does not.

    Args:
        every: steps between evaluations.
        last_step: where training ends.
        watched: the pictures.
        log_file: logs/evaluation.jsonl.
        writer: TensorBoard.
        keeper: keeps the best.
    """

    at_end = False

    def __init__(
        self,
        *,
        every: int,
        last_step: int,
        watched: Watched,
        log_file: Path,
        writer: tf.summary.SummaryWriter,
        keeper: BestKeeper,
    ) -> None:
        super().__init__(every)
        self._last_step, self._watched, self._keeper = last_step, watched, keeper
        self._log_file, self._writer = log_file, writer
        self._evaluation: Evaluation | None = None

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        super().on_train_batch_end(batch, logs)
        if self.step == self._last_step and self.step % self.every:
            self.act()

    def act(self) -> None:
        started = time.monotonic()
        try:
            report = self._measure()
            values = figures(report) | {"is_best": self._keeper.offer(report)}
            self._write(values | {"seconds": round(time.monotonic() - started, 2)})
        except (ValueError, MemoryError, OSError, tf.errors.OpError) as error:
            # The painting's weights matter more than their marks; broken ones have an alarm of their own.
            reason = " ".join(str(error).split())[:200]
            tqdm.write(f"no evaluation at step {self.step}: {reason}; training goes on", file=sys.stderr)

    def _measure(self) -> Report:
        watched = self._watched
        if self._evaluation is None:
            self._evaluation = Evaluation(watched.regions, watched.paintings, settings=watched.settings)
        wholes = iter(watched.wholes)  # the painter is asked in the photographs' order
        return self._evaluation.report(lambda region: paint(self.model, region, next(wholes)))

    def _write(self, values: dict[str, Any]) -> None:
        with open(self._log_file, "a") as log:
            log.write(json.dumps({"step": self.step} | json_safe(values)) + "\n")
        with self._writer.as_default(step=self.step):
            for name, value in values.items():
                if not math.isnan(value):
                    tf.summary.scalar(f"evaluation/{name}", float(value))


def paint(gan: SiameseGAN, region: np.ndarray, whole: Whole) -> np.ndarray:
    """Translates a part of a photograph with the averaged generator, in one piece.

    Args:
        gan: the training's.
        region: uint8 [h, w, 3], sides multiples of the stride.
        whole: the photograph's.

    Returns:
        The shape and dtype of `region`.

    Raises:
        ValueError: the generator gives values that are not finite.
    """
    ys, xs = (np.arange(side) for side in region.shape[:2])
    values = with_grain(pixels.to_float(region), ys, xs, cell_px=gan.config.generator.grain_px)
    painted = gan(values[None], whole=whole)
    return pixels.to_integer(painted.numpy()[0].astype(np.float32))


def figures(report: Report) -> dict[str, float]:
    """What is logged: gaps closed by name, the score (best.py), edges, tones, colour, variety.

    Not the copy rate, whose first percentile needs more crops than these.
    """
    return {
        "score": score(report),
        **{name: report.distances[name].gap_closed for name in DISTANCES},
        "edges": edges_kept(report),
        "tones": report.tones,
        "colour_difference": report.colour_difference,
        "effective_rank": report.effective_rank,
    }


def _read(
    source: str, domain: DomainConfig, *, holdout: float, most: int, least_px: int
) -> dict[Path, np.ndarray]:
    """The first `most` readable pictures in the order of their names' places, at training resolution."""
    training, held = files.held_out(files.find_pictures(source), holdout)

    def place(path: Path) -> tuple[float, str]:
        return files.place_of(path), str(path)

    found: dict[Path, np.ndarray] = {}
    for path in sorted(held if holdout else training, key=place):
        if len(found) == most:
            break
        try:
            picture = pictures.read_rgb(path, side=domain.side, side_px=domain.side_px)
        except pictures.PictureError as error:
            logging.warning("skipped %s", error)
            continue
        found[path] = pictures.enlarge_to_cover(picture, least_px)
    return found


def _whole(photo: np.ndarray, thumbnail_px: int) -> Whole:
    side_px = np.array([max(photo.shape[:2])], np.float32)
    return Whole(thumbnail(photo, thumbnail_px)[None], side_px)


def _middle(photo: np.ndarray, stride: int) -> np.ndarray:
    """The middle of a photograph, at most REGION_PX a side (rounded up to the stride)."""
    most = -(-REGION_PX // stride) * stride
    sides = [min(side // stride * stride, most) for side in photo.shape[:2]]
    y, x = ((have - want) // 2 for have, want in zip(photo.shape[:2], sides, strict=True))
    return np.ascontiguousarray(photo[y : y + sides[0], x : x + sides[1]])
