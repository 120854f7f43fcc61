"""The socket, the signals, the end: runs the application until SIGTERM or SIGINT, then finishes what it accepted."""

from __future__ import annotations

import socket
from typing import Any

from gan_hd import listening as sockets
from gan_hd.serving.extras import uvicorn

# After the time limit of the last request, for its reply to leave.
_GRACE_SEC = 5
_KEEP_ALIVE_SEC = 30


def create_server(app: Any, *, request_sec: float) -> Any:
    """A uvicorn server for the application of web.create_app.

    Args:
        app: the application.
        request_sec: the time limit of one request; a stop waits a little longer at most.
    """
    return uvicorn.Server(
        uvicorn.Config(
            app,
            http="h11",
            ws="none",
            lifespan="on",
            access_log=False,
            log_config=None,
            log_level="error",
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=_KEEP_ALIVE_SEC,
            timeout_graceful_shutdown=int(request_sec) + _GRACE_SEC,
        )
    )


def serve(app: Any, listening: socket.socket, *, request_sec: float) -> None:
    """Serves until SIGTERM or SIGINT: new connections are refused, accepted requests finished; then returns."""
    sockets.run(create_server(app, request_sec=request_sec), listening)
