"""What all entry files share: how the command line is parsed and how errors and exit statuses look.

Exit status: 0 on success, 1 when some inputs failed, 2 on a bad command line, 128 + n when stopped by signal n.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable

from absl import app, flags

OK, SOME_FAILED, BAD_COMMAND = 0, 1, 2


def run(main: Callable[[list[str]], int]) -> None:
    """Parses the flags and runs `main`; bad flags give one line on stderr and status 2."""
    # TensorFlow's start-up notes are no news to a user; set before it is imported.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    app.run(main, flags_parser=_parse)


def fail(message: object, status: int = BAD_COMMAND) -> int:
    """Prints one line on stderr and returns `status`."""
    print("error: " + " ".join(str(message).split()), file=sys.stderr)
    return status


def log_to_stderr() -> None:
    """Sends the project's messages, INFO and above, to stderr as plain lines."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr, force=True)
    logging.getLogger("absl").setLevel(logging.ERROR)
    logging.getLogger("pyvips").setLevel(logging.WARNING)
    logging.getLogger("tensorflow").setLevel(logging.ERROR)


def _parse(argv: list[str]) -> list[str]:
    try:
        rest = app.parse_flags_with_usage(argv) if _wants_help(argv) else flags.FLAGS(argv)
    except flags.Error as error:
        sys.exit(fail(f"{error} (--help lists the flags)"))
    if len(rest) > 1:
        sys.exit(fail(f"unexpected argument {rest[1]!r}: options are written --name=value (--help lists them)"))
    return rest


def _wants_help(argv: list[str]) -> bool:
    return any(word.lstrip("-").startswith(("help", "?")) for word in argv[1:])
