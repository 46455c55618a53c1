"""A line to a server that breaks."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

_CHUNK = 1 << 16


class CutLine:
    """Forwards connections to a server, and breaks for good at the n-th request that begins with given bytes.

    `seen` counts the requests that began with those bytes.
    """

    def __init__(self, url: str, request: bytes, at: int, after_answer_began: bool) -> None:
        parts = urlsplit(url)
        self._target = (parts.hostname, parts.port)
        self._request, self._at, self._answer = request, at, after_answer_began
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = [self._listener]
        self._broken = threading.Event()
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.seen = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        self._broken.set()
        _close(*self._open)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if self._broken.is_set():  # not every system wakes whoever waits at a closed socket
                    client.close()
                    return
                server = socket.create_connection(self._target)
                self._open += [client, server]
                breaks = threading.Event()
                for ends, is_request in (((client, server), True), ((server, client), False)):
                    threading.Thread(target=self._forward, args=(*ends, breaks, is_request), daemon=True).start()

    def _forward(self, source: socket.socket, target: socket.socket, breaks: threading.Event, is_request: bool) -> None:
        with suppress(OSError):
            while data := source.recv(_CHUNK):
                if is_request and data.startswith(self._request):
                    self.seen += 1
                    if self.seen == self._at:
                        breaks.set()
                if breaks.is_set() and is_request != self._answer:
                    self.cut()
                target.sendall(data)
        _close(source, target)


def _close(*sockets: socket.socket) -> None:
    for each in sockets:
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
        each.close()


@contextmanager
def cut_line(url: str, request: str, at: int = 1, after_answer_began: bool = False) -> Iterator[CutLine]:
    """A line that breaks at the n-th request such as `POST /api/projects`, or once the server has answered that."""
    line = CutLine(url, request.encode(), at, after_answer_began)
    try:
        yield line
    finally:
        line.cut()
