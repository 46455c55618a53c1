"""Unpacks answers of servers that pack although they were asked not to, a small piece at a time."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator

from surfaces.errors import FetchError

PIECE_BYTES = 1 << 16
_CODINGS = ("gzip", "x-gzip", "deflate")


def unpacked(chunks: Iterable[bytes], coding: str) -> Iterator[bytes]:
    """Undoes an HTTP content coding (RFC 9110, section 8.4.1).

    Others than gzip and deflate, and one within another, are refused: a few kilobytes of those may become terabytes
    inside of a decoder that can't be stopped.

    Args:
        chunks: what comes.
        coding: the header `Content-Encoding`; empty where there is none.

    Returns:
        Pieces of at most `PIECE_BYTES` where something is unpacked, perhaps empty ones; else the chunks.

    Raises:
        FetchError: another coding, damaged, or not complete.
    """
    coding = coding.strip().lower()
    if coding in ("", "identity"):
        yield from chunks
        return
    if coding not in _CODINGS:
        raise FetchError(f"expected an answer that is not packed, or by one of {', '.join(_CODINGS)}; got another")
    stream = None
    for chunk in chunks:
        rest = chunk
        while rest:  # whatever is packed ends in a checksum, which is left over until all has been unpacked
            if stream is None or stream.eof:  # gzip files may be several, one after the other (RFC 1952)
                stream = zlib.decompressobj(zlib.MAX_WBITS | 32)  # gzip's header or zlib's
            try:
                piece = stream.decompress(rest, PIECE_BYTES)
            except zlib.error as error:
                raise FetchError("the answer is packed, and damaged") from error
            rest = stream.unconsumed_tail or stream.unused_data
            yield piece
    if stream and not stream.eof:
        raise FetchError("the answer is packed, and not complete")
