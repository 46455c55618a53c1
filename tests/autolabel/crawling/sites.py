"""A loopback site of many hosts, each an address of 127.0.0.0/8, which records the requests; recorded responses."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from math import inf
from pathlib import Path

import cv2
import numpy as np

from surfaces.io.http import Response

ALLOW_ALL = b"User-agent: *\nDisallow:\n"


def photo_bytes(seed: int, size_hw: tuple[int, int] = (48, 64)) -> bytes:
    """A small JPEG of soft colours and grain; different seeds give no duplicates or near-duplicates."""
    rng = np.random.default_rng(seed)
    height, width = size_hw
    coarse = rng.integers(40, 216, (6, 8, 3)).astype(np.float32)
    image = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC) + rng.normal(0, 6, (height, width, 3))
    return cv2.imencode(".jpg", np.clip(image, 0, 255).astype(np.uint8))[1].tobytes()


def recorded(name: str) -> bytes:
    """The body of a recorded response of a page or an API."""
    return (Path(__file__).parent / "recorded" / name).read_bytes()


def response(url: str, body: bytes, **headers: str) -> Response:
    """A response of status 200, with headers such as `content_type`."""
    return Response(url, 200, {name.replace("_", "-"): value for name, value in headers.items()}, body, "192.0.2.1")


@dataclass(frozen=True)
class Reply:
    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_s: float = 0.0


def numbered_photo(_host: str, path: str) -> Reply | None:
    """Different photos at `/pNUMBER.jpg`."""
    return Reply(photo_bytes(int(path[2:-4]))) if path.startswith("/p") else None


@dataclass(frozen=True)
class Asked:
    host: str
    path: str
    came: float
    answered: float
    agent: str


class Site:
    """Hosts; `reply` responds at a host to paths without `serve`; else robots.txt allows all, and others are 404."""

    def __init__(self, count: int, reply: Callable[[str, str], Reply | None] = lambda _host, _path: None) -> None:
        self.hosts = [f"127.0.{1 + number // 200}.{1 + number % 200}" for number in range(count)]
        self.replies: dict[tuple[str, str], list[Reply]] = {}
        self.asked: list[Asked] = []
        self._reply = reply
        self._stack = ExitStack()
        self.port = 0

    def __enter__(self) -> Site:
        for host in self.hosts:
            server = _Server((host, self.port), self)
            self.port = server.server_port
            thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
            thread.start()
            self._stack.callback(server.server_close)
            self._stack.callback(server.shutdown)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def url(self, host: int, path: str) -> str:
        return f"http://{self.hosts[host]}:{self.port}{path}"

    def serve(self, host: int, path: str, *replies: Reply) -> str:
        """Sets the responses to a path, in order, the last one repeated; returns the URL."""
        self.replies[self.hosts[host], path] = list(replies)
        return self.url(host, path)

    def serve_photo(self, host: int, path: str, seed: int = 1, **headers: str) -> str:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.serve(host, path, Reply(photo_bytes(seed), headers=named))

    def reply(self, host: str, path: str) -> Reply:
        known = self.replies.get((host, path))
        if known:
            return known.pop(0) if len(known) > 1 else known[0]
        nothing = Reply(ALLOW_ALL) if path == "/robots.txt" else Reply(b"not here", 404)
        return self._reply(host, path) or nothing

    def times_asked(self) -> Counter[tuple[str, str]]:
        return Counter((asked.host, asked.path) for asked in self.asked)

    def shortest_pause_s(self) -> float:
        """The shortest time at any host from a response to the next request; negative if they overlap."""
        asked = sorted(self.asked, key=lambda one: (one.host, one.came))
        return min((later.came - one.answered for one, later in pairwise(asked) if one.host == later.host), default=inf)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, place: tuple[str, int], site: Site) -> None:
        super().__init__(place, _Handler)
        self.site = site

    def handle_error(self, *_: object) -> None:
        """A client may be killed within a response."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        came, host = time.monotonic(), str(self.server.server_address[0])
        reply = self.server.site.reply(host, self.path)
        time.sleep(reply.delay_s)
        self.send_response(reply.status)
        for name, value in ({"Content-Length": str(len(reply.body))} | dict(reply.headers)).items():
            self.send_header(name, value)
        # Recorded before the last byte is sent: the next request can't be sooner.
        agent = self.headers.get("User-Agent", "")
        self.server.site.asked.append(Asked(host, self.path, came, time.monotonic(), agent))
        self.end_headers()
        self.wfile.write(reply.body)

    def log_message(self, *_: object) -> None:
        pass
