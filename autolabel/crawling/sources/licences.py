"""Creative Commons' licences by what they allow."""

from __future__ import annotations

from surfaces.creative_commons import CODES

GROUPS = {
    "any": frozenset(CODES),
    "commercial": frozenset(code for code in CODES if "nc" not in code),
    "modification": frozenset(code for code in CODES if "nd" not in code),
}
"""Licences by what they allow, as Openverse groups them."""


def read_licences(text: str) -> frozenset[str]:
    """Parses codes and groups with commas between them. Raises ValueError if one is unknown."""
    codes: set[str] = set()
    for word in text.lower().replace(" ", "").split(","):
        if word not in GROUPS and word not in CODES:
            raise ValueError(f"expected licences among {', '.join((*GROUPS, *CODES))}, got {word!r}")
        codes |= GROUPS.get(word, {word})
    return frozenset(codes)
