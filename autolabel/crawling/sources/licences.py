"""Creative Commons' licences by what they allow."""

from __future__ import annotations

from surfaces.creative_commons import CODES, name_of
from surfaces.licences import commercial_use

GROUPS = {
    "any": frozenset(CODES),
    "commercial": frozenset(code for code in CODES if commercial_use(name_of(code)) == "yes"),
    "modification": frozenset(code for code in CODES if "nd" not in code),
}
"""Licences by what they allow; unlike Openverse's, `commercial` has none that forbids changes, as `train --licence`."""


def read_licences(text: str) -> frozenset[str]:
    """Parses codes and groups with commas between them. Raises ValueError if one is unknown."""
    codes: set[str] = set()
    for word in text.lower().replace(" ", "").split(","):
        if word not in GROUPS and word not in CODES:
            raise ValueError(f"expected licences among {', '.join((*GROUPS, *CODES))}, got {word!r}")
        codes |= GROUPS.get(word, {word})
    return frozenset(codes)
