"""Words of error messages that several modules need."""

from __future__ import annotations


def brief(value: object) -> str:
    """A value as Python writes it, cut after 60 characters: what came may be long and hostile."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
