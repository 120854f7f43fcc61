"""Opens a web page that paints pictures: drop a photo, compare before and after, download the painting.

  python -m gan_hd.cli.app --model=runs/vangogh                -> http://127.0.0.1:7860
  python -m gan_hd.cli.app --model=runs/vangogh,runs/monet     -> a choice of models

The settings mean what they mean for translate.py, and the downloaded file is what it would have written.

Only this machine can connect unless --host says otherwise; there is no authentication. The page works without
internet: neither it nor the server asks anything of other machines. Pictures are kept in a temporary folder while
their page is open. SIGTERM and Ctrl-C stop the painting that is made, and delete that folder.

Needs pip install 'gan-hd[app]'. Exit status: 0 stopped, 2 bad command line.
"""

import os
import signal
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path

from absl import flags

from gan_hd import listening
from gan_hd.cli import entry
from gan_hd.config import PRECISIONS

_MODEL = flags.DEFINE_list("model", [], "Run folders or SavedModels (default: the Van Gogh that ships).")
_PORT = flags.DEFINE_integer(
    "port", 7860, "Port; 0 takes a free one and prints it.", lower_bound=0, upper_bound=65535
)
_HOST = flags.DEFINE_string("host", "127.0.0.1", "Address to listen on; 0.0.0.0 is every network's.")
_MAX_MP = flags.DEFINE_float("max_mp", 400, "Most megapixels of a picture.", lower_bound=0.000001)
_MEMORY = flags.DEFINE_float(
    "memory_gib", 1.5, "Memory for painting, which chooses the tile size.", lower_bound=0
)
_PRECISION = flags.DEFINE_enum(
    "precision", "auto", PRECISIONS, "Arithmetic; auto takes the fastest that is native to the device."
)


def main(argv: list[str]) -> int:
    del argv
    entry.log_to_stderr()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as Ctrl-C does, whenever it comes
    try:
        with tempfile.TemporaryDirectory(prefix="gan_hd_app_", ignore_cleanup_errors=True) as folder:
            status = _run(Path(folder).resolve())
    except KeyboardInterrupt:
        status = entry.OK
    if status == entry.OK:
        print("stopped", flush=True)
    return status


def _run(folder: Path) -> int:
    # Where uploads go, and the only place that files are served from.
    os.environ["GRADIO_TEMP_DIR"] = str(folder)
    try:
        from gan_hd.app import server
    except ImportError as error:
        return entry.fail(error)
    try:
        port = listening.bind(_HOST.value, _PORT.value)
    except listening.AddressError as error:
        return entry.fail(error)
    with port:
        return _serve(folder, port, server.serve)


def _serve(folder: Path, port: socket.socket, serve: Callable[..., None]) -> int:
    entry.import_tensorflow()
    from gan_hd import runtime
    from gan_hd.app import page
    from gan_hd.app.models import Models
    from gan_hd.app.work import Studio

    try:
        models = Models(_MODEL.value, precision=runtime.choose_precision(_PRECISION.value))
    except (ValueError, OSError) as error:
        return entry.fail(error)
    studio = Studio(models, folder, max_mp=_MAX_MP.value, memory_gib=_MEMORY.value)
    app = page.create_app(studio, max_mp=_MAX_MP.value)
    print(f"open {listening.url(port)} ({', '.join(models.names)})", flush=True)
    if listening.is_public(port):
        print("other machines can connect, without a password", flush=True)
    try:
        serve(app, port)
    finally:
        studio.close()
    return entry.OK


if __name__ == "__main__":
    entry.run(main)
