"""Checks rows of a label store, which may be another's; invalid values raise errors that `rows_checked` reports."""

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
from surfaces.licences import Licence
from surfaces.messages import brief, without_credentials
from surfaces.store.database import Row
from surfaces.store.records import LabelSettings, StoredPhoto, StoredSegment

_SIDE_MAX = 2**31 - 1
_NUMBER_MAX = 2**53  # float32 and int64 can hold it


@contextmanager
def rows_checked(path: Path) -> Iterator[None]:
    """Turns errors of invalid values into DatasetError; `path` is the store's, for the message."""
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        reason = f"{type(error).__name__}: {error}" if isinstance(error, LookupError) else str(error)
        raise DatasetError(f"expected a store of labels in {path}, got a damaged one: {reason}") from error


def photo_of(row: Row, name: str) -> StoredPhoto:
    """A photo, from sha256, path, width, height, origin, reviewer, teacher, settings, qualities."""
    sha256, source, width, height, origin, reviewer, teacher, settings, quality_scores = row
    checked_texts((sha256, name, source, origin, reviewer, teacher, settings))
    size_wh = checked_side(width), checked_side(height)
    source = without_credentials(source) if is_remote(source) else source  # for messages; `sources` has the whole URL
    return StoredPhoto(
        sha256, name, source, *size_wh, origin, reviewer, teacher, settings, read_qualities(quality_scores)
    )


def segment_of(row: Row, width: int, height: int) -> StoredSegment:
    """A segment of a photo of this size, from class, score, left, top, right, bottom, area, qualities, mask."""
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
    """Settings, from fingerprint, teacher and details."""
    fingerprint, teacher, details = checked_texts(row)
    return LabelSettings(fingerprint, teacher, _read_object(details))


def licence_of(row: Row) -> Licence:
    """A licence, from source, terms and commercial."""
    source, terms, commercial = row
    try:
        return Licence.parse({"source": source, "terms": terms, "commercial": commercial})
    except DatasetError as error:
        raise ValueError(str(error)) from error


def checked_texts(values: tuple[Any, ...]) -> tuple[str, ...]:
    """Returns texts."""
    for value in values:
        if not isinstance(value, str):
            raise ValueError(f"expected text, got {brief(value)}")
    return values


def checked_side(value: Any) -> int:
    """Returns a width or a height in pixels."""
    if type(value) is not int or not 0 < value <= _SIDE_MAX:
        raise ValueError(f"expected a number of pixels, got {brief(value)}")
    return value


def checked_number(value: Any) -> float:
    """Returns a finite number."""
    if type(value) not in (int, float) or not abs(value) <= _NUMBER_MAX:
        raise ValueError(f"expected a number, got {brief(value)}")
    return float(value)


def read_qualities(text: str) -> dict[str, float]:
    """Quality scores by name, from JSON."""
    return {name: checked_number(value) for name, value in _read_object(text).items()}


def _read_object(text: str) -> dict[str, Any]:
    value = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError(f"expected a JSON object, got {brief(value)}")
    return value
