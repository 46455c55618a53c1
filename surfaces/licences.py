"""Licences that travel: what a dataset or a network learned from, and whether a product may use it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from surfaces.creative_commons import code_of, is_short_name
from surfaces.errors import DatasetError
from surfaces.messages import brief, printable

COMMERCIAL = ("yes", "no", "unknown")

_PERMISSIVE = re.compile(
    r"0bsd|apache-2(\.0)?|bsd(-[23]-clause)?|bsl-1\.0|cdla-permissive-[12]\.0|isc|mit(-0)?|ncsa"
    r"|odc-by(-1\.0)?|pddl(-1\.0)?|unlicense|zlib"
)
"""SPDX identifiers, and spellings of the Hugging Face hub, in lower case with hyphens."""
_FILLERS = re.compile(r"\b(?:the|licen[cs]e|version)\b")
_SEPARATORS = re.compile(r"[\s_,-]+")


@dataclass(frozen=True, order=True)
class Licence:
    """A source and its terms.

    Attributes:
        source: its name.
        terms: of use: an SPDX identifier, or a few words.
        commercial: whether a product may be trained on it: one of `COMMERCIAL`.
    """

    source: str
    terms: str
    commercial: str = "unknown"

    def __str__(self) -> str:
        return printable(f"{self.source}: {self.terms} (commercial use: {self.commercial})")

    @classmethod
    def of(cls, source: str, terms: str) -> Licence:
        """A licence whose terms tell whether they allow commercial use (`commercial_use`)."""
        return cls(source, terms, commercial_use(terms))

    @classmethod
    def parse(cls, entry: Any) -> Licence:
        """A licence from a table of a file. Raises DatasetError where it is none."""
        texts = isinstance(entry, dict) and all(isinstance(value, str) for value in entry.values())
        if not texts or not {"source", "terms"} <= entry.keys() <= {"source", "terms", "commercial"}:
            raise DatasetError(f"expected a licence with `source`, `terms` and `commercial`, got {brief(entry)}")
        licence = cls(**entry)
        if licence.commercial not in COMMERCIAL:
            raise DatasetError(
                f"expected `commercial` to be one of {', '.join(COMMERCIAL)}, got {licence.commercial!r}"
            )
        return licence


def not_stated(source: str) -> Licence:
    """The licence of a source that states none."""
    return Licence(source, "not stated")


NOT_STATED = not_stated("a source that states none")
"""Of datasets and weights that say nothing."""


def commercial_use(terms: str) -> str:
    """Whether terms allow commercial use, one of `COMMERCIAL`: `yes` for names of permissive licences alone.

    Creative Commons' NC is `no`; its ND, free text, and licences that are not known here are `unknown`.
    """
    terms = terms.strip()
    code = code_of(terms, "")
    if code and "nc" in code:
        return "no"
    if code:
        return "yes" if is_short_name(terms) and "nd" not in code else "unknown"
    name = _SEPARATORS.sub("-", _FILLERS.sub(" ", terms.lower())).strip("-")
    return "yes" if _PERMISSIVE.fullmatch(name) else "unknown"


def with_source(licences: Iterable[Licence], source: str) -> tuple[Licence, ...]:
    """The licences, merged; `NOT_STATED`, or none at all, become `not_stated` of the source."""
    named = not_stated(source)
    return merged(named if licence == NOT_STATED else licence for licence in licences) or (named,)


def merged(licences: Iterable[Licence]) -> tuple[Licence, ...]:
    """Each of the licences once, sorted."""
    return tuple(sorted(set(licences)))


def to_json(licences: Iterable[Licence]) -> str:
    """The licences as JSON, for the metadata of a file."""
    return json.dumps([asdict(licence) for licence in licences])


def to_toml(licences: Iterable[Licence]) -> str:
    """The licences as the `[[sources]]` of a `dataset.toml`."""
    lines: list[str] = []
    for licence in licences:
        lines += ["[[sources]]", *(f"{key} = {_toml(value)}" for key, value in asdict(licence).items()), ""]
    return "\n".join(lines)


def _toml(text: str) -> str:
    """A text in TOML's form, which differs from JSON's in characters beyond the basic plane and DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def from_json(text: str) -> tuple[Licence, ...]:
    """The licences in a file's metadata. Raises DatasetError where they are none."""
    try:
        entries = json.loads(text)
    except ValueError as error:
        raise DatasetError(f"expected a list of licences, got {brief(text)}") from error
    if not isinstance(entries, list):
        raise DatasetError(f"expected a list of licences, got {brief(entries)}")
    return tuple(Licence.parse(entry) for entry in entries)


def refuse_uncommercial(licences: Iterable[Licence]) -> None:
    """Raises DatasetError where a product may not be trained on one of the sources, or nobody knows."""
    refused = [licence for licence in licences if licence.commercial != "yes"]
    if refused:
        named = "; ".join(map(str, refused))
        raise DatasetError(f"expected sources whose licences allow commercial use, got {named}")
