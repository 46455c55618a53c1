"""Label Studio's protocol for ML backends over HTTP, with nothing but the standard library.

label-studio-ml on PyPI is 1.0.9 of 2022: it pins Flask 1.1.2 and werkzeug 2.0.2, needs redis and rq for trainings
that we don't do, and answers errors with tracebacks; what is newer is not released there. What Label Studio (1.23,
`ml/api_connector.py`) asks a backend that only predicts is five small questions: `GET /health`, `GET /versions`,
`POST /setup`, `POST /predict`, and `POST /webhook`, which tells what happened in the project and wants no answer.

Who asks is not known: the server listens on this machine alone unless told otherwise, takes JSON alone (a web page
that a person visits can send none without asking first), believes nothing that `/setup` says (Label Studio offers
its token there; ours comes from the connection), and answers errors as `{"error": "one line"}`.
"""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any, Protocol
from urllib.parse import urlsplit

from surfaces.errors import OutputError, SurfacesError

_CHUNK_BYTES = 1 << 16


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


@dataclass(frozen=True)
class ServerLimits:
    """What a request may cost.

    Attributes:
        body_bytes_max: most bytes of a request. Label Studio sends a task with all its annotations and predictions.
        silence_s: longest wait for a client that has something to send, or to read, seconds.
    """

    body_bytes_max: int = 64_000_000
    silence_s: float = 30.0


class MlServer(ThreadingHTTPServer):
    """Serves a model until `shutdown`; a context manager that closes its port.

    Args:
        host: the address to listen on.
        port: 0 for a free one.
        model: what predicts.
        limits: the defaults of `ServerLimits` where None.

    Raises:
        OutputError: the port is taken, or is no port of this machine.
    """

    daemon_threads = True

    def __init__(self, host: str, port: int, model: Model, limits: ServerLimits | None = None) -> None:
        self.model = model
        self.limits = limits or ServerLimits()
        try:
            super().__init__((host, port), _Handler)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise OutputError(f"could not listen on {host}:{port}: {reason}") from error

    def server_bind(self) -> None:
        """Binds without looking up the machine's name, for which http.server may wait long."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def handle_error(self, *_: Any) -> None:
        """Tells what went wrong outside of an answer, but that a client went away."""
        error = sys.exception()
        if not isinstance(error, (ConnectionError, TimeoutError)):
            tell(f"{type(error).__name__}: {error}")


class _RefusalError(Exception):
    """What is answered instead of a prediction."""

    def __init__(self, status: HTTPStatus, words: str) -> None:
        super().__init__(words)
        self.status = status


class _Handler(BaseHTTPRequestHandler):
    server: MlServer
    server_version = "interior-surfaces"
    sys_version = ""

    def setup(self) -> None:
        super().setup()
        self.connection.settimeout(self.server.limits.silence_s)

    def do_GET(self) -> None:
        self._answer({"/": self._health, "/health": self._health, "/versions": self._versions})

    def do_POST(self) -> None:
        self._answer({"/setup": self._setup, "/predict": self._predict, "/webhook": self._webhook})

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """As http.server calls it for requests that it cannot read."""
        del explain
        self._send(HTTPStatus(code), {"error": message or HTTPStatus(code).phrase})

    def log_message(self, *_: Any) -> None:
        """Nothing: Label Studio asks for our health each time that a page is opened."""

    def _answer(self, doors: Mapping[str, Any]) -> None:
        path = urlsplit(self.path).path
        door = doors.get(path.rstrip("/") or "/")
        try:
            if door is None:
                raise _RefusalError(HTTPStatus.NOT_FOUND, f"no {self.command} {path[:100]} here")
            self._send(HTTPStatus.OK, door())
        except _RefusalError as refusal:
            self._send(refusal.status, {"error": str(refusal)})
            self._read_in_vain()
        except SurfacesError as error:
            tell(str(error))
            self._send(HTTPStatus.UNPROCESSABLE_ENTITY, {"error": str(error)})
        except (ConnectionError, TimeoutError):
            raise
        except Exception as error:
            traceback.print_exc()
            self._send(HTTPStatus.INTERNAL_SERVER_ERROR, {"error": f"internal error ({type(error).__name__})"})

    def _health(self) -> dict[str, Any]:
        return {"status": "UP", "model_class": type(self.server.model).__name__}

    def _versions(self) -> dict[str, Any]:
        return {"versions": [self.server.model.version]}

    def _setup(self) -> dict[str, Any]:
        self._json()
        return {"model_version": self.server.model.version}

    def _webhook(self) -> dict[str, Any]:
        self._body()
        return {}

    def _predict(self) -> dict[str, Any]:
        request = self._json()
        tasks, params = request.get("tasks"), request.get("params") or {}
        if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks) or not tasks:
            raise _RefusalError(HTTPStatus.BAD_REQUEST, "expected `tasks`, a list of one or more objects")
        context = params.get("context") if isinstance(params, dict) else params
        if context is not None and not isinstance(context, dict):
            raise _RefusalError(HTTPStatus.BAD_REQUEST, "expected `params.context` to be an object or null")
        model = self.server.model
        return {"results": model.predict(tasks, context), "model_version": model.version}

    def _json(self) -> dict[str, Any]:
        if self.headers.get_content_type() != "application/json":
            raise _RefusalError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "expected Content-Type application/json")
        try:
            request = json.loads(self._body())
        except (ValueError, RecursionError) as error:
            raise _RefusalError(HTTPStatus.BAD_REQUEST, f"expected JSON: {error}") from error
        if not isinstance(request, dict):
            raise _RefusalError(HTTPStatus.BAD_REQUEST, f"expected a JSON object, got {type(request).__name__}")
        return request

    def _body(self) -> bytes:
        length, most = self._length(), self.server.limits.body_bytes_max
        if length > most:
            words = f"expected at most {most} bytes, got {length}"
            raise _RefusalError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, words)
        body = self.rfile.read(length)
        if len(body) < length:
            raise _RefusalError(HTTPStatus.BAD_REQUEST, f"expected {length} bytes, got {len(body)}")
        return body

    def _length(self) -> int:
        stated = self.headers.get("Content-Length", "")
        if not (stated.isascii() and stated.isdecimal()):
            raise _RefusalError(HTTPStatus.LENGTH_REQUIRED, "expected a Content-Length")
        return int(stated[:18])

    def _send(self, status: HTTPStatus, answer: Mapping[str, Any]) -> None:
        if "error" in answer:
            answer = {"error": " ".join(str(answer["error"]).split())}
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _read_in_vain(self) -> None:
        """Takes what a client goes on sending after it was refused: many look at the answer only then."""
        with suppress(OSError):
            self.connection.settimeout(1.0)
            while self.rfile.read1(_CHUNK_BYTES):
                pass


def tell(words: str) -> None:
    """Says something to whoever watches the server."""
    print(f"labelstudio: {words}", file=sys.stderr, flush=True)
