"""A loopback server of photos."""

from __future__ import annotations

from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Response = Callable[[BaseHTTPRequestHandler], None]


class PhotoServer(ThreadingHTTPServer):
    """Answers on a free loopback port; what is asked for is recorded."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: dict[str, Response] = {}
        self.asked: list[str] = []
        self.agents: list[str] = []

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}{path}"

    def answer(self, path: str, answer: Response) -> str:
        """Has a function answer a path; returns the address."""
        self.answers[path] = answer
        return self.url(path)

    def serve(self, path: str, body: bytes, status: int = 200, **headers: str) -> str:
        """Has bytes answer a path, with headers such as `Content_Type`; returns the address."""

        def answer(request: BaseHTTPRequestHandler) -> None:
            request.send_response(status)
            for name, value in ({"Content_Length": str(len(body))} | headers).items():
                request.send_header(name.replace("_", "-"), value)
            request.end_headers()
            if request.command != "HEAD":
                request.wfile.write(body)

        return self.answer(path, answer)

    def handle_error(self, *_: object) -> None:
        """A client that leaves early is what many tests are about."""


class _Handler(BaseHTTPRequestHandler):
    server: PhotoServer

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.server.agents.append(self.headers.get("User-Agent", ""))
        self.server.answers.get(self.path, lambda request: request.send_error(404))(self)

    do_HEAD = do_GET

    def log_message(self, *_: object) -> None:
        pass
