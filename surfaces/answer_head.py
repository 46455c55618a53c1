"""Reads the head of an HTTP answer as browsers do: interim answers are skipped, odd lines too, and all is bounded."""

from __future__ import annotations

import http.client
import io
import re
from typing import BinaryIO

HEAD_BYTES_MAX = 2**18
"""Most bytes of status lines and headers, those of interim answers included; what Chrome allows."""
INTERIM_MAX = 32

_INTERIM = re.compile(
    rb"HTTP/1\.[0-9]\s+1(?!01)[0-9][0-9]\b"
)  # RFC 9110, 15.2; 101 is final: nothing like HTTP follows
_FIELD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+[ \t]*:")
_FRAMING = ("Transfer-Encoding", "Content-Length", "Connection", "Keep-Alive", "Proxy-Connection")
"""What http.client needs to find the end of the body."""


class Answer(http.client.HTTPResponse):
    """An answer whose head is bounded in bytes; http.client bounds the number of headers, by a global."""

    def begin(self) -> None:
        """Reads the head, up to the body.

        Raises:
            HTTPException: it is no head, or too long.
        """
        if self.headers is not None:
            return
        status, headers = _read_head(self.fp)
        framing = "".join(f"{name}: {value}\r\n" for name in _FRAMING for value in headers.get_all(name, []))
        head = status + framing.encode("latin-1") + b"\r\n" if status else b""  # nothing came: told by http.client
        stream, self.fp = self.fp, io.BytesIO(head)
        try:
            super().begin()
        finally:
            self.fp = stream
        self.headers = self.msg = headers


def _read_head(stream: BinaryIO) -> tuple[bytes, http.client.HTTPMessage]:
    """The status line and the headers of the first answer that is not an interim one."""
    left = HEAD_BYTES_MAX
    for _ in range(INTERIM_MAX + 1):
        lines: list[bytes] = []
        while not lines or lines[-1].rstrip(b"\r\n"):
            lines.append(stream.readline(left + 1))
            left -= len(lines[-1])
            if left < 0:
                raise http.client.HTTPException(f"got more than {HEAD_BYTES_MAX} bytes of headers")
        if not _INTERIM.match(lines[0]):
            return lines[0], _parsed(lines[1:])
    raise http.client.HTTPException(f"got more than {INTERIM_MAX} interim answers")


def _parsed(lines: list[bytes]) -> http.client.HTTPMessage:
    fields: list[bytes] = []
    for line in lines:
        if line[:1] in (b" ", b"\t") and fields:  # folded (RFC 9112, 5.2)
            fields[-1] += b" " + line.strip()
        elif _FIELD.match(line):
            fields.append(line.strip())
    headers = http.client.HTTPMessage()
    for field in fields:
        name, _, value = field.decode("latin-1").partition(":")
        headers[name.strip()] = value.strip()
    return headers
