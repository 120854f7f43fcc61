"""What all entry files share: how the command line is parsed and how errors and exit statuses look.

Exit status: 0 on success, 1 when some inputs failed, 2 on a bad command line, 128 + n when stopped by signal n.
"""

from __future__ import annotations

import logging
import os
import re
import signal
import sys
import tempfile
from collections.abc import Callable, Iterable

import absl.logging
from absl import app, flags

OK, SOME_FAILED, BAD_COMMAND = 0, 1, 2
# "I0000 00:00:… port.cc:153] oneDNN custom operations are on. …", the line announcing such lines, and what
# TensorFlow 2.18 calls an error although nothing is wrong.
_START_UP_NOTE = re.compile(
    r"[IW]\d{4} |WARNING: All log messages before absl|E\d{4} .*Unable to register cu\w+ factory"
)


def run(main: Callable[[list[str]], int]) -> None:
    """Parses the flags and runs `main`; bad flags and Ctrl-C give one line on stderr, no traceback."""
    # TensorFlow's start-up notes are no news to a user; set before it is imported.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

    def interruptible(argv: list[str]) -> int:
        try:
            return main(argv)
        except KeyboardInterrupt:
            return fail("interrupted", 128 + signal.SIGINT)

    app.run(interruptible, flags_parser=_parse)


def fail(message: object, status: int = BAD_COMMAND) -> int:
    """Prints one line on stderr and returns `status`."""
    print("error: " + " ".join(str(message).split()), file=sys.stderr)
    return status


def finish(skipped: Iterable[str]) -> int:
    """The status of work that is done but for these pictures, which could not be read; they are named on stderr."""
    paths = list(skipped)
    if not paths:
        return OK
    return fail(f"{len(paths)} unreadable picture(s) were skipped: {', '.join(paths)}", SOME_FAILED)


def log_to_stderr() -> None:
    """Sends the project's messages, INFO and above, to stderr as plain lines."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr, force=True)
    logging.getLogger("pyvips").setLevel(logging.WARNING)


def import_tensorflow() -> None:
    """Imports TensorFlow without its start-up notes; anything else it says on stderr comes through.

    The notes are written before TensorFlow reads its log level, so they are taken out of the stream itself.
    """
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as caught:
        os.dup2(caught.fileno(), 2)
        try:
            import tensorflow as tf
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            caught.seek(0)
            lines = caught.read().decode(errors="replace").splitlines(keepends=True)
            sys.stderr.write("".join(line for line in lines if not _START_UP_NOTE.match(line)))
    tf.get_logger().setLevel(logging.ERROR)
    absl.logging.set_verbosity(absl.logging.ERROR)


def _parse(argv: list[str]) -> list[str]:
    try:
        rest = app.parse_flags_with_usage(argv) if _wants_help(argv) else flags.FLAGS(argv)
    except flags.Error as error:
        sys.exit(fail(f"{error} (--help lists the flags)"))
    if len(rest) > 1:
        sys.exit(
            fail(f"unexpected argument {rest[1]!r}: options are written --name=value (--help lists them)")
        )
    return rest


def _wants_help(argv: list[str]) -> bool:
    return any(word.lstrip("-").startswith(("help", "?")) for word in argv[1:])
