"""Label Studio's protocol for ML backends over HTTP: a Starlette application, served by uvicorn.

label-studio-ml on PyPI is 1.0.9 of 2022: it pins Flask 1.1.2 and werkzeug 2.0.2, needs redis and rq, and answers errors
with tracebacks. Label Studio (1.23, `ml/api_connector.py`) sends `/webhook` the project's changes, and expects no
answer.

Requests are untrusted: the server listens on loopback by default, answers only under its own host names (against DNS
rebinding), accepts only JSON (which other sites' pages cannot send without a preflight) and checks the secret if there
is one. It ignores the token in `/setup`. Errors are answered as `{"error": "one line"}`.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import socket
import sys
import threading
import traceback
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol, Self, cast

import h11
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol

from surfaces.errors import OutputError, SurfacesError
from surfaces.messages import printable
from surfaces.threads import call_in_thread

USER = "interior-surfaces"
"""The user name that goes with the secret."""
LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]")

_HEAD_BYTES_MAX = 1 << 16
_MESSAGE_CHARACTERS_MAX = 500


@dataclass(frozen=True)
class Access:
    """Which requests are answered.

    `hosts` are permitted in the Host header: names and IP addresses without port, IPv6 in brackets. `secret` is the
    password of HTTP basic authentication, for the user `USER`; None requires none.
    """

    hosts: tuple[str, ...] = LOOPBACK_HOSTS
    secret: str | None = field(default=None, repr=False)

    def check(self, request: Request) -> None:
        """Raises HTTPException 401 if a request lacks the secret."""
        if self.secret is None:
            return
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        expected = base64.b64encode(f"{USER}:{self.secret}".encode())
        if scheme.lower() != "basic" or not hmac.compare_digest(given.strip().encode(), expected):
            words = f"expected HTTP basic authentication: the user {USER} and the backend's secret"
            raise HTTPException(401, words, {"WWW-Authenticate": "Basic"})


@dataclass(frozen=True)
class ServerLimits:
    """What requests may cost.

    Attributes:
        body_bytes_max: of one body, and of all bodies in progress together. Label Studio sends tasks with all their
            annotations and predictions.
        containers_max: objects and lists in a request's JSON.
        strings_max: strings in it.
        request_s: seconds until a request must have arrived.
        response_s: seconds until its response must have been read.
        connections_max: connections that are answered; four times as many are accepted, the others get a 503.
        threads: requests that are processed at once.
    """

    body_bytes_max: int = 64_000_000
    containers_max: int = 300_000
    strings_max: int = 1_500_000
    tasks_max: int = 1000
    request_s: float = 30.0
    response_s: float = 900.0
    connections_max: int = 64
    threads: int = 8


class Model(Protocol):
    """Predicts, called from several threads at once; `version` is the model version of its predictions."""

    version: str

    def predict(self, tasks: Sequence[Mapping[str, Any]], context: Mapping[str, Any] | None) -> list[Any]:
        """Predictions, one entry per task; see `InteractiveModel.predict`."""


class MlServer:
    """Serves a model on `host` while its context is entered; `port` is a free one if 0 was given.

    Raises:
        OutputError: the port is taken, or is no port of this machine.
    """

    def __init__(
        self, host: str, port: int, model: Model, access: Access | None = None, limits: ServerLimits | None = None
    ) -> None:
        limits = limits or ServerLimits()
        self._socket = _listen(host, port)
        self.port = int(self._socket.getsockname()[1])
        config = uvicorn.Config(
            create_application(model, access or Access(), limits),
            loop="asyncio",
            http=cast(Any, partial(_Connection, limits)),
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            limit_concurrency=limits.connections_max,
            timeout_graceful_shutdown=1,
            h11_max_incomplete_event_size=_HEAD_BYTES_MAX,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()


def create_application(model: Model, access: Access, limits: ServerLimits) -> Starlette:
    """The ASGI application that answers Label Studio."""
    endpoints = _Endpoints(model, access, limits)
    routes = [
        Route("/", endpoints.health),
        Route("/health", endpoints.health),
        Route("/versions", endpoints.versions),
        Route("/setup", endpoints.setup, methods=["POST"]),
        Route("/predict", endpoints.predict, methods=["POST"]),
        Route("/webhook", endpoints.webhook, methods=["POST"]),
    ]
    hosts = Middleware(TrustedHostMiddleware, allowed_hosts=access.hosts, www_redirect=False)
    handlers: dict[Any, Any] = {
        HTTPException: _on_http_error,
        SurfacesError: _on_surfaces_error,
        ClientDisconnect: _on_disconnect,
        Exception: _on_bug,
    }
    app = Starlette(routes=routes, middleware=[hosts], exception_handlers=handlers)
    app.router.redirect_slashes = False
    return app


class _Connection(H11Protocol):
    """Ends connections that do not send a whole request, or do not read the response, in time: uvicorn does not."""

    def __init__(self, limits: ServerLimits, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._limits = limits
        self._timers: list[asyncio.TimerHandle] = []

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > 4 * self._limits.connections_max:
            transport.abort()
        self._restart_timers()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timers()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        # A client whose request was rejected may still be sending, and read the response only then.
        super().on_response_complete()
        if not self.transport.is_closing():
            self._restart_timers()

    def send_400_response(self, msg: str) -> None:  # requests that are no HTTP
        body = json.dumps({"error": msg}).encode()
        head = f"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        self.transport.write(f"{head}Connection: close\r\n\r\n".encode() + body)
        self.transport.close()

    def _restart_timers(self) -> None:
        self._stop_timers()
        self._timers = [
            self.loop.call_later(self._limits.request_s, self._abort_unfinished_request),
            self.loop.call_later(self._limits.response_s, self.transport.abort),
        ]

    def _stop_timers(self) -> None:
        for timer in self._timers:
            timer.cancel()

    def _abort_unfinished_request(self) -> None:
        if self.conn.their_state in (h11.IDLE, h11.SEND_BODY):
            self.transport.abort()


class _Endpoints:
    def __init__(self, model: Model, access: Access, limits: ServerLimits) -> None:
        self._model, self._access, self._limits = model, access, limits
        self._threads = asyncio.Semaphore(limits.threads)
        self._body_bytes = 0

    async def health(self, request: Request) -> JSONResponse:
        self._access.check(request)
        return _response({"status": "UP", "model_class": type(self._model).__name__})

    async def versions(self, request: Request) -> JSONResponse:
        self._access.check(request)
        return _response({"versions": [self._model.version]})

    async def setup(self, request: Request) -> JSONResponse:
        async with self._parsed(request):
            return _response({"model_version": self._model.version})

    async def webhook(self, request: Request) -> JSONResponse:
        async with self._parsed(request):
            return _response({})

    async def predict(self, request: Request) -> JSONResponse:
        async with self._parsed(request) as parsed, self._threads:
            return await asyncio.wrap_future(call_in_thread(lambda: _response(self._predict(parsed))))

    @asynccontextmanager
    async def _parsed(self, request: Request) -> AsyncIterator[dict[str, Any]]:
        """A request's JSON; its bytes count as in progress while the context is entered."""
        self._access.check(request)
        _check_headers(request, self._limits.body_bytes_max)
        body = bytearray()
        try:
            async for chunk in request.stream():
                body += chunk
                self._body_bytes += len(chunk)
                if self._body_bytes > self._limits.body_bytes_max:
                    raise HTTPException(503, "busy with other requests; try again later", {"Retry-After": "10"})
            yield await asyncio.wrap_future(call_in_thread(lambda: parse_body(body, self._limits)))
        finally:
            self._body_bytes -= len(body)

    def _predict(self, request: dict[str, Any]) -> dict[str, Any]:
        tasks, params, tasks_max = request.get("tasks"), request.get("params") or {}, self._limits.tasks_max
        if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks) or not tasks:
            raise HTTPException(400, "expected `tasks`, a list of one or more objects")
        if len(tasks) > tasks_max:
            raise HTTPException(413, f"expected at most {tasks_max} tasks in a request, got {len(tasks)}; choose fewer")
        context = params.get("context") if isinstance(params, dict) else params
        if context is not None and not isinstance(context, dict):
            raise HTTPException(400, "expected `params.context` to be an object or null")
        return {"results": self._model.predict(tasks, context), "model_version": self._model.version}


