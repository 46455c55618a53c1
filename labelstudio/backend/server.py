"""Label Studio's protocol for ML backends over HTTP: a Starlette application, served by uvicorn.

label-studio-ml on PyPI is 1.0.9 of 2022: it pins Flask 1.1.2 and werkzeug 2.0.2, needs redis and rq for trainings
that we don't do, and answers errors with tracebacks; what is newer is not released there. What Label Studio (1.23,
`ml/api_connector.py`) asks a backend that only predicts is five small questions: `GET /health`, `GET /versions`,
`POST /setup`, `POST /predict`, and `POST /webhook`, which tells what happened in the project and wants no answer.

Who asks is not known: the server listens on this machine alone unless told otherwise, answers only under its own
host names (a page that a person visits could have its name resolved to this machine), takes JSON alone (such a page
can send none without asking first) and asks for the secret where there is one. It believes nothing that `/setup` says
(Label Studio offers its token there; ours comes from the connection), and answers errors as `{"error": "one line"}`.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import sys
import threading
import traceback
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from labelstudio.backend.listener import Listener, ServerLimits
from surfaces.errors import SurfacesError
from surfaces.messages import printable

USER = "interior-surfaces"
"""The user name that goes with the secret."""
LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]")


@dataclass(frozen=True)
class Access:
    """Who is answered.

    Attributes:
        hosts: host names and IP addresses, without port, IPv6 in brackets, that a request's Host header may have.
        secret: the password of HTTP basic authentication, the user is `USER`; None asks for none.
    """

    hosts: tuple[str, ...] = LOOPBACK_HOSTS
    secret: str | None = field(default=None, repr=False)

    def check(self, request: Request) -> None:
        """Lets a request pass.

        Raises:
            HTTPException: 401, it has not the secret.
        """
        if self.secret is None:
            return
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        expected = base64.b64encode(f"{USER}:{self.secret}".encode())
        if scheme.lower() != "basic" or not hmac.compare_digest(given.strip().encode(), expected):
            words = f"expected HTTP basic authentication: the user {USER} and the backend's secret"
            raise HTTPException(401, words, {"WWW-Authenticate": "Basic"})


class Bodies:
    """Reads bodies; all that are being worked on together stay within the limit of one.

    Args:
        limits: of bytes.
    """

    def __init__(self, limits: ServerLimits) -> None:
        self._bytes_max, self._held_bytes = limits.body_bytes_max, 0

    @asynccontextmanager
    async def reading(self, request: Request) -> AsyncIterator[bytearray]:
        """A request's body, which counts while the context is entered.

        Raises:
            HTTPException: it is no JSON, too long, or there are too many others.
        """
        if request.headers.get("Content-Type", "").partition(";")[0].strip().lower() != "application/json":
            raise HTTPException(415, "expected Content-Type application/json")
        stated, body = request.headers.get("Content-Length", ""), bytearray()
        if not (stated.isascii() and stated.isdecimal()):
            raise HTTPException(411, "expected a Content-Length")
        if int(stated[:18]) > self._bytes_max:
            raise HTTPException(413, f"expected at most {self._bytes_max} bytes, got {stated[:18]}")
        try:
            async for chunk in request.stream():
                body += chunk
                self._held_bytes += len(chunk)
                if self._held_bytes > self._bytes_max:
                    raise HTTPException(503, "busy with other requests; try again later", {"Retry-After": "10"})
            yield body
        finally:
            self._held_bytes -= len(body)


def parsed(body: bytearray, limits: ServerLimits) -> dict[str, Any]:
    """A request's JSON object; what would need many times its bytes once it is parsed is refused before.

    Raises:
        HTTPException: it is none, or has too many parts.
    """
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


_WORDS_MAX = 500

_Made = TypeVar("_Made")


class Model(Protocol):
    """What predicts; called from several threads at once."""

    @property
    def version(self) -> str:
        """What predictions bear."""

    def predict(self, tasks: Sequence[Mapping[str, Any]], context: Mapping[str, Any] | None) -> list[Any]:
        """Predictions, one entry a task: a dictionary with `result`, or a list of such.

        Args:
            tasks: as Label Studio serialises them.
            context: what was just drawn in the browser; None when nobody did.

        Raises:
            SurfacesError: there is no prediction, and why.
        """


class MlServer(Listener):
    """Serves a model while its context is entered.

    Args:
        host: the address to listen on.
        port: 0 for a free one.
        model: what predicts.
        access: who is answered; the defaults of `Access` where None.
        limits: the defaults of `ServerLimits` where None.

    Raises:
        OutputError: the port is taken, or is no port of this machine.
    """

    def __init__(
        self, host: str, port: int, model: Model, access: Access | None = None, limits: ServerLimits | None = None
    ) -> None:
        limits = limits or ServerLimits()
        super().__init__(host, port, application(model, access or Access(), limits), limits)


def application(model: Model, access: Access, limits: ServerLimits) -> Starlette:
    """The ASGI application that answers Label Studio."""
    answers = _Answers(model, access, limits)
    routes = [
        Route("/", answers.health),
        Route("/health", answers.health),
        Route("/versions", answers.versions),
        Route("/setup", answers.setup, methods=["POST"]),
        Route("/predict", answers.predict, methods=["POST"]),
        Route("/webhook", answers.webhook, methods=["POST"]),
    ]
    hosts = Middleware(TrustedHostMiddleware, allowed_hosts=access.hosts, www_redirect=False)
    handlers: dict[Any, Any] = {
        HTTPException: _refused,
        SurfacesError: _no_prediction,
        ClientDisconnect: _left,
        Exception: _mistaken,
    }
    app = Starlette(routes=routes, middleware=[hosts], exception_handlers=handlers)
    app.router.redirect_slashes = False
    return app


class _Answers:
    def __init__(self, model: Model, access: Access, limits: ServerLimits) -> None:
        self._model, self._access, self._limits = model, access, limits
        self._threads = asyncio.Semaphore(limits.threads)
        self._bodies = Bodies(limits)

    async def health(self, request: Request) -> JSONResponse:
        self._access.check(request)
        return _answer({"status": "UP", "model_class": type(self._model).__name__})

    async def versions(self, request: Request) -> JSONResponse:
        self._access.check(request)
        return _answer({"versions": [self._model.version]})

    async def setup(self, request: Request) -> JSONResponse:
        async with self._asked(request):
            return _answer({"model_version": self._model.version})

    async def webhook(self, request: Request) -> JSONResponse:
        async with self._asked(request):
            return _answer({})

    async def predict(self, request: Request) -> JSONResponse:
        async with self._asked(request) as asked, self._threads:
            return await _in_thread(lambda: _answer(self._predict(asked)))

    @asynccontextmanager
    async def _asked(self, request: Request) -> AsyncIterator[dict[str, Any]]:
        """What a request asks; its bytes count while the context is entered."""
        self._access.check(request)
        async with self._bodies.reading(request) as body:
            yield await _in_thread(lambda: parsed(body, self._limits))

    def _predict(self, request: dict[str, Any]) -> dict[str, Any]:
        tasks, params, most = request.get("tasks"), request.get("params") or {}, self._limits.tasks_max
        if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks) or not tasks:
            raise HTTPException(400, "expected `tasks`, a list of one or more objects")
        if len(tasks) > most:
            raise HTTPException(413, f"expected at most {most} tasks in a request, got {len(tasks)}; choose fewer")
        context = params.get("context") if isinstance(params, dict) else params
        if context is not None and not isinstance(context, dict):
            raise HTTPException(400, "expected `params.context` to be an object or null")
        return {"results": self._model.predict(tasks, context), "model_version": self._model.version}


def _in_thread(work: Callable[[], _Made]) -> asyncio.Future[_Made]:
    """Calls `work` in a thread that the end of the process does not wait for, unlike asyncio's own threads."""
    future: Future[_Made] = Future()
    future.set_running_or_notify_cancel()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return asyncio.wrap_future(future)


async def _refused(request: Request, error: HTTPException) -> JSONResponse:
    missing = f"no {request.method} {request.scope['path']} here"
    return _error(error.status_code, missing if error.status_code in (404, 405) else error.detail, error.headers)


async def _no_prediction(_: Request, error: SurfacesError) -> JSONResponse:
    tell(str(error))
    return _error(422, str(error))


async def _left(_: Request, __: ClientDisconnect) -> JSONResponse:
    return _error(400, "the request ended early")


async def _mistaken(_: Request, error: Exception) -> JSONResponse:
    for line in "".join(traceback.format_exception(error)).splitlines():
        print(printable(line), file=sys.stderr, flush=True)
    return _error(500, f"internal error ({type(error).__name__})")


def _answer(content: Mapping[str, Any]) -> JSONResponse:
    return JSONResponse(content, headers={"Connection": "close"})


def _error(status: int, words: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": one_line(words)}, status, headers)


def one_line(words: str) -> str:
    """Words on one line, of bounded length, without control characters: they may repeat what a stranger wrote."""
    return printable(" ".join(words[:_WORDS_MAX].split()))


def tell(words: str) -> None:
    """Says something to whoever watches the server."""
    print(f"labelstudio: {one_line(words)}", file=sys.stderr, flush=True)
