"""Words of messages that several modules need."""

from __future__ import annotations

import re

_PASSWORD = re.compile(r"(?<=://)[^/@\s]*@")


def brief(value: object) -> str:
    """A value as Python writes it, cut after 60 characters: what came may be long and hostile."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def printable(text: str) -> str:
    """A text fit for one line of a terminal: control characters and bytes that are not UTF-8 are escaped."""
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text)


def encodable(text: str) -> str:
    """A text fit for UTF-8: bytes that are not UTF-8 (of a file's name) become `\\udc80` to `\\udcff`."""
    return text.encode("utf-8", "backslashreplace").decode()


def without_password(text: str) -> str:
    """A text whose addresses name no user and no password: `ftp://***@host/room.jpg`."""
    return _PASSWORD.sub("***@", text)
