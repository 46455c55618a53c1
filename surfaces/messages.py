"""Formats untrusted text for messages."""

from __future__ import annotations

import re
from collections.abc import Sequence

_CREDENTIALS = re.compile(r"(?<=//)[^/?#]*@")
_NAMES_SHOWN = 8


def brief(value: object) -> str:
    """The `repr` of an untrusted value, cut after 60 characters."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def printable(text: str) -> str:
    """Text for one line of a terminal: control characters and bytes that are not UTF-8 are escaped."""
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text)


def printable_lines(text: str) -> str:
    """Text for a terminal whose further lines are indented; other control characters are escaped."""
    return "\n  ".join(printable(line) for line in text.split("\n  "))


def encodable(text: str) -> str:
    """Text that UTF-8 can encode: bytes of a file name that are not UTF-8 become `\\udc80` to `\\udcff`."""
    return text.encode("utf-8", "backslashreplace").decode()


def without_credentials(text: str) -> str:
    """A URL, or a text with URLs, whose user names and passwords are replaced by dots."""
    return _CREDENTIALS.sub("…@", text)


def in_a_line(error: Exception) -> str:
    """The first line of an error's message, without passwords of URLs."""
    return without_credentials(next(iter(str(error).splitlines()), "")) or type(error).__name__


def counted(count: int, noun: str) -> str:
    """A number and its noun, such as `1 photo` or `2 photos`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def listed(names: Sequence[object]) -> str:
    """The first eight names, and the number of the others."""
    more = [f"and {len(names) - _NAMES_SHOWN} more"] if len(names) > _NAMES_SHOWN else []
    return ", ".join([*map(str, names[:_NAMES_SHOWN]), *more])
