"""jobs.Progress as a web page shows it: a fraction and a line of text, some times a second; and the way to stop."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

#: Takes the fraction done, 0..1, and what is going on.
Report = Callable[[float, str], object]

_EVERY_SEC = 0.2
# Before that a speed would be a guess.
_SPEED_AFTER_SEC = 1.0


class Stopped(Exception):
    """The work was stopped by who asked for it."""


class Bar:
    """The progress of one picture; see jobs.Progress.

    Args:
        report: is told how far it is.
        stop: once set, the next :meth:`start` or :meth:`add` raises Stopped; while the file is written, which
            libvips does, only what comes after.
        clock: seconds.
    """

    def __init__(
        self, report: Report, stop: threading.Event, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._report, self._stop, self._clock = report, stop, clock
        self._what, self._total, self._done = "", 0.0, 0.0
        self._before, self._began, self._told = 0.0, 0.0, 0.0

    def start(self, what: str, total_px: float, done_px: float) -> None:
        """See jobs.Progress."""
        self._what, self._total, self._done, self._before = what, total_px, done_px, done_px
        self._began = self._clock()
        self.check()
        self._tell()

    def add(self, pixels: float) -> None:
        """See jobs.Progress."""
        if self._what != "writing":  # called from libvips, where an exception would be lost
            self.check()
        self._done = min(self._total, self._done + pixels)  # sums of shares round
        if self._clock() - self._told >= _EVERY_SEC:
            self._tell()

    def check(self) -> None:
        """Raises Stopped where the work is to end."""
        if self._stop.is_set():
            raise Stopped

    def _tell(self) -> None:
        self._told = self._clock()
        words = [self._what, f"{self._done / 1e6:.1f} of {self._total / 1e6:.1f} MP"]
        elapsed, done = self._told - self._began, self._done - self._before
        if elapsed >= _SPEED_AFTER_SEC and done > 0:
            words.append(f"{done / elapsed / 1e6:.2f} MP/s")
            words.append(f"{in_words(elapsed * (self._total - self._done) / done)} left")
        self._report(self._done / max(1.0, self._total), ", ".join(words))


def in_words(seconds: float) -> str:
    """12 s, 3 min, 1 h 20 min."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
