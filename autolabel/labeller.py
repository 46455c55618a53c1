"""One photo on its way from a teacher to its labels; what goes wrong is told of that photo alone."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from autolabel.photo_file import DecodedPhoto, FailedPhoto, FoundPhoto
from models.teachers.teacher import Opinion
from surfaces.dataset.graded import GradedLabels
from surfaces.dataset.store import LabelSettings
from surfaces.detections import Image
from surfaces.errors import MissingExtraError

TEACHER_FAILED = "teacher failed"

R = TypeVar("R")


@dataclass(frozen=True)
class Labeller:
    """Makes labels; the same photo gives the same ones.

    Attributes:
        look: a teacher's opinion on a photo (uint8 HxWx3 RGB).
        settle: the labels that follow from it for a photo of this height and width; called from other threads.
        settings: what they are made with.
    """

    look: Callable[[Image], Opinion]
    settle: Callable[[Opinion, tuple[int, int]], GradedLabels]
    settings: LabelSettings


@dataclass(frozen=True, eq=False)
class SeenPhoto:
    """A photo that the teacher has looked at.

    Attributes:
        found: where it comes from.
        opinion: the teacher's.
        size_hw: height and width in pixels.
    """

    found: FoundPhoto
    opinion: Opinion
    size_hw: tuple[int, int]


@dataclass(frozen=True, eq=False)
class LabelledPhoto:
    """A photo that can be stored.

    Attributes:
        found: where it comes from.
        labels: of its size.
    """

    found: FoundPhoto
    labels: GradedLabels


def look_at(photo: DecodedPhoto | FailedPhoto, labeller: Labeller) -> SeenPhoto | FailedPhoto:
    """Asks the teacher."""
    if isinstance(photo, FailedPhoto):
        return photo
    size_hw = (photo.image.shape[0], photo.image.shape[1])
    return _attempt(photo.found, lambda: SeenPhoto(photo.found, labeller.look(photo.image), size_hw))


def settle(photo: SeenPhoto | FailedPhoto, labeller: Labeller) -> LabelledPhoto | FailedPhoto:
    """Makes the labels."""
    if isinstance(photo, FailedPhoto):
        return photo
    return _attempt(photo.found, lambda: LabelledPhoto(photo.found, _labels_of(photo, labeller)))


def _labels_of(photo: SeenPhoto, labeller: Labeller) -> GradedLabels:
    labels = labeller.settle(photo.opinion, photo.size_hw)
    if labels.unsure.shape != photo.size_hw:
        raise ValueError(f"labels of {labels.unsure.shape} for a photo of {photo.size_hw} rows, columns")
    return labels


def _attempt(found: FoundPhoto, make: Callable[[], R]) -> R | FailedPhoto:
    try:
        return make()
    except (MissingExtraError, ModuleNotFoundError):
        raise
    except Exception as error:  # a teacher may raise anything, and the next photo may do
        return FailedPhoto(found, TEACHER_FAILED, _reason(error))


def _reason(error: Exception) -> str:
    """What was raised and where, in one line."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    first_line = next(iter(str(error).splitlines()), "")[:200]
    return f"{type(error).__name__}: {first_line} ({Path(place.filename).name}:{place.lineno})"
