"""What the readers of search APIs share."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from autolabel.crawling.reading import ReadError

if TYPE_CHECKING:
    from surfaces.io.http import Response

_MOST_BYTES = 5_000_000  # results are below 0.5 MB; parsed, hostile ones take 25 times their size


def json_object(answer: Response, whose: str) -> dict[str, Any]:
    """The JSON object that an API answered.

    Args:
        answer: its bytes.
        whose: the API's name, for errors.

    Raises:
        ReadError: it is something else, or larger than 5 MB.
    """
    if len(answer.body) > _MOST_BYTES:
        raise ReadError(f"expected {whose}'s JSON of at most {_MOST_BYTES / 1e6:g} MB, it is larger")
    try:
        document = json.loads(answer.body)
    except (ValueError, RecursionError) as error:
        raise ReadError(f"expected {whose}'s JSON, got something else") from error
    if not isinstance(document, dict):
        raise ReadError(f"expected {whose}'s JSON object, got {type(document).__name__}")
    return document


def objects(value: Any) -> list[dict[str, Any]]:
    """The JSON objects of a list; none where it is no list."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def text(value: Any) -> str:
    """A JSON string as it is; numbers as text; empty for anything else."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) else ""
