"""Resolves and normalizes the URLs of pages, so that each is requested once."""

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
FOUND_MAX = 2000  # characters of a URL in a response; those in a user's list may be longer
_UNUSABLE_SUFFIXES = frozenset({".svg", ".svgz", ".ico", ".cur"})


def normalize(url: str) -> str:
    """Returns the URL of `normalize_parsed`."""
    return normalize_parsed(url).url


def normalize_parsed(url: str) -> ParsedUrl:
    """Normalizes a URL (RFC 3986, section 6.2.2): scheme and host in lower case, no default port, no fragment, no dot
    segments, percent-encoding in capitals. Raises AddressError as `parse_url`."""
    target = parse_url(_IGNORED.sub("", url.strip(_LEFT_OUT)))
    path, question_mark, query = target.path.partition("?")
    whole = _ESCAPE.sub(lambda escape: escape[0].upper(), _without_dots(path) + question_mark + query)
    return replace(target, path=whole)


def resolve(base: str, reference: str) -> str:
    """Resolves a reference of a page, such as `../sofa.jpg`, to a normalized URL; backslashes are slashes, as in
    browsers. Returns "" if it may not be requested or is longer than `FOUND_MAX`."""
    path, *rest = _QUERY.split(_IGNORED.sub("", reference.strip(_LEFT_OUT)), maxsplit=1)
    if not path and not rest:
        return ""
    try:
        url = normalize(urljoin(base, path.replace("\\", "/") + "".join(rest)))
    except (AddressError, ValueError):  # ValueError: of urljoin, about brackets
        return ""
    return url if len(url) <= FOUND_MAX else ""


def suffix(url: str) -> str:
    """Returns the suffix of a URL's path in lower case, such as `.jpg`, or ""."""
    return PurePosixPath(urlsplit(url).path).suffix.lower()


def names_photo(url: str) -> bool:
    """Whether a URL has the suffix of a photo."""
    return suffix(url) in PHOTO_SUFFIXES


def may_be_photo(url: str) -> bool:
    """Whether a URL may be a photo's: those of drawings and icons have their suffixes."""
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
