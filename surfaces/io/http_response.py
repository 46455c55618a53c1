"""Parses HTTP response heads leniently, as browsers do, and decodes bodies, within limits."""

from __future__ import annotations

import http.client
import io
import re
import zlib
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import BinaryIO

from surfaces.errors import FetchError

_PIECE_BYTES = 1 << 16
_CODINGS = ("gzip", "x-gzip", "deflate")
_OTHER_CODINGS = ("br", "zstd", "compress", "x-compress", "dcb", "dcz", "exi", "pack200-gzip")  # IANA's registry
_AUTOMATIC, _RAW = zlib.MAX_WBITS | 32, -zlib.MAX_WBITS  # gzip's or zlib's header; deflate without a header

_HEAD_BYTES_MAX = 2**18  # of status lines and headers, those of interim responses included; Chrome's limit
_INTERIM_MAX = 32
# RFC 9110, 15.2; 101 is final: what follows it is not HTTP.
_INTERIM = re.compile(rb"HTTP/1\.[0-9]\s+1(?!01)[0-9][0-9]\b")
_FIELD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+[ \t]*:")
# The headers by which http.client finds the end of the body.
_FRAMING = ("Transfer-Encoding", "Content-Length", "Connection", "Keep-Alive", "Proxy-Connection")


def unpacked(chunks: Iterable[bytes], coding: str) -> Iterator[bytes]:
    """Decodes an HTTP content coding (RFC 9110, section 8.4.1), the value of `Content-Encoding`, piece by piece.

    Names that are no codings (`aws-chunked`, `UTF-8`, `none`) are ignored, as in browsers. Registered codings other
    than gzip and deflate, and nested ones, are refused: a few kilobytes can expand to terabytes inside a decoder that
    cannot be interrupted. Decoded pieces have at most 64 KiB. Raises FetchError, also for damaged or incomplete data.
    """
    named = [name.strip().lower() for name in coding.split(",")]
    packed = [name for name in named if name in _CODINGS or name in _OTHER_CODINGS]
    if not packed:
        yield from chunks
    elif len(packed) > 1 or packed[0] not in _CODINGS:
        raise FetchError(f"expected an answer that is not packed, or by one of {', '.join(_CODINGS)}; got another")
    else:
        yield from _inflate(chunks, may_be_raw=packed[0] == "deflate")


def _inflate(chunks: Iterable[bytes], may_be_raw: bool) -> Iterator[bytes]:
    stream = None
    rest_of_chunks = iter(chunks)
    head = b""
    while len(head) < 2 and (chunk := next(rest_of_chunks, b"")):
        head += chunk
    window_bits = _RAW if may_be_raw and not _has_header(head) else _AUTOMATIC
    for chunk in chain([head], rest_of_chunks):
        rest = chunk
        while rest:  # packed data end in a checksum, which remains until everything is decoded
            if stream is None or stream.eof:  # gzip data may have several members (RFC 1952)
                stream = zlib.decompressobj(window_bits)
            try:
                piece = stream.decompress(rest, _PIECE_BYTES)
            except zlib.error as error:
                raise FetchError("the answer is packed, and damaged") from error
            rest = stream.unconsumed_tail or stream.unused_data
            yield piece
    if stream and not stream.eof:
        raise FetchError("the answer is packed, and not complete")


def _has_header(head: bytes) -> bool:
    """Whether bytes begin with gzip's or zlib's header (RFC 1952, 2.3.1; RFC 1950, 2.2)."""
    return head.startswith(b"\x1f\x8b") or (
        head[:1] != b"" and head[0] & 15 == 8 and int.from_bytes(head[:2], "big") % 31 == 0
    )


class BoundedResponse(http.client.HTTPResponse):
    """A response whose head is bounded in bytes; http.client bounds only the number of headers, by a global."""

    def begin(self) -> None:
        """Reads the head; raises HTTPException where it is invalid or too long."""
        if self.headers is not None:
            return
        status, headers = _read_head(self.fp)
        framing = "".join(f"{name}: {value}\r\n" for name in _FRAMING for value in headers.get_all(name, []))
        head = status + framing.encode("latin-1") + b"\r\n" if status else b""  # empty: http.client raises
        stream, self.fp = self.fp, io.BytesIO(head)
        try:
            super().begin()
        finally:
            self.fp = stream
        self.headers = self.msg = headers


def _read_head(stream: BinaryIO) -> tuple[bytes, http.client.HTTPMessage]:
    """The status line and the headers of the first response that is not interim."""
    left = _HEAD_BYTES_MAX
    for _ in range(_INTERIM_MAX + 1):
        lines: list[bytes] = []
        while not lines or lines[-1].rstrip(b"\r\n"):
            lines.append(stream.readline(left + 1))
            left -= len(lines[-1])
            if left < 0:
                raise http.client.HTTPException(f"got more than {_HEAD_BYTES_MAX} bytes of headers")
        if not _INTERIM.match(lines[0]):
            return lines[0], _parse_headers(lines[1:])
    raise http.client.HTTPException(f"got more than {_INTERIM_MAX} interim answers")


def _parse_headers(lines: list[bytes]) -> http.client.HTTPMessage:
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
