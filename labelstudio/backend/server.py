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
import json
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from surfaces.errors import SurfacesError
from surfaces.serving.access import Access
from surfaces.serving.http_server import ERROR_HANDLERS, ConnectionLimits, HttpServer, error_response, one_line
from surfaces.threads import call_in_thread


@dataclass(frozen=True)
class ServerLimits(ConnectionLimits):
    """What requests may cost.

    Attributes:
        body_bytes_max: of one body, and of all bodies in progress together. Label Studio sends tasks with all their
            annotations and predictions.
        containers_max: objects and lists in a request's JSON.
        strings_max: strings in it.
        threads: requests that are processed at once.
    """

    body_bytes_max: int = 64_000_000
    containers_max: int = 300_000
    strings_max: int = 1_500_000
    tasks_max: int = 1000
    threads: int = 8


class Model(Protocol):
    """Predicts, called from several threads at once; `version` is the model version of its predictions."""

    version: str

    def predict(self, tasks: Sequence[Mapping[str, Any]], context: Mapping[str, Any] | None) -> list[Any]:
        """Predictions, one entry per task; see `InteractiveModel.predict`."""


class MlServer(HttpServer):
    """Serves a model on `host` while its context is entered; arguments and errors as of HttpServer."""

    def __init__(
        self, host: str, port: int, model: Model, access: Access | None = None, limits: ServerLimits | None = None
    ) -> None:
        limits = limits or ServerLimits()
        super().__init__(host, port, create_application(model, access or Access(), limits), limits)


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
    app = Starlette(
        routes=routes, middleware=[hosts], exception_handlers=ERROR_HANDLERS | {SurfacesError: _on_surfaces_error}
    )
    app.router.redirect_slashes = False
    return app


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


async def _on_surfaces_error(_: Request, error: SurfacesError) -> JSONResponse:
    report(str(error))
    return error_response(422, str(error))


def _response(content: Mapping[str, Any]) -> JSONResponse:
    return JSONResponse(content, headers={"Connection": "close"})
