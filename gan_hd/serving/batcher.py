"""The pictures that wait, and the one thread that computes them: several in one call of the model.

In -> out: a file and its signature -> a future of the translated file. Knows nothing of HTTP and of TensorFlow.
The caller bounds how many wait (web.py), because it must do so before it reads a request.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import threading
import time
from collections.abc import Callable, Sequence

from gan_hd.serving.limits import Picture

#: Signature, files -> translated files.
Run = Callable[[str, Sequence[bytes]], list[bytes]]
# Weight of the newest batch in `seconds_per_picture`.
_NEWEST = 0.2


@dataclasses.dataclass(eq=False)  # equal by identity: `remove` must find this very one
class _Item:
    signature: str
    picture: Picture
    future: concurrent.futures.Future[bytes]


class Batcher:
    """Gathers what waits into batches, in the order of arrival.

    Args:
        run: computes a batch; is called from one thread only.
        batch: most pictures at once.
        batch_px: most pixels at once, a single picture aside.
        wait_sec: how long the first picture of a batch waits for others.
        done: is told of each call: pictures, pixels, seconds.

    Attributes:
        seconds_per_picture: a running mean.
    """

    def __init__(
        self,
        run: Run,
        *,
        batch: int,
        batch_px: int,
        wait_sec: float,
        done: Callable[[int, int, float], object] = lambda pictures, pixels, seconds: None,
    ) -> None:
        self._run, self._batch, self._batch_px, self._wait_sec, self._done = (
            run,
            batch,
            batch_px,
            wait_sec,
            done,
        )
        self._items: list[_Item] = []
        self._changed = threading.Condition()
        self._closed = False
        self.seconds_per_picture = 1.0
        self._thread = threading.Thread(target=self._work, name="tensorflow", daemon=True)
        self._thread.start()

    def submit(self, signature: str, picture: Picture) -> concurrent.futures.Future[bytes]:
        """Queues a picture. Cancelling the future takes it out again, unless its batch has begun.

        Raises:
            RuntimeError: after :meth:`close`.
        """
        item = _Item(signature, picture, concurrent.futures.Future())
        with self._changed:
            if self._closed:
                raise RuntimeError("the batcher is closed")
            self._items.append(item)
            self._changed.notify()
        item.future.add_done_callback(lambda _: self._forget(item))
        return item.future

    def close(self) -> None:
        """Ends the thread after everything queued is done."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _forget(self, item: _Item) -> None:
        # What a client gave up must not keep its bytes here until its turn comes.
        with self._changed:
            if item in self._items:
                self._items.remove(item)

    def _work(self) -> None:
        while batch := self._gather():
            self._compute([item for item in batch if item.future.set_running_or_notify_cancel()])

    def _gather(self) -> list[_Item]:
        """The next batch; an empty one when closed and all is done."""
        with self._changed:
            while not self._items:  # what came may be given up again while others are awaited
                if self._closed:
                    return []
                self._changed.wait()
                end = time.monotonic() + self._wait_sec
                while len(self._items) < self._batch and not self._closed:
                    if (left := end - time.monotonic()) <= 0 or not self._changed.wait(left):
                        break
            batch: list[_Item] = []
            pixels = 0
            for item in self._items:
                same = not batch or item.signature == batch[0].signature
                fits = not batch or pixels + item.picture.pixels <= self._batch_px
                if same and fits and len(batch) < self._batch:
                    batch.append(item)
                    pixels += item.picture.pixels
            self._items = [item for item in self._items if item not in batch]
            return batch

    def _compute(self, batch: list[_Item]) -> None:
        if not batch:
            return
        start = time.monotonic()
        try:
            files = self._run(batch[0].signature, [item.picture.data for item in batch])
            if len(files) != len(batch):
                raise RuntimeError(f"the model gave {len(files)} pictures for {len(batch)}")
        except Exception as error:
            if len(batch) == 1:
                batch[0].future.set_exception(error)
            else:  # One bad picture must not fail the others: each on its own.
                for item in batch:
                    self._compute([item])
            return
        seconds = time.monotonic() - start
        self.seconds_per_picture += _NEWEST * (seconds / len(batch) - self.seconds_per_picture)
        self._done(len(batch), sum(item.picture.pixels for item in batch), seconds)
        for item, file in zip(batch, files, strict=True):
            item.future.set_result(file)
