"""Lists of photos, one a line: as programs and people write them, in UTF-8 or UTF-16, with or without a mark."""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator

from surfaces.image_guards import format_of

_ALLOWED_CONTROLS = frozenset("\t\r\n\f\x1a")
_BMP_HEAD = 18


def list_text(data: bytes) -> str:
    """The text of a list; bytes that are not UTF-8 come as surrogates, as in file names.

    Args:
        data: the whole list.

    Raises:
        ValueError: it is no text; says what it is instead.
    """
    if is_photo(data):
        raise ValueError(f"a photo ({format_of(data)}), no text")
    text = _decoded(data)
    first_line = text.lstrip().partition("\n")[0]
    if text.startswith("%PDF-") or any(ord(sign) < 32 and sign not in _ALLOWED_CONTROLS for sign in first_line):
        raise ValueError("binary data, no text")
    return text


def list_lines(text: str) -> Iterator[tuple[int, str]]:
    """The lines of a list with their numbers, from 1, and without the blanks around them.

    Blank lines and those that begin with `#` are passed over.
    """
    for number, line in enumerate(io.StringIO(text, newline=""), 1):
        entry = line.strip()
        if entry and not entry.startswith("#"):
            yield number, entry


def is_photo(head: bytes) -> bool:
    """Whether a file begins like a photo; `head` are its first bytes, 64 or more where it has them."""
    name = format_of(head)
    return name is not None and (name != "BMP" or b"\0" in head[:_BMP_HEAD])  # a text may begin with BM


def _decoded(data: bytes) -> str:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", "replace")
    if data[1:2] == data[3:4] == b"\0" != data[:1]:
        return data.decode("utf-16-le", "replace")
    if data[:1] == data[2:3] == b"\0" != data[1:2]:
        return data.decode("utf-16-be", "replace")
    return data.decode("utf-8", "surrogateescape").removeprefix("\ufeff")
