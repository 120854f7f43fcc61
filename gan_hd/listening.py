"""What the REST server and the web page share: a listening socket, its address, and running until a signal."""

from __future__ import annotations

import ipaddress
import signal
import socket
from typing import Any

_BACKLOG = 128


class AddressError(OSError):
    """Nothing can listen there; the message names the flags."""


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one.

    Raises:
        AddressError: the address is taken or not this machine's.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        return socket.create_server((address[0], address[1]), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise AddressError(f"--host={host} --port={port}: {error.strerror or error}") from error


def url(listening: socket.socket) -> str:
    """Where the socket listens, as http://HOST:PORT."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def is_public(listening: socket.socket) -> bool:
    """True where other machines can connect."""
    return not ipaddress.ip_address(listening.getsockname()[0]).is_loopback


def run(server: Any, listening: socket.socket) -> None:
    """Runs a uvicorn.Server until SIGTERM or SIGINT, then returns."""

    def stop(number: int, frame: Any) -> None:
        server.should_exit = True

    # uvicorn puts its own handlers over these and, when done, raises the signal again for those it found.
    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        server.run(sockets=[listening])
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
