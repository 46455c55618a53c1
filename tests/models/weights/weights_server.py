"""A file on a loopback server that resumes, and breaks off as told."""

from __future__ import annotations

import hashlib
import re
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler


@dataclass
class ServedFile:
    """Answers requests for one file.

    Attributes:
        etag: its version, quoted; empty for none.
        cuts: after how many bytes of the body each answer breaks off; whole answers when used up.
        ranges: whether parts are served.
        pause_s: wait after every `piece` bytes.
        asked: the `Range` and `If-Range` headers of each request.
        sent: bytes of bodies sent in all.
    """

    body: bytes
    etag: str = '"one"'
    cuts: list[int] = field(default_factory=list)
    ranges: bool = True
    pause_s: float = 0.0
    piece: int = 1 << 16
    asked: list[tuple[str | None, str | None]] = field(default_factory=list)
    sent: int = 0

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.body).hexdigest()

    def __call__(self, request: BaseHTTPRequestHandler) -> None:
        wanted, tag = request.headers.get("Range"), request.headers.get("If-Range")
        self.asked.append((wanted, tag))
        start = 0
        if wanted and self.ranges and tag in (None, self.etag):
            start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1])  # type: ignore[index]
        headers = {"ETag": self.etag} if self.etag else {}
        if start >= len(self.body):
            answer(request, 416, content_range=f"bytes */{len(self.body)}")
            return
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(self.body) - 1}/{len(self.body)}"
        answer(request, 206 if start else 200, content_length=len(self.body) - start, **headers)
        stop = start + self.cuts.pop(0) if self.cuts else len(self.body)
        for begin in range(start, min(stop, len(self.body)), self.piece):
            piece = self.body[begin : min(begin + self.piece, stop)]
            request.wfile.write(piece)
            self.sent += len(piece)
            time.sleep(self.pause_s)


def answer(request: BaseHTTPRequestHandler, status: int, body: bytes = b"", **headers: object) -> None:
    """Sends a status, headers such as `content_range`, and a body without its length."""
    request.send_response(status)
    for name, value in headers.items():
        request.send_header(name.replace("_", "-"), str(value))
    request.end_headers()
    request.wfile.write(body)
    request.wfile.flush()
