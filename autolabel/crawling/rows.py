"""Checks values of a crawl's database: others may have made it, and SQLite keeps any value in any column."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import PurePath
from typing import Any

from autolabel.crawling.facts import Facts
from surfaces.io.local_files import is_unicode
from surfaces.io.storage import is_remote
from surfaces.messages import brief

_SHA256 = re.compile("[0-9a-f]{64}")
_HEX = re.compile("(?:[0-9a-f]{2})*")
_JPEG = b"\xff\xd8"
_SIDE_MAX = 2**31 - 1  # of the manifest's columns
_COUNT_MAX = 2**63 - 1
_TIME_MAX = 253_402_300_799  # the end of the year 9999
_SHARES = ("text", "entropy", "colour", "wall", "floor", "table", "room")


def checked_text(value: object) -> str:
    """A text that can be written as UTF-8.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(value, str) or not is_unicode(value):
        raise ValueError(f"expected text, got {brief(value)}")
    return value


def checked_count(value: object, most: int = _COUNT_MAX) -> int:
    """A whole number from 0 to `most`.

    Raises:
        ValueError: it is none.
    """
    if type(value) is not int or not 0 <= value <= most:
        raise ValueError(f"expected a whole number from 0 to {most}, got {brief(value)}")
    return value


def checked_time(value: object) -> float:
    """Seconds since 1970, up to the year 9999.

    Raises:
        ValueError: it is no such time.
    """
    if type(value) not in (int, float) or not 0 <= value <= _TIME_MAX:  # type: ignore[operator]
        raise ValueError(f"expected a time in seconds since 1970, got {brief(value)}")
    return float(value)  # type: ignore[arg-type]


def checked_sha256(value: object) -> str:
    """64 hexadecimal digits, which file names are made of.

    Raises:
        ValueError: it is something else.
    """
    if not isinstance(value, str) or not _SHA256.fullmatch(value):
        raise ValueError(f"expected a sha256 of 64 hexadecimal digits, got {brief(value)}")
    return value


def checked_headers(value: object) -> dict[str, str]:
    """Headers by name.

    Raises:
        ValueError: they are none.
    """
    if not isinstance(value, dict):
        raise ValueError(f"expected headers, got {brief(value)}")
    return {checked_text(name): checked_text(text) for name, text in value.items()}


def checked_place(value: object) -> str:
    """Where a photo lies, as the manifest tells it; a relative path does not leave the corpus.

    Raises:
        ValueError: it is no path and no address.
    """
    place = checked_text(value)
    climbs = not is_remote(place) and not PurePath(place).is_absolute() and ".." in re.split(r"[/\\]", place)
    if climbs or "\0" in place:
        raise ValueError(f"expected a path inside the corpus, got {brief(value)}")
    return place


def checked_facts(text: Any, thumbnail: Any = b"") -> Facts:
    """What was measured of a photo.

    Args:
        text: the JSON of it.
        thumbnail: a JPEG file, or nothing.

    Raises:
        ValueError: it is damaged, as for the following.
        TypeError: ditto.
        KeyError: ditto.
    """
    facts = Facts.from_json(text)
    checked_sha256(facts.sha256)
    checked_count(facts.size)
    for side in (facts.width, facts.height):
        checked_count(side, _SIDE_MAX)
    checked_text(facts.unreadable)
    if not _HEX.fullmatch(facts.near_hash):
        raise ValueError(f"expected hexadecimal hashes, got {brief(facts.near_hash)}")
    if facts.seams is not None:
        checked_count(facts.seams)
    for name in _SHARES:
        value = getattr(facts, name)
        if value is not None and (type(value) not in (int, float) or not abs(value) < _SIDE_MAX):
            raise ValueError(f"expected a number as {name}, got {brief(value)}")
    if not isinstance(thumbnail, bytes) or (thumbnail and not thumbnail.startswith(_JPEG)):
        raise ValueError("expected a JPEG file as thumbnail, got something else")
    return replace(facts, thumbnail=thumbnail)