def parse_body(body: bytearray, limits: ServerLimits) -> dict[str, Any]:
    """Parses a request's JSON object, unless that would need many times its bytes; else raises an HTTPException."""
    if body.count(b"{") + body.count(b"[") > limits.containers_max or body.count(b'"') > 2 * limits.strings_max:
        words = f"expected at most {limits.containers_max} objects and lists and {limits.strings_max} texts, got more"
        raise HTTPException(413, words)
    try:
        request = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, f"expected JSON: {error}") from error
    if not isinstance(request, dict):
        raise HTTPException(400, f"expected a JSON object, got {type(request).__name__}")
    return request


def one_line(text: str) -> str:
    """A message on one line, of bounded length, without control characters: it may quote untrusted input."""
    return printable(" ".join(text[:_MESSAGE_CHARACTERS_MAX].split()))


def report(text: str) -> None:
    """Writes a message to stderr."""
    print(f"labelstudio: {one_line(text)}", file=sys.stderr, flush=True)


def _check_headers(request: Request, bytes_max: int) -> None:
    if request.headers.get("Content-Type", "").partition(";")[0].strip().lower() != "application/json":
        raise HTTPException(415, "expected Content-Type application/json")
    length = request.headers.get("Content-Length", "")
    if not (length.isascii() and length.isdecimal()):
        raise HTTPException(411, "expected a Content-Length")
    if int(length[:18]) > bytes_max:
        raise HTTPException(413, f"expected at most {bytes_max} bytes, got {length[:18]}")


async def _on_http_error(request: Request, error: HTTPException) -> JSONResponse:
    missing = f"no {request.method} {request.scope['path']} here"
    words = missing if error.status_code in (404, 405) else error.detail
    return _error_response(error.status_code, words, error.headers)


async def _on_surfaces_error(_: Request, error: SurfacesError) -> JSONResponse:
    report(str(error))
    return _error_response(422, str(error))


async def _on_disconnect(_: Request, __: ClientDisconnect) -> JSONResponse:
    return _error_response(400, "the request ended early")


async def _on_bug(_: Request, error: Exception) -> JSONResponse:
    for line in "".join(traceback.format_exception(error)).splitlines():
        print(printable(line), file=sys.stderr, flush=True)
    return _error_response(500, f"internal error ({type(error).__name__})")


def _response(content: Mapping[str, Any]) -> JSONResponse:
    return JSONResponse(content, headers={"Connection": "close"})


def _error_response(status: int, words: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": one_line(words)}, status, headers)


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        return socket.create_server((host, port), family=family, backlog=128)
    except (OSError, OverflowError, UnicodeError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).partition(" (while")[0]
        raise OutputError(f"could not listen on {host}:{port}: {reason}") from error
