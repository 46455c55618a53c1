"""Reads the head of an HTTP answer as browsers do: interim answers are skipped, odd lines too, and all is bounded."""

from __future__ import annotations

import http.client
import io
import re
import zlib
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import BinaryIO

from surfaces.errors import FetchError

PIECE_BYTES = 1 << 16
_CODINGS = ("gzip", "x-gzip", "deflate")
_OTHER_CODINGS = ("br", "zstd", "compress", "x-compress", "dcb", "dcz", "exi", "pack200-gzip")
"""What else IANA registers: the bytes are no photo until somebody unpacks them."""
_AUTOMATIC, _RAW = zlib.MAX_WBITS | 32, -zlib.MAX_WBITS  # by gzip's header or zlib's; deflate without either


def unpacked(chunks: Iterable[bytes], coding: str) -> Iterator[bytes]:
    """Undoes an HTTP content coding (RFC 9110, section 8.4.1).

    Names that are no codings (`aws-chunked`, `UTF-8`, `none`) mean nothing, as to browsers. Registered ones other than
    gzip and deflate, and one within another, are refused: a few kilobytes of those may become terabytes inside of a
    decoder that can't be stopped.

    Args:
        chunks: what comes.
        coding: the header `Content-Encoding`; empty where there is none.

    Returns:
        Pieces of at most `PIECE_BYTES` where something is unpacked, perhaps empty ones; else the chunks.

    Raises:
        FetchError: another coding, damaged, or not complete.
    """
    named = [name.strip().lower() for name in coding.split(",")]
    packed = [name for name in named if name in _CODINGS or name in _OTHER_CODINGS]
    if not packed:
        yield from chunks
    elif len(packed) > 1 or packed[0] not in _CODINGS:
        raise FetchError(f"expected an answer that is not packed, or by one of {', '.join(_CODINGS)}; got another")
    else:
        yield from _inflated(chunks, may_be_raw=packed[0] == "deflate")


def _inflated(chunks: Iterable[bytes], may_be_raw: bool) -> Iterator[bytes]:
    stream = None
    rest_of_chunks = iter(chunks)
    head = b""
    while len(head) < 2 and (chunk := next(rest_of_chunks, b"")):
        head += chunk
    window_bits = _RAW if may_be_raw and not _has_header(head) else _AUTOMATIC
    for chunk in chain([head], rest_of_chunks):
        rest = chunk
        while rest:  # whatever is packed ends in a checksum, which is left over until all has been unpacked
            if stream is None or stream.eof:  # gzip files may be several, one after the other (RFC 1952)
                stream = zlib.decompressobj(window_bits)
            try:
                piece = stream.decompress(rest, PIECE_BYTES)
            except zlib.error as error:
                raise FetchError("the answer is packed, and damaged") from error
            rest = stream.unconsumed_tail or stream.unused_data
            yield piece
    if stream and not stream.eof:
        raise FetchError("the answer is packed, and not complete")


def _has_header(head: bytes) -> bool:
    """Whether bytes begin with gzip's header or zlib's (RFC 1952, 2.3.1; RFC 1950, 2.2)."""
    return head.startswith(b"\x1f\x8b") or (
        head[:1] != b"" and head[0] & 15 == 8 and int.from_bytes(head[:2], "big") % 31 == 0
    )


HEAD_BYTES_MAX = 2**18
"""Most bytes of status lines and headers, those of interim answers included; what Chrome allows."""
INTERIM_MAX = 32

_INTERIM = re.compile(
    rb"HTTP/1\.[0-9]\s+1(?!01)[0-9][0-9]\b"
)  # RFC 9110, 15.2; 101 is final: nothing like HTTP follows
_FIELD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+[ \t]*:")
_FRAMING = ("Transfer-Encoding", "Content-Length", "Connection", "Keep-Alive", "Proxy-Connection")
"""What http.client needs to find the end of the body."""


class BoundedResponse(http.client.HTTPResponse):
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
