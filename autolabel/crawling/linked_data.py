"""Photos that a page describes in JSON-LD, in the terms of schema.org."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class DescribedPhoto:
    """What a page says of a photo; empty where it says nothing.

    Attributes:
        url: of its file, as it is written.
        title: its name or caption.
        author: who made it.
        licence_url: as it is written.
    """

    url: str
    title: str = ""
    author: str = ""
    licence_url: str = ""


def described_photos(text: str) -> Iterator[DescribedPhoto]:
    """The photos of a piece of JSON-LD: each `ImageObject`, and what stands as `image` of something else.

    Logos are left out. The properties are those of https://schema.org/ImageObject and of Google's image metadata.

    Args:
        text: JSON; there is nothing in what isn't.
    """
    try:
        waiting: list[Any] = [json.loads(text)]
    except (ValueError, RecursionError):
        return
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting.extend(reversed(value))
        elif isinstance(value, dict):
            if "ImageObject" in _listed(value.get("@type")):
                yield _described(value)
            for image in _listed(value.get("image")):
                if isinstance(image, str):
                    yield DescribedPhoto(image)
            waiting.extend(part for name, part in reversed(value.items()) if name != "logo")


def _described(value: dict[str, Any]) -> DescribedPhoto:
    author = _first_text(value, "creator") or _first_text(value, "author") or _first_text(value, "creditText")
    return DescribedPhoto(
        url=_first_text(value, "contentUrl") or _first_text(value, "url"),
        title=_first_text(value, "name") or _first_text(value, "caption"),
        author=author,
        licence_url=_first_text(value, "license"),
    )


def _first_text(value: dict[str, Any], name: str) -> str:
    """A property's text; of a thing (a person, a licence) its name or address."""
    for part in _listed(value.get(name)):
        if isinstance(part, dict):
            part = part.get("name") or part.get("url") or part.get("@id")
        if isinstance(part, str):
            return part
    return ""


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
