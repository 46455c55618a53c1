"""Words of messages that several modules need."""

from __future__ import annotations

import re

_CREDENTIALS = re.compile(r"(?<=//)[^/?#]*@")


def brief(value: object) -> str:
    """A value as Python writes it, cut after 60 characters: what came may be long and hostile."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def printable(text: str) -> str:
    """A text fit for one line of a terminal: control characters and bytes that are not UTF-8 are escaped."""
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text)


def printable_lines(text: str) -> str:
    """A text fit for a terminal whose further lines are indented; other control characters are escaped."""
    return "\n  ".join(printable(line) for line in text.split("\n  "))


def encodable(text: str) -> str:
    """A text fit for UTF-8: bytes that are not UTF-8 (of a file's name) become `\\udc80` to `\\udcff`."""
    return text.encode("utf-8", "backslashreplace").decode()


def without_credentials(text: str) -> str:
    """An address, or a text with addresses, as it may be shown: a user name and a password give way to dots."""
    return _CREDENTIALS.sub("…@", text)
