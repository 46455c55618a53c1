"""Documents, and the places in them where generated tables stand."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_DOCUMENTS = ("*.md", "docs/**/*.md", "examples/**/*.md", "notebooks/**/*.md", "tests/data/**/*.md")
_PLACE = re.compile(r"^<!-- made: (?P<name>[\w.-]+) -->\n(?P<text>.*?)^<!-- /made -->$", re.DOTALL | re.MULTILINE)
_MARK = re.compile(r"^<!-- ?(?:made:|/made).*", re.MULTILINE)


@dataclass(frozen=True)
class Place:
    """Where a generated table stands.

    Attributes:
        name: of the table.
        text: what stands there now.
    """

    name: str
    text: str


def documents(root: Path) -> list[Path]:
    """The repository's Markdown files, in the order of their paths."""
    return sorted({path for pattern in _DOCUMENTS for path in root.glob(pattern)})


def places(document: str) -> list[Place]:
    """The places in a document's text, in order."""
    return [Place(match["name"], match["text"]) for match in _PLACE.finditer(document)]


def stray_marks(document: str) -> list[str]:
    """Marks of which the other half is missing, or which are written otherwise than `_PLACE` wants them."""
    return _MARK.findall(_PLACE.sub("", document)) + [
        mark for place in places(document) for mark in _MARK.findall(place.text)
    ]


def stray_told(mark: str) -> str:
    """A stray mark as a line for the user."""
    return f"expected a line '<!-- made: NAME -->' and after it a line '<!-- /made -->', got '{mark}' by itself"


def filled(document: str, make: Callable[[str], str]) -> str:
    """A document with every place filled anew.

    Args:
        document: its text.
        make: gives a table's Markdown by its name.
    """
    return _PLACE.sub(
        lambda match: f"<!-- made: {match['name']} -->\n{as_text(make(match['name']))}<!-- /made -->", document
    )


def as_text(markdown: str) -> str:
    """A table as it stands in its place: ended by one line break."""
    return markdown.strip("\n") + "\n"
