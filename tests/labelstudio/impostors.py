"""Servers that answer as they are told to."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Response = Callable[[BaseHTTPRequestHandler], None]


class Impostor(ThreadingHTTPServer):
    """Gives its answers, one a request, the last of them for ever; `seen` is method, path and token of each request."""

    daemon_threads = True

    def __init__(self, *answers: Response, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.answers, self.seen = list(answers), []
        self.url = f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, *_: object) -> None:
        pass


class _Handler(BaseHTTPRequestHandler):
    server: Impostor

    def do_GET(self) -> None:
        self.server.seen.append((self.command, self.path, self.headers.get("Authorization")))
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        answers = self.server.answers
        (answers.pop(0) if len(answers) > 1 else answers[0])(self)

    do_POST = do_GET

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def impostor_at(*answers: Response, port: int = 0) -> Iterator[Impostor]:
    with Impostor(*answers, port=port) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server
        server.shutdown()


def says(status: int, body: Any, kind: str = "application/json", **headers: str) -> Response:
    data = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else json.dumps(body).encode()

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in ({"Content_Type": kind, "Content_Length": str(len(data))} | headers).items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(data)

    return answer


def redirects(place: str, status: int = 302) -> Response:
    return says(status, "", Location=place)


WHO = says(200, {"id": 1, "email": "reviewer@example.com"})
