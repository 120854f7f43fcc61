"""The socket, the signals, the end: serves the page until SIGTERM or Ctrl-C.

Gradio's own `launch` is not used: it calls its maker's servers where an environment variable says so, takes another
port where this one is taken, and leaves Ctrl-C with a traceback.
"""

from __future__ import annotations

import socket
from typing import Any

from gan_hd import listening as sockets
from gan_hd.app.extras import uvicorn

# Each open page holds a connection that never ends.
_GRACE_SEC = 1


def serve(app: Any, listening: socket.socket) -> None:
    """Serves until SIGTERM or SIGINT, then returns; requests are cut off."""
    config = uvicorn.Config(
        app,
        access_log=False,
        log_config=None,
        log_level="critical",  # it would report the requests that are cut off
        server_header=False,
        timeout_graceful_shutdown=_GRACE_SEC,
    )
    sockets.run(uvicorn.Server(config), listening)
