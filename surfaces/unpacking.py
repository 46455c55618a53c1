"""Unpacks answers of servers that pack although they were asked not to, a small piece at a time."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from itertools import chain

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
