"""Fields of what a server sent: it may be another program, or tell what somebody else wrote."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from labelstudio.errors import AnnotationError
from surfaces.errors import SurfacesError
from surfaces.wording import brief, encodable, printable

Kind = TypeVar("Kind")

_MOST_NUMBER = (1 << 63) - 1
_LONGEST_NAME = 320
"""An e-mail address has no more characters."""


def read_field(record: Any, name: str, kind: type[Kind], error: type[SurfacesError] = AnnotationError) -> Kind:
    """A field of a JSON object.

    Args:
        record: the object, or whatever came instead.
        name: of the field.
        kind: what it must be.
        error: what is raised else.

    Returns:
        The value; a number from 0 that fits a database, a text that UTF-8 can hold.
    """
    value = record.get(name) if isinstance(record, Mapping) else None
    fits = isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
    if not fits or (isinstance(value, int) and not 0 <= value <= _MOST_NUMBER):
        raise error(
            f"expected {name} as {kind.__name__}, got {brief(value if isinstance(record, Mapping) else record)}"
        )
    text: Any = encodable(value) if isinstance(value, str) else value
    return text  # type: ignore[no-any-return]


def name_of(value: Any) -> str:
    """What a person is called: on one line, and no longer than an e-mail address."""
    return printable(str(value)[:_LONGEST_NAME])
