"""Which averaged generator of a training is the best one, and keeping it beside the last.

The rule: among the evaluations that keep at least half of the photographs' edges (mean correlation over the three
scales >= 0.5) and of their tones (correlation of large areas' lightness >= 0.5), the one with the highest mean of the
gaps closed in `kid` and `swd`; the first of equal ones. Without the conditions a generator that paints something else
over the photograph, or its negative, would win.

    RUN_DIR/best/best-STEP.*    the averaged generator's weights, and the step
    RUN_DIR/best/best.json      its step, score, edges, tones, the rule in words, and which pictures it was measured on
    RUN_DIR/best/saved_model/   exported at the end of training, for translate.py --model=RUN_DIR/best
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import tensorflow as tf

from gan_hd.evaluation import Report
from gan_hd.files import whole_file
from gan_hd.gan import SiameseGAN

#: The gaps that the score is the mean of.
SCORED = ("kid", "swd")
#: Less of the photographs' edges than this is another picture.
LEAST_EDGES = 0.5
#: With less of their tones than this, what was dark is light somewhere.
LEAST_TONES = 0.5
_CONDITIONS = f"edges kept >= {LEAST_EDGES} and tones kept >= {LEAST_TONES}"
RULE = f"highest mean of {' and '.join(SCORED)} gap closed where {_CONDITIONS}"


def edges_kept(report: Report) -> float:
    """Mean over the scales of the correlation of edges with the photographs, −1..1."""
    return float(np.mean(report.edges))


def score(report: Report) -> float:
    """Mean of the gaps closed, 1 at best; nan where there is no gap to close (gap.Distance)."""
    return float(np.mean([report.distances[name].gap_closed for name in SCORED]))


class BestKeeper:
    """Keeps the best averaged generator of a run, by the rule above.

    Args:
        folder: RUN_DIR/best; made when there is something to keep.
        gan: whose averaged generator it is.
        watched: names the pictures and settings of the evaluations. Scores of other ones do not compare: a best that
            was measured on others is replaced by the next one that meets the rule.
    """

    def __init__(self, folder: Path, gan: SiameseGAN, *, watched: str) -> None:
        self._folder, self._step, self._watched = folder, gan.step, watched
        self._checkpoint = tf.train.Checkpoint(
            ema_generator=[variable.value for variable in gan.ema_generator.variables], step=gan.step.value
        )

    def offer(self, report: Report) -> bool:
        """Keeps the generator as it is now where its evaluation is the best so far; returns whether it is."""
        value, edges = score(report), edges_kept(report)
        if math.isnan(value) or edges < LEAST_EDGES or report.tones < LEAST_TONES:
            return False
        if value <= self._score_to_beat():
            return False
        step = int(self._step.numpy())
        self._folder.mkdir(parents=True, exist_ok=True)
        manager = tf.train.CheckpointManager(
            self._checkpoint, str(self._folder), max_to_keep=1, checkpoint_name="best"
        )
        manager.save(checkpoint_number=step)
        about = {
            "step": step,
            "score": value,
            "edges": edges,
            "tones": report.tones,
            "rule": RULE,
            "watched": self._watched,
        }
        with whole_file(self._folder / "best.json") as part:
            part.write_text(json.dumps(about, indent=2) + "\n")
        return True

    def _score_to_beat(self) -> float:
        try:
            kept = json.loads((self._folder / "best.json").read_text())
        except FileNotFoundError:
            return -math.inf
        return float(kept["score"]) if kept.get("watched") == self._watched else -math.inf
