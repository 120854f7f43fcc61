"""Routes: request -> limits -> protocol -> batcher -> reply.

    GET  /v1/models/NAME[/versions/1]           status          POST /translate  a picture in, a picture out
    GET  /v1/models/NAME[/versions/1]/metadata  signatures      GET  /healthz    200 while it serves
    POST /v1/models/NAME[/versions/1]:predict   pictures        GET  /metrics    Prometheus

Errors are ``{"error": "one line"}``. The event loop only moves bytes: parsing runs in a pool of threads, the model
in the batcher's.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import Any, Protocol

from gan_hd.serving import negotiation, protocol
from gan_hd.serving.batcher import Batcher
from gan_hd.serving.extras import starlette
from gan_hd.serving.limits import Limits, Picture, Refused, check_picture
from gan_hd.serving.metrics import CONTENT_TYPE, Metrics
from gan_hd.serving.transport import Transport, client_left, read_body

_MAX_RETRY_SEC = 60

Request = starlette.requests.Request
Response = starlette.responses.Response
JSONResponse = starlette.responses.JSONResponse


class Model(Protocol):
    """What is served; :class:`gan_hd.serving.model.ServedModel` is one."""

    signatures: dict[str, Any]
    served: list[str]

    def run(self, signature: str, files: Sequence[bytes]) -> list[bytes]:
        """Translates files."""


def create_app(model: Model, *, name: str, limits: Limits | None = None) -> Any:
    """The ASGI application.

    Args:
        model: is called from one thread of its own.
        name: of the model, in the paths.
        limits: None takes the defaults.
    """
    service = _Service(model, name=name, limits=limits or Limits())
    route = starlette.routing.Route
    routes = [
        route("/translate", service.translate, methods=["POST"]),
        route("/healthz", service.healthz),
        route("/metrics", service.metrics_text),
    ]
    for path in ("/v1/models/{name}", "/v1/models/{name}/versions/{version}"):
        routes += [
            route(f"{path}:predict", service.predict, methods=["POST"]),
            route(f"{path}/metadata", service.metadata),
            route(path, service.status),
        ]
    handlers: dict[Any, Any] = {
        Refused: _refused,
        starlette.exceptions.HTTPException: _http_error,
        Exception: _crashed,
    }
    app = starlette.applications.Starlette(
        routes=routes,
        lifespan=service.lifespan,
        exception_handlers=handlers,
    )
    app.router.redirect_slashes = False
    return Transport(app, answered=service.metrics.answered)


class _Service:
    def __init__(self, model: Model, *, name: str, limits: Limits) -> None:
        self._model, self._name, self._limits = model, name, limits
        self._depth = 0  # pictures accepted and not answered; touched by the event loop only
        self.metrics = Metrics(depth=lambda: self._depth)
        self._batcher = Batcher(
            model.run,
            batch=limits.batch,
            batch_px=limits.picture_px,
            wait_sec=limits.batch_wait_sec,
            done=self.metrics.computed,
        )

    @contextlib.asynccontextmanager
    async def lifespan(self, app: Any) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(self._batcher.close)

    async def healthz(self, request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def metrics_text(self, request: Request) -> Response:
        return Response(self.metrics.text(), media_type=CONTENT_TYPE)

    async def status(self, request: Request) -> Response:
        self._check_model(request)
        return JSONResponse(protocol.format_status())

    async def metadata(self, request: Request) -> Response:
        self._check_model(request)
        return JSONResponse(protocol.format_metadata(self._name, self._model.signatures))

    async def predict(self, request: Request) -> Response:
        self._check_model(request)
        return await self._answer(request, self._predict)

    async def translate(self, request: Request) -> Response:
        negotiation.check_content_type(request.headers.get("content-type"))
        negotiation.choose_output(
            request.headers.get("accept"), preferred="PNG"
        )  # 406 before the body is read
        return await self._answer(request, self._translate)

    async def _predict(self, request: Request, body: bytes) -> Response:
        parsed, pictures = await asyncio.to_thread(self._parse_predict, body)
        with self._places(len(pictures) - 1):  # the request has one already
            files = await self._compute(parsed.signature, pictures, parsed.names)
        reply = await asyncio.to_thread(protocol.format_predictions, parsed, files)
        return Response(reply, media_type="application/json")

    def _parse_predict(self, body: bytes) -> tuple[protocol.Predict, list[Picture]]:
        parsed = protocol.parse_predict(body, signatures=self._model.served, max_pictures=self._limits.queue)
        pictures = []
        for name, file in zip(parsed.names, parsed.files, strict=True):
            with _named(name):
                pictures.append(check_picture(file, max_px=self._limits.picture_px))
        return parsed, pictures

    async def _translate(self, request: Request, body: bytes) -> Response:
        picture = await asyncio.to_thread(check_picture, body, max_px=self._limits.picture_px)
        kind = negotiation.choose_output(request.headers.get("accept"), preferred=picture.format)
        signature = negotiation.SIGNATURES[kind]
        if signature not in self._model.served:
            raise Refused(406, f"this model gives no {kind}: it lacks the signature {signature}")
        files = await self._compute(signature, [picture], ["the picture"])
        return Response(files[0], media_type=f"image/{kind.lower()}")

    async def _answer(
        self, request: Request, work: Callable[[Request, bytes], Awaitable[Response]]
    ) -> Response:
        """Reads the body and works, in one place of the queue, in time, and as long as the client waits."""
        limits = self._limits
        if request.headers.get("content-encoding", "identity").lower() != "identity":
            raise Refused(415, "Content-Encoding: send the body as it is")
        with self._places(1):
            end = asyncio.get_running_loop().time() + limits.request_sec
            declared = request.headers.get("content-length")
            try:
                body = await asyncio.wait_for(
                    read_body(request.receive, max_bytes=limits.body_bytes, declared=declared),
                    limits.request_sec,
                )
            except asyncio.TimeoutError:
                raise Refused(408, f"the body did not come within {limits.request_sec:g} s") from None
            working = asyncio.ensure_future(work(request, body))
            leaving = asyncio.ensure_future(client_left(request.receive))
            try:
                left = max(0.0, end - asyncio.get_running_loop().time())
                await asyncio.wait({working, leaving}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
                if working.done():
                    return working.result()
                if leaving.done():
                    raise Refused(499, "the client left")
                raise Refused(504, f"not done within {limits.request_sec:g} s")
            finally:
                working.cancel()
                leaving.cancel()

    async def _compute(
        self, signature: str, pictures: Sequence[Picture], names: Sequence[str]
    ) -> list[bytes]:
        async def compute(picture: Picture, name: str) -> bytes:
            with _named(name):
                return await asyncio.wrap_future(self._batcher.submit(signature, picture))

        return await asyncio.gather(*map(compute, pictures, names))

    @contextlib.contextmanager
    def _places(self, count: int) -> Iterator[None]:
        """Takes places in the queue, or refuses at once: what waits is bounded."""
        if self._depth + count > self._limits.queue:
            wait_sec = min(_MAX_RETRY_SEC, self._batcher.seconds_per_picture * self._depth)
            raise Refused(
                503, f"{self._depth} pictures are waiting: try again later", retry_after_sec=wait_sec
            )
        self._depth += count
        try:
            yield
        finally:
            self._depth -= count

    def _check_model(self, request: Request) -> None:
        name, version = request.path_params["name"], request.path_params.get("version", protocol.VERSION)
        if (name, version) != (self._name, protocol.VERSION):
            raise Refused(
                404,
                f"no model {name[:80]!r} of version {version[:80]!r}: {self._name!r}, version 1, is served",
            )


@contextlib.contextmanager
def _named(name: str) -> Iterator[None]:
    """Puts the element's name before whatever refuses it."""
    try:
        yield
    except Refused as error:
        raise Refused(error.status, f"{name}: {error}") from error


def _error(status: int, message: str, headers: Any = None) -> Response:
    return JSONResponse({"error": message}, status, headers)


async def _refused(request: Request, error: Refused) -> Response:
    return _error(error.status, str(error), error.headers)


async def _http_error(request: Request, error: Any) -> Response:
    return _error(
        error.status_code, f"{error.detail}: {request.method} {request.url.path[:200]}", error.headers
    )


async def _crashed(request: Request, error: Exception) -> Response:
    return _error(500, "internal error, see the server's log")
