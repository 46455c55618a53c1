"""A loopback site of many hosts, each an address of 127.0.0.0/8 of its own, which notes when it is asked for what."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np

ALLOW_ALL = b"User-agent: *\nDisallow:\n"


def photo_bytes(seed: int, size_hw: tuple[int, int] = (48, 64)) -> bytes:
    """A small JPEG of soft colours and grain; no two seeds give the same or nearly the same."""
    rng = np.random.default_rng(seed)
    height, width = size_hw
    coarse = rng.integers(40, 216, (6, 8, 3)).astype(np.float32)
    image = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC) + rng.normal(0, 6, (height, width, 3))
    return cv2.imencode(".jpg", np.clip(image, 0, 255).astype(np.uint8))[1].tobytes()


@dataclass(frozen=True)
class Reply:
    """What a host answers."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_s: float = 0.0


@dataclass(frozen=True)
class Asked:
    """A request as the host saw it: times of `time.monotonic`."""

    host: str
    path: str
    came: float
    answered: float
    agent: str


class Site:
    """Hosts that answer what they are told to; a context manager.

    Args:
        count: how many.
        reply: makes the answer to a path at a host that nothing was set for; None: 404.
    """

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
        """The address of a path at one of the hosts."""
        return f"http://{self.hosts[host]}:{self.port}{path}"

    def serve(self, host: int, path: str, *replies: Reply) -> str:
        """Has a host answer a path, with several replies one after the other, the last for ever; the address."""
        self.replies[self.hosts[host], path] = list(replies)
        return self.url(host, path)

    def reply(self, host: str, path: str) -> Reply:
        """What a host answers now."""
        known = self.replies.get((host, path))
        if known:
            return known.pop(0) if len(known) > 1 else known[0]
        return self._reply(host, path) or Reply(b"not here", 404)

    def times_asked(self) -> Counter[tuple[str, str]]:
        """How often each path was asked for at each host."""
        return Counter((asked.host, asked.path) for asked in self.asked)

    def shortest_gap_s(self) -> float:
        """The shortest time, at any host, from a request's coming to the next one's."""
        return min((later - sooner for sooner, later in self._pairs("came")), default=float("inf"))

    def shortest_pause_s(self) -> float:
        """The shortest time, at any host, from an answer to the next request; negative where two overlapped."""
        return min((later - sooner for sooner, later in self._pairs("answered")), default=float("inf"))

    def _pairs(self, since: str) -> list[tuple[float, float]]:
        pairs = []
        for host in self.hosts:
            times = sorted((asked.came, getattr(asked, since)) for asked in self.asked if asked.host == host)
            pairs += [(times[n][1], times[n + 1][0]) for n in range(len(times) - 1)]
        return pairs


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, place: tuple[str, int], site: Site) -> None:
        super().__init__(place, _Handler)
        self.site = site

    def handle_error(self, *_: object) -> None:
        """A client that is killed leaves in the middle of an answer."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        came, host = time.monotonic(), str(self.server.server_address[0])
        reply = self.server.site.reply(host, self.path)
        time.sleep(reply.delay_s)
        self.send_response(reply.status)
        for name, value in ({"Content-Length": str(len(reply.body))} | dict(reply.headers)).items():
            self.send_header(name, value)
        # Noted before the last byte leaves: whoever has the whole answer can't ask again sooner than that.
        agent = self.headers.get("User-Agent", "")
        self.server.site.asked.append(Asked(host, self.path, came, time.monotonic(), agent))
        self.end_headers()
        self.wfile.write(reply.body)

    def log_message(self, *_: object) -> None:
        pass
