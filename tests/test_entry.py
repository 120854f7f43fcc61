"""What every command shares: one-line errors, exit statuses, the flags' errors, and listening addresses."""

import subprocess
import sys
from pathlib import Path

import pytest

from gan_hd import listening
from gan_hd.cli import entry

ROOT = Path(__file__).parent.parent


def test_fail_is_one_line_whatever_the_message(capsys):
    assert entry.fail("first\n  second\tthird") == entry.BAD_COMMAND == 2
    assert entry.fail(ValueError("x"), entry.SOME_FAILED) == 1
    out, err = capsys.readouterr()
    assert out == "" and err == "error: first second third\nerror: x\n"


def test_finish_names_what_was_skipped(capsys):
    assert entry.finish([]) == entry.OK == 0
    assert capsys.readouterr().err == ""
    assert entry.finish({"a.jpg": "truncated", "b.png": "text"}) == entry.SOME_FAILED
    assert capsys.readouterr().err == "error: 2 unreadable picture(s) were skipped: a.jpg, b.png\n"


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        ([], 0, ""),
        (["--nonsense"], 2, "nonsense"),
        (["photo.jpg"], 2, "unexpected argument 'photo.jpg'"),
        (["--interrupt"], 130, "interrupted"),
    ],
)
def test_a_command_ends_with_its_status_and_one_line(arguments, status, words):
    script = """
from absl import flags
from gan_hd.cli import entry
INTERRUPT = flags.DEFINE_bool("interrupt", False, "")
def main(argv):
    if INTERRUPT.value:
        raise KeyboardInterrupt
    return entry.OK
entry.run(main)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == status and words in done.stderr
    assert len(done.stderr.splitlines()) == bool(words), done.stderr


def test_an_address_in_use_names_its_flags():
    with listening.bind("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        assert listening.url(taken) == f"http://127.0.0.1:{port}" and not listening.is_public(taken)
        with pytest.raises(listening.AddressError, match=f"--host=127.0.0.1 --port={port}: .*in use"):
            listening.bind("127.0.0.1", port)


def test_a_host_that_is_not_this_machine_names_its_flag():
    with pytest.raises(listening.AddressError, match="--host=192.0.2.1"):  # reserved for documentation
        listening.bind("192.0.2.1", 0)
