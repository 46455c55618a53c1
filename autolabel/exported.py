"""What is exported of a label store: which photos, which segments, and what is told of where they come from."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from autolabel.photo_copy import copy_photo
from surfaces.dataset.codec import suffix_of
from surfaces.dataset.graded import GradedLabels
from surfaces.dataset.portable import portable_photo
from surfaces.dataset.store import LabelStore, StoredPhoto
from surfaces.errors import DatasetError, DecodeError

IMAGES = "images"
INDEX_NAME = "photos.jsonl"

Add = Callable[[StoredPhoto, str, GradedLabels], None]
"""Writes the labels of a photo; the second argument is the name of the photo's file in `images`."""

Format = Callable[[Path], AbstractContextManager[Add]]
"""Begins an export in an existing folder; it is complete when the context ends."""

_NAME_DIGITS = 16


@dataclass(frozen=True)
class Selection:
    """Which labels are exported.

    Attributes:
        min_score: segments that a teacher was less sure of are unsure; what a person reviewed stays as it is.
        only: `reviewed` or `auto`; None: both.
    """

    min_score: float = 0.0
    only: str | None = None

    def photos(self, store: LabelStore) -> Iterator[StoredPhoto]:
        """The photos that are exported, by ascending sha256."""
        return (photo for photo in store.photos() if self.only in (None, photo.origin))

    def labels(self, store: LabelStore, photo: StoredPhoto) -> GradedLabels:
        """The labels of one of them."""
        labels = store.labels(photo.sha256)
        if photo.origin == "reviewed":
            return labels
        kept = tuple(segment for segment in labels.segments if segment.detection.score >= self.min_score)
        unsure = labels.unsure.copy()
        for segment in labels.segments:
            if segment.detection.score < self.min_score:
                unsure |= segment.detection.mask
        return replace(labels, segments=kept, unsure=unsure)


def file_stem(photo: StoredPhoto) -> str:
    """What a photo's files are called: the first digits of its sha256."""
    return photo.sha256[:_NAME_DIGITS]


def write_photo(store: LabelStore, photo: StoredPhoto, folder: Path, link: bool = False) -> str:
    """Copies a photo into a folder, upright; a photo that is not an upright JPEG or PNG becomes a new JPEG.

    Args:
        store: knows where the photo is.
        photo: which.
        folder: where to.
        link: a hard link instead of a copy, where the photo can stay as it is and the file system allows.

    Returns:
        The file's name.

    Raises:
        DatasetError: the photo is gone or has changed since it was labelled.
    """
    data = store.read_photo(photo)
    try:
        portable = portable_photo(data)
    except DecodeError as error:
        raise DatasetError(f"{photo.source}: {error}") from error
    target = folder / f"{file_stem(photo)}{suffix_of(portable)}"
    copy_photo(store.sources(photo.sha256) if portable is data else (), portable, target, link)
    return target.name


def provenance(photo: StoredPhoto) -> dict[str, Any]:
    """Where a photo and its labels come from, as JSON can hold it."""
    reviewer = {"reviewer": photo.reviewer} if photo.reviewer else {}
    return {
        "name": photo.name,
        "source": photo.source,
        "sha256": photo.sha256,
        "origin": photo.origin,
        **reviewer,
        "teacher": photo.teacher,
        "settings": photo.settings,
        "qualities": photo.qualities,
    }


@contextmanager
def new_index(folder: Path) -> Iterator[Add]:
    """`photos.jsonl`: a line a photo with its provenance and its segments, in the order of the labels."""
    with (folder / INDEX_NAME).open("w", encoding="utf-8", newline="\n") as file:

        def add(photo: StoredPhoto, file_name: str, labels: GradedLabels) -> None:
            segments = [
                {
                    "class": segment.detection.surface.name,
                    "score": segment.detection.score,
                    "qualities": dict(segment.qualities),
                }
                for segment in labels.segments
            ]
            entry = {
                "file_name": f"{IMAGES}/{file_name}",
                "width": photo.width,
                "height": photo.height,
                **provenance(photo),
                "segments": segments,
                "unsure_share": float(np.mean(labels.unsure)),
            }
            file.write(json.dumps(entry) + "\n")

        yield add
