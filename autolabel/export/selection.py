"""Exported photos and labels: which ones, the photos' files, and their provenance."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any

from autolabel.export.names import hash_stem
from surfaces.datasets.codec import suffix_of
from surfaces.datasets.normalize import normalize_photo
from surfaces.errors import DatasetError, DecodeError
from surfaces.io.local_files import read_bytes
from surfaces.store.label_store import LabelStore, StoredPhoto
from surfaces.store.records import ScoredLabels

_SAME_SUFFIXES = {".jpg": (".jpg", ".jpeg"), ".png": (".png",)}


@dataclass(frozen=True)
class Selection:
    """The exported labels.

    Attributes:
        min_score: pixels of a teacher's segments with lower scores are ignored; reviewed labels stay as they are.
        only: `reviewed` or `auto`; None: both.
    """

    min_score: float = 0.0
    only: str | None = None

    def photos(self, store: LabelStore) -> Iterator[StoredPhoto]:
        """The exported photos, by ascending sha256."""
        return (photo for photo in store.photos() if self.only in (None, photo.origin))

    def labels(self, store: LabelStore, photo: StoredPhoto) -> ScoredLabels:
        """The exported labels of one of them."""
        labels = store.labels(photo.sha256)
        if photo.origin == "reviewed":
            return labels
        kept = tuple(segment for segment in labels.segments if segment.detection.score >= self.min_score)
        ignore_mask = labels.ignore_mask.copy()
        for segment in labels.segments:
            if segment.detection.score < self.min_score:
                ignore_mask |= segment.detection.mask
        return replace(labels, segments=kept, ignore_mask=ignore_mask)


def write_photo(
    store: LabelStore, photo: StoredPhoto, folder: Path, name: str | None = None, link: bool = False
) -> Path:
    """Copies a photo into a folder, upright; a photo that is not an upright JPEG or PNG becomes a new JPEG.

    Args:
        store: finds the photo.
        photo: the photo.
        folder: of the copy.
        name: the file's name without suffix, by default `hash_stem`; a fitting suffix of the original is kept.
        link: a hard link instead of a copy, where the photo can stay as it is and the file system allows.

    Raises:
        DatasetError: the photo is gone or has changed since it was labelled.
    """
    data = store.read_photo(photo)
    try:
        normalized = normalize_photo(data)
    except DecodeError as error:
        raise DatasetError(f"{photo.source}: {error}") from error
    suffix, own_suffix = suffix_of(normalized), PurePath(photo.source).suffix
    if name and own_suffix.lower() in _SAME_SUFFIXES[suffix]:
        suffix = own_suffix
    target = folder / f"{name or hash_stem(photo)}{suffix}"
    if not (link and normalized is data and _link(store.sources(photo.sha256), data, target)):
        with target.open("xb") as file:
            file.write(normalized)
    return target


def provenance(photo: StoredPhoto) -> dict[str, Any]:
    """The origin of a photo and its labels, for JSON."""
    reviewer = {"reviewer": photo.reviewer} if photo.reviewer else {}
    return {
        "name": photo.name,
        "source": photo.source,
        "sha256": photo.sha256,
        "origin": photo.origin,
        **reviewer,
        "teacher": photo.teacher,
        "settings": photo.settings,
        "qualities": photo.quality_scores,
    }


def _link(sources: Iterable[str], data: bytes, target: Path) -> bool:
    """Links to the first source that allows it and still has these bytes; False where none does."""
    for source in sources:
        try:
            os.link(Path(source).resolve(), target)
        except OSError:  # another disk, a disk without links, a missing file
            continue
        if _has_bytes(target, data):
            return True
        target.unlink()
    return False


def _has_bytes(target: Path, data: bytes) -> bool:
    """Whether a link leads to a file of these bytes; a pipe or a larger file may have replaced it."""
    try:
        return read_bytes(target, len(data)) == data
    except OSError:
        return False
