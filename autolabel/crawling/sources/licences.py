"""Creative Commons' licences: codes, names, URLs and groups."""

from __future__ import annotations

import re

CODES = ("cc0", "pdm", "by", "by-sa", "by-nd", "by-nc", "by-nc-sa", "by-nc-nd")
"""As Openverse names them; `pdm` is the Public Domain Mark."""

GROUPS = {
    "any": frozenset(CODES),
    "commercial": frozenset(code for code in CODES if "nc" not in code),
    "modification": frozenset(code for code in CODES if "nd" not in code),
}
"""Licences by what they allow, as Openverse groups them."""

_ADDRESS = re.compile(
    r"creativecommons\.org/(?:licenses|publicdomain)/(zero|mark|[a-z-]{2,8})(?:/([0-9]\.[0-9]))?", re.I
)
_NAME = re.compile(r"cc[ -](by(?:-nc)?(?:-sa|-nd)?)(?![a-z-]*[a-z])(?:[ -]([0-9]\.[0-9]))?", re.I)
_ADDRESS_CODES = {"zero": "cc0", "mark": "pdm"}
_SPECIAL_NAMES = {"cc0": "CC0", "pdm": "Public Domain Mark"}


def read_licences(text: str) -> frozenset[str]:
    """Parses codes and groups with commas between them. Raises ValueError if one is unknown."""
    codes: set[str] = set()
    for word in text.lower().replace(" ", "").split(","):
        if word not in GROUPS and word not in CODES:
            raise ValueError(f"expected licences among {', '.join((*GROUPS, *CODES))}, got {word!r}")
        codes |= GROUPS.get(word, {word})
    return frozenset(codes)


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
