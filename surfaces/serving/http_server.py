"""Serves an ASGI application by uvicorn, with limits of time and of connections that uvicorn does not have.

Errors are answered as `{"error": "one line"}`.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import threading
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Self, cast

import h11
import uvicorn
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from surfaces.errors import DecodeError, FetchError, OutputError, SurfacesError
from surfaces.messages import printable

_HEAD_BYTES_MAX = 1 << 16
_MESSAGE_CHARACTERS_MAX = 500


@dataclass(frozen=True)
class ConnectionLimits:
    """What connections may cost.

    Attributes:
        request_s: seconds until a request must have arrived.
        response_s: seconds until its response must have been read.
        connections_max: connections that are answered; four times as many are accepted, the others get a 503.
    """

    request_s: float = 30.0
    response_s: float = 900.0
    connections_max: int = 64


class HttpServer:
    """Serves an application on `host` while its context is entered; `port` is a free one if 0 was given.

    Raises:
        OutputError: the port is taken, or is no port of this machine.
    """

    def __init__(self, host: str, port: int, app: ASGIApp, limits: ConnectionLimits | None = None) -> None:
        limits = limits or ConnectionLimits()
        self._socket = _listen(host, port)
        self.port = int(self._socket.getsockname()[1])
        config = uvicorn.Config(
            app,
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


def error_response(status: int, words: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """An answer with an error of one line; the words may quote untrusted input."""
    return JSONResponse({"error": one_line(words)}, status, headers)


def one_line(text: str) -> str:
    """A message on one line, of bounded length, without control characters: it may quote untrusted input."""
    return printable(" ".join(text[:_MESSAGE_CHARACTERS_MAX].split()))


class _Connection(H11Protocol):
    """Ends connections that do not send a whole request, or do not read the response, in time: uvicorn does not."""

    def __init__(self, limits: ConnectionLimits, *arguments: Any, **options: Any) -> None:
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


async def _on_http_error(request: Request, error: HTTPException) -> JSONResponse:
    if isinstance(error.__cause__, OSError):  # such as an upload for which the disk has no room
        print(one_line(f"{error.detail}: {error.__cause__}"), file=sys.stderr, flush=True)
        return error_response(503, "the server could not store the request; try again later", {"Retry-After": "10"})
    missing = f"no {request.method} {request.scope['path']} here"
    words = missing if error.status_code in (404, 405) else error.detail
    return error_response(error.status_code, words, error.headers)


async def _on_surfaces_error(_: Request, error: SurfacesError) -> JSONResponse:
    """The client's fault is said; what is wrong with the server is logged."""
    if not isinstance(error, FetchError | DecodeError):
        print(one_line(str(error)), file=sys.stderr, flush=True)
        return error_response(500, "the server could not do this; its log says why")
    return error_response(422, str(error))


async def _on_disconnect(_: Request, __: ClientDisconnect) -> JSONResponse:
    return error_response(400, "the request ended early")


async def _on_bug(_: Request, error: Exception) -> JSONResponse:
    for line in "".join(traceback.format_exception(error)).splitlines():
        print(printable(line), file=sys.stderr, flush=True)
    return error_response(500, f"internal error ({type(error).__name__})")


ERROR_HANDLERS: dict[Any, Any] = {
    HTTPException: _on_http_error,
    SurfacesError: _on_surfaces_error,
    ClientDisconnect: _on_disconnect,
    Exception: _on_bug,
}
"""By type of error, for Starlette and FastAPI."""


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        return socket.create_server((host, port), family=family, backlog=128)
    except (OSError, OverflowError, UnicodeError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).partition(" (while")[0]
        raise OutputError(f"could not listen on {host}:{port}: {reason}") from error
