"""The versions of an image that `srcset` names, and the largest of them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_MOST_CHARACTERS = 100_000
_SPACE = " \t\n\f\r"
_BETWEEN = re.compile(rf"[{_SPACE},]*+")
_URL = re.compile(rf"[^{_SPACE}]*+")
_DESCRIPTORS = re.compile(r"(?:[^,(]|\([^)]*+\)?)*+")
_DESCRIPTOR = re.compile(rf"(?:[^{_SPACE}(]|\([^)]*+\)?)++")
_WIDTH = re.compile(r"0*[1-9][0-9]{0,8}w")
_HEIGHT = re.compile(r"0*[1-9][0-9]{0,8}h")
_DENSITY = re.compile(r"(?:[0-9]{1,9}(?:\.[0-9]{1,9})?|\.[0-9]{1,9})(?:[eE][+-]?[0-9])?x")


@dataclass(frozen=True)
class Candidate:
    """One version of an image.

    Attributes:
        url: as it is written.
        width: pixels; None where the density says more.
        density: of pixels, 1 for the plain version.
    """

    url: str
    width: int | None = None
    density: float = 1.0


def read_srcset(text: str) -> list[Candidate]:
    """Takes a `srcset` attribute apart.

    The algorithm is the HTML standard's ("parsing a srcset attribute"): an address ends at white space, so it may hold
    commas; versions with descriptors that cannot be understood are left out.

    Args:
        text: the attribute's value; what comes after its first 100,000 characters is not read.
    """
    found: list[Candidate] = []
    text = text[:_MOST_CHARACTERS]
    at = _end(_BETWEEN, text, 0)
    while at < len(text):
        start, at = at, _end(_URL, text, at)
        url = text[start:at]
        descriptors: list[str] = []
        if not url.endswith(","):
            start, at = at, _end(_DESCRIPTORS, text, at)
            descriptors = _DESCRIPTOR.findall(text[start:at])
        candidate = _candidate(url.rstrip(","), descriptors)
        if candidate:
            found.append(candidate)
        at = _end(_BETWEEN, text, at)
    return found


def largest(candidates: Iterable[Candidate]) -> Candidate | None:
    """The version with most pixels, the first one of several; None where there is none.

    Where some tell their width, those that tell a density do not compare with them and are passed over.
    """
    return max(candidates, key=lambda candidate: (candidate.width or 0, candidate.density), default=None)


def _candidate(url: str, descriptors: list[str]) -> Candidate | None:
    width, height, density = None, None, None
    for descriptor in descriptors:
        if _WIDTH.fullmatch(descriptor) and width is density is None:
            width = int(descriptor[:-1])
        elif _DENSITY.fullmatch(descriptor) and width is height is density is None:
            density = float(descriptor[:-1])
        elif _HEIGHT.fullmatch(descriptor) and height is density is None:
            height = int(descriptor[:-1])
        else:
            return None
    if not url or (height is not None and width is None):
        return None
    return Candidate(url, width, 1.0 if density is None else density)


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    match = pattern.match(text, at)
    return match.end() if match else at
