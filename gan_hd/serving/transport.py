"""Between the web server and the routes: bodies read within their limit, every answer counted.

A pure ASGI layer. Bodies stay in memory: no form parser, which would spool files to the disk, is used.
Reference: https://asgi.readthedocs.io/en/latest/specs/www.html
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

from gan_hd.serving.limits import Refused

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
# A refusal reaches its client only after the client has sent its body: closing earlier resets the connection. So much
# of it is read and thrown away.
_DRAIN_SEC, _DRAIN_BYTES = 2.0, 2**28
# The server below bounds only headers that come in several pieces.
_MAX_HEADER_BYTES = 2**15


class Transport:
    """The outermost layer of the application.

    Args:
        app: what it wraps.
        answered: is told of each request: endpoint, status, seconds.
    """

    def __init__(self, app: Any, *, answered: Callable[[str, int, float], object]) -> None:
        self._app, self._answered = app, answered

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, status = time.monotonic(), 500
        body_done = False

        async def receive_noting() -> Any:
            nonlocal body_done
            message = await receive()
            body_done = body_done or message["type"] != "http.request" or not message.get("more_body", False)
            return message

        async def send_noting(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                # Who expects "100 Continue" has not sent the body yet, and reading would ask for it.
                if not body_done and not any(key == b"expect" for key, _ in scope["headers"]):
                    await _drain(receive_noting, lambda: body_done)
            await send(message)

        size = len(scope["raw_path"]) + len(scope["query_string"])
        size += sum(len(key) + len(value) for key, value in scope["headers"])
        app = self._app if size <= _MAX_HEADER_BYTES else _headers_too_large
        try:
            await app(scope, receive_noting, send_noting)
        finally:
            endpoint = getattr(scope.get("endpoint"), "__name__", "none")
            self._answered(endpoint, status, time.monotonic() - start)


async def _headers_too_large(scope: Any, receive: Receive, send: Send) -> None:
    body = json.dumps({"error": f"path and headers are larger than {_MAX_HEADER_BYTES} bytes"}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 431, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _drain(receive: Receive, done: Callable[[], bool]) -> None:
    async def read() -> None:
        size = 0
        while not done() and size < _DRAIN_BYTES:
            size += len((await receive()).get("body", b""))

    try:
        await asyncio.wait_for(read(), _DRAIN_SEC)
    except asyncio.TimeoutError:
        pass


async def read_body(receive: Receive, *, max_bytes: int, declared: str | None) -> bytes:
    """Reads a request's body.

    Args:
        receive: of the request.
        max_bytes: most bytes.
        declared: the Content-Length header.

    Raises:
        Refused: 413 as soon as it is known to be too large, 499 where the client leaves.
    """
    too_large = Refused(413, f"the body is larger than {max_bytes} bytes")
    if declared and declared.isdigit() and (len(declared) > 18 or int(declared) > max_bytes):
        raise too_large
    chunks: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Refused(499, "the client left")
        size += len(message.get("body", b""))
        if size > max_bytes:
            raise too_large
        chunks.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(chunks)


async def client_left(receive: Receive) -> None:
    """Returns when the client closes the connection; to be awaited after its body is read."""
    while (await receive())["type"] != "http.disconnect":
        pass
