"""An HTTP server that strangers may reach: uvicorn, with the limits of time and connections that it has not."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from dataclasses import dataclass
from functools import partial
from typing import Any, Self, cast

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from surfaces.errors import OutputError

_HEAD_BYTES_MAX = 1 << 16
_WAITING_MAX = 4
"""Connections that may stand, as multiple of those that are answered: the others are told that the server is busy."""


@dataclass(frozen=True)
class ServerLimits:
    """What requests may cost.

    Attributes:
        body_bytes_max: most bytes of a request's body, and of all bodies that are being worked on together. Label
            Studio sends a task with all its annotations and predictions.
        containers_max: most objects and lists in a request's JSON.
        strings_max: most texts in it.
        tasks_max: most tasks of a request.
        request_s: longest wait for a whole request, seconds.
        answer_s: longest wait for it to be answered and the answer to be read, seconds.
        connections_max: most connections at once that are answered.
        threads: most requests that are worked on at once.
    """

    body_bytes_max: int = 64_000_000
    containers_max: int = 300_000
    strings_max: int = 1_500_000
    tasks_max: int = 1000
    request_s: float = 30.0
    answer_s: float = 900.0
    connections_max: int = 64
    threads: int = 8


class Listener:
    """Serves an application while its context is entered.

    Args:
        host: the address to listen on.
        port: 0 for a free one.
        app: an ASGI application.
        limits: of connections and their time.

    Attributes:
        port: where it listens.

    Raises:
        OutputError: the port is taken, or is no port of this machine.
    """

    def __init__(self, host: str, port: int, app: ASGIApp, limits: ServerLimits) -> None:
        self._socket = _bound(host, port)
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


class _Connection(H11Protocol):
    """Hangs up on who does not send a whole request in time, or does not read the answer."""

    def __init__(self, limits: ServerLimits, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._limits = limits
        self._timers: list[asyncio.TimerHandle] = []

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > _WAITING_MAX * self._limits.connections_max:
            transport.abort()
        self._await_request()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timers()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """Goes on reading: a client that was refused may still be sending, and look at the answer only then."""
        super().on_response_complete()
        if not self.transport.is_closing():
            self._await_request()

    def send_400_response(self, msg: str) -> None:
        """As uvicorn calls it for requests that are no HTTP."""
        body = json.dumps({"error": msg}).encode()
        head = f"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        self.transport.write(f"{head}Connection: close\r\n\r\n".encode() + body)
        self.transport.close()

    def _await_request(self) -> None:
        self._stop_timers()
        self._timers = [
            self.loop.call_later(self._limits.request_s, self._hang_up_on_half_a_request),
            self.loop.call_later(self._limits.answer_s, self.transport.abort),
        ]

    def _stop_timers(self) -> None:
        for timer in self._timers:
            timer.cancel()

    def _hang_up_on_half_a_request(self) -> None:
        if self.conn.their_state in (h11.IDLE, h11.SEND_BODY):
            self.transport.abort()


def _bound(host: str, port: int) -> socket.socket:
    """A socket that listens."""
    try:
        family = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        return socket.create_server((host, port), family=family, backlog=128)
    except (OSError, OverflowError, UnicodeError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).partition(" (while")[0]
        raise OutputError(f"could not listen on {host}:{port}: {reason}") from error
