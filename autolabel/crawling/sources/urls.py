"""Web addresses as pages write them: resolved, and in one form only, so that what is the same is asked for once."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import PurePosixPath
from urllib.parse import urljoin, urlsplit

from surfaces.io.photo_lists import PHOTO_SUFFIXES
from surfaces.io.urls import AddressError, ParsedUrl, parse_url

_IGNORED = re.compile(r"[\t\n\r]")
_QUERY = re.compile(r"(?=[?#])")
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
_DOTS = re.compile(r"/(?:\.|%2[eE])")
_LEFT_OUT = "".join(map(chr, range(0x21)))  # the WHATWG URL standard's "C0 control or space"
FOUND_MAX = 2000
"""Longest address that is taken from an answer, characters; what is in a list of the user's own may be longer."""

_UNUSABLE_SUFFIXES = frozenset({".svg", ".svgz", ".ico", ".cur"})


def normalize(url: str) -> str:
    """As `normalize_parsed`, as text."""
    return normalize_parsed(url).url


def normalize_parsed(url: str) -> ParsedUrl:
    """An address in its normal form (RFC 3986, section 6.2.2): scheme and host in lower case, no default port, no
    fragment, no dot segments, percent-encoding in capitals.

    Raises:
        AddressError: it is no address that may be asked (see `surfaces.io.urls.read_address`).
    """
    target = parse_url(_IGNORED.sub("", url.strip(_LEFT_OUT)))
    path, question_mark, query = target.path.partition("?")
    whole = _ESCAPE.sub(lambda escape: escape[0].upper(), _without_dots(path) + question_mark + query)
    return replace(target, path=whole)


def resolve(base: str, reference: str) -> str:
    """Where a page's reference leads, in its normal form; empty where that is nothing that may be asked for,
    or longer than `FOUND_MAX`.

    Args:
        base: an address.
        reference: as it stands in the page, such as `../sofa.jpg`; backslashes are slashes, as browsers have it.
    """
    path, *rest = _QUERY.split(_IGNORED.sub("", reference.strip(_LEFT_OUT)), maxsplit=1)
    if not path and not rest:
        return ""
    try:
        url = normalize(urljoin(base, path.replace("\\", "/") + "".join(rest)))
    except (AddressError, ValueError):  # ValueError: of urljoin, about brackets
        return ""
    return url if len(url) <= FOUND_MAX else ""


def suffix(url: str) -> str:
    """What ends the path, in lower case, such as `.jpg`; empty where nothing does."""
    return PurePosixPath(urlsplit(url).path).suffix.lower()


def names_photo(url: str) -> bool:
    """Whether an address ends as photos do."""
    return suffix(url) in PHOTO_SUFFIXES


def may_be_photo(url: str) -> bool:
    """Whether there may be a photo behind an address: drawings and icons tell themselves by their suffixes."""
    return suffix(url) not in _UNUSABLE_SUFFIXES


def _without_dots(path: str) -> str:
    """RFC 3986, section 5.2.4; `%2e` is a dot, as the WHATWG URL standard has it."""
    if not _DOTS.search(path):
        return path
    kept: list[str] = []
    for segment in path.split("/")[1:]:
        plain = segment.replace("%2e", ".").replace("%2E", ".")
        if plain == "..":
            del kept[-1:]
        elif plain != ".":
            kept.append(segment)
    if plain in (".", ".."):
        kept.append("")
    return "/" + "/".join(kept)
