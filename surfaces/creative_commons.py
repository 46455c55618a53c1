"""Creative Commons' licences: their codes, short names and URLs."""

from __future__ import annotations

import re

CODES = ("cc0", "pdm", "by", "by-sa", "by-nd", "by-nc", "by-nc-sa", "by-nc-nd")
"""As Openverse names them; `pdm` is the Public Domain Mark."""

_ADDRESS = re.compile(
    r"creativecommons\.org/(?:licenses|publicdomain)/(zero|mark|[a-z-]{2,8})(?:/([0-9]\.[0-9]))?", re.I
)
_NAME = re.compile(r"cc[ -](by(?:-nc)?(?:-sa|-nd)?)(?![a-z-]*[a-z])(?:[ -]([0-9]\.[0-9]))?", re.I)
# The last word is the country of a ported licence: `CC BY-SA 3.0 de`.
_NAME_ALONE = re.compile(
    r"(?:cc[ -]by(?:-nc)?(?:-sa|-nd)?|cc0|public domain(?: mark)?)(?:[ -][0-9]\.[0-9](?: (?!n[cd])[a-z]{2,3})?)?", re.I
)
_ADDRESS_CODES = {"zero": "cc0", "mark": "pdm"}
_SPECIAL_NAMES = {"cc0": "CC0", "pdm": "Public Domain Mark"}


def name_of(code: str, version: str = "") -> str:
    """Returns a licence's short name, such as `CC BY-SA 4.0`."""
    name = _SPECIAL_NAMES.get(code, f"CC {code.upper()}")
    return f"{name} {version}" if version else name


def name_at(url: str) -> str:
    """Returns the short name of the licence at a URL, or "" if it is none of Creative Commons'."""
    match, code = _ADDRESS.search(url), code_of("", url)
    return name_of(code, match[2] or "") if match and code else ""


def code_of(name: str, url: str) -> str | None:
    """Returns a licence's code by its URL, else by its short name; None for others."""
    if match := _ADDRESS.search(url):
        code = _ADDRESS_CODES.get(match[1].lower(), match[1].lower())
        return code if code in CODES else None
    if match := _NAME.match(name):
        return match[1].lower() if match[1].lower() in CODES else None
    plain = name.strip().lower()
    if plain.startswith("cc0"):
        return "cc0"
    return "pdm" if plain.startswith("public domain") else None


def is_short_name(text: str) -> bool:
    """Returns whether a text is a licence's short name and nothing else, such as `CC BY-SA 3.0 de`."""
    return _NAME_ALONE.fullmatch(text) is not None
