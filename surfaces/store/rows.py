"""Checks rows of a label store: others may have made it, and SQLite keeps any value in any column."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from surfaces.classes import BY_NAME
from surfaces.errors import DatasetError
from surfaces.io.storage import is_remote
from surfaces.messages import brief, without_credentials
from surfaces.store.database import Row
from surfaces.store.records import LabelSettings, StoredPhoto, StoredSegment

_SIDE_MAX = 2**31 - 1
_NUMBER_MAX = 2**53


@contextmanager
def rows_checked(path: Path) -> Iterator[None]:
    """Within the block, values that are not what a store of labels holds are a `DatasetError`.

    Args:
        path: of the store, for the message.
    """
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        told = f"{type(error).__name__}: {error}" if isinstance(error, LookupError) else str(error)
        raise DatasetError(f"expected a store of labels in {path}, got a damaged one: {told}") from error


def photo_of(row: Row, name: str) -> StoredPhoto:
    """A photo.

    Args:
        row: sha256, path, width, height, origin, reviewer, teacher, settings, qualities.
        name: of the photo, unique in the store.

    Raises:
        ValueError: a value is not what a store holds, as for the following.
        TypeError: ditto.
    """
    sha256, source, width, height, origin, reviewer, teacher, settings, quality_scores = row
    checked_texts((sha256, name, source, origin, reviewer, teacher, settings))
    size_wh = checked_side(width), checked_side(height)
    source = without_credentials(source) if is_remote(source) else source  # for people; bytes are read by `sources`
    return StoredPhoto(
        sha256, name, source, *size_wh, origin, reviewer, teacher, settings, read_qualities(quality_scores)
    )


def segment_of(row: Row, width: int, height: int) -> StoredSegment:
    """A segment of a photo.

    Args:
        row: class, score, left, top, right, bottom, area, qualities, mask.
        width: of the photo, pixels.
        height: of the photo, pixels.

    Raises:
        KeyError: there is no such class.
        ValueError: a value is not what a store holds.
        TypeError: ditto.
    """
    class_name, score, *box, area, quality_scores, counts = row
    return StoredSegment(
        BY_NAME[class_name],
        checked_number(score),
        np.array([checked_number(side) for side in box], np.float32),
        int(checked_number(area)),
        read_qualities(quality_scores),
        {"size": [height, width], "counts": counts},
    )


def settings_of(row: Row) -> LabelSettings:
    """Settings, of fingerprint, teacher and details.

    Raises:
        ValueError: a value is not what a store holds.
        TypeError: ditto.
    """
    fingerprint, teacher, details = checked_texts(row)
    return LabelSettings(fingerprint, teacher, read_object(details))


def checked_texts(values: tuple[Any, ...]) -> tuple[str, ...]:
    """Texts, passed through.

    Raises:
        ValueError: one is no text.
    """
    for value in values:
        if not isinstance(value, str):
            raise ValueError(f"expected text, got {brief(value)}")
    return values


def checked_side(value: Any) -> int:
    """A photo's width or height, pixels, passed through.

    Raises:
        ValueError: it is none.
    """
    if type(value) is not int or not 0 < value <= _SIDE_MAX:
        raise ValueError(f"expected a number of pixels, got {brief(value)}")
    return value


def checked_number(value: Any) -> float:
    """A number that a float32 and an int64 can hold.

    Raises:
        ValueError: it is none.
    """
    if type(value) not in (int, float) or not abs(value) <= _NUMBER_MAX:
        raise ValueError(f"expected a number, got {brief(value)}")
    return float(value)


def read_qualities(text: str) -> dict[str, float]:
    """Measures by name, of the JSON that holds them.

    Raises:
        ValueError: it holds something else.
        TypeError: it is no text.
    """
    return {name: checked_number(value) for name, value in read_object(text).items()}


def read_object(text: str) -> dict[str, Any]:
    """A JSON object.

    Raises:
        ValueError: it is none.
        TypeError: it is no text.
    """
    value = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError(f"expected a JSON object, got {brief(value)}")
    return value
