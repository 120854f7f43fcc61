"""Commands of this project in processes of their own, each done once: what is finished is not done again.

In: arguments of Python, as lists. Out: seconds; a log and a record of what was done, on disk.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gan_hd.files import whole_file

ROOT = Path(__file__).resolve().parents[1]


class RunError(RuntimeError):
    """A process did not do its work; the message is one line."""


@dataclass(frozen=True)
class Done:
    """A command that was finished.

    Attributes:
        seconds: it took, with what it resumed.
        status: 0, or 1 where some pictures could not be read.
    """

    seconds: float
    status: int


def shown(arguments: list[str]) -> str:
    """The command as one types it in the repository's root."""
    return shlex.join(["python", *arguments])


def call(arguments: list[str], log: Path) -> int:
    """Runs Python, with what it says at the end of `log`; returns its exit status.

    Ctrl-C and SIGTERM are handed on once, and the process may finish what it does then: trainings save.
    """
    with (
        open(log, "ab") as output,
        subprocess.Popen(
            [sys.executable, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            start_new_session=True,  # the terminal's Ctrl-C would reach it as well, and twice means at once
        ) as process,
    ):
        try:
            return process.wait()
        except BaseException:
            process.terminate()
            process.wait()
            raise


def once(
    arguments: list[str],
    *,
    log: Path,
    record: Path,
    is_done: Callable[[], bool],
    resumes: bool = False,
    replaces: Path | None = None,
) -> Done:
    """Runs Python unless `record` says that this very command was finished.

    Args:
        arguments: of the command.
        log: gets all it says.
        record: JSON, the command and its seconds; written at the end.
        is_done: whether the command's product is there, whole and as ordered.
        resumes: it carries on where the last command of the record ended, so its seconds are added to those.
        replaces: a file that it makes anew; an older one is removed first, so that it cannot be taken for the product.

    Returns:
        how it went, now or then.

    Raises:
        RunError: the product is not there.
    """
    known = json.loads(record.read_text()) if record.is_file() else {}
    if known.get("command") == arguments and known["done"] and is_done():
        return Done(known["seconds"], known["status"])
    if replaces:
        replaces.unlink(missing_ok=True)
    print(shown(arguments), file=sys.stderr, flush=True)
    before, start = known.get("seconds", 0.0) if resumes else 0.0, time.monotonic()
    status = None
    try:
        status = call(arguments, log)
    finally:
        done = status in (0, 1) and is_done()  # 1: done, but some pictures were unreadable
        seconds = round(before + time.monotonic() - start, 3)
        with whole_file(record) as part:
            part.write_text(
                json.dumps({"command": arguments, "seconds": seconds, "done": done, "status": status}) + "\n"
            )
    if not done:
        lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
        said = next(
            (line for line in reversed(lines) if line.startswith("error: ")), lines[-1] if lines else ""
        )
        raise RunError(f"ended with status {status}: {said.removeprefix('error: ')[:500]} (all of it: {log})")
    return Done(seconds, status or 0)
