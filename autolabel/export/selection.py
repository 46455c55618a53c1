"""Exported photos and labels: which ones, the photos' files and their names, and their provenance."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any

from surfaces.errors import DatasetError, DecodeError
from surfaces.images.encode import normalize_photo, suffix_of
from surfaces.io.local_files import read_bytes
from surfaces.store.label_store import LabelStore, StoredPhoto
from surfaces.store.records import ScoredLabels

_SAME_SUFFIXES = {".jpg": (".jpg", ".jpeg"), ".png": (".png",)}
_UNSAFE = re.compile(r'[\x00-\x1f\x7f-\x9f<>:"/\\|?*\u2028\u2029]')  # on Windows, or line breaks to some readers
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\.|$)", re.IGNORECASE)  # devices of Windows
_BYTES_MAX = 180


@dataclass(frozen=True)
class ExportSettings:
    """Options of an export, as on the command line: what is exported, and how its files are made.

    Attributes:
        min_score: pixels of a teacher's segments with lower scores are ignored; reviewed labels stay as they are.
        only: `reviewed` or `auto`; None: both.
    """

    min_score: float = 0.0
    only: str | None = None
    split: bool = False
    keep_names: bool = False
    link: bool = False

    def photos(self, store: LabelStore) -> Iterator[StoredPhoto]:
        """The exported photos, by ascending sha256."""
        return (photo for photo in store.photos() if self.only in (None, photo.origin))

    def labels(self, store: LabelStore, photo: StoredPhoto) -> ScoredLabels:
        """The exported labels of one of them."""
        labels = store.labels(photo.sha256)
        if photo.origin == "reviewed":
            return labels
        kept, ignore_mask = [], labels.ignore_mask.copy()
        for segment in labels.segments:
            if segment.detection.score >= self.min_score:
                kept.append(segment)
            else:
                ignore_mask |= segment.detection.mask
        return replace(labels, segments=tuple(kept), ignore_mask=ignore_mask)


def hash_stem(photo: StoredPhoto) -> str:
    """The default stem of a photo's files: the first digits of its sha256."""
    return photo.sha256[:16]


def safe_stem(photo: StoredPhoto) -> str:
    """The photo's name as one part of a path that is valid on every system; several photos may share it."""
    stem = _UNSAFE.sub("_", photo.name).strip()
    if len(stem.encode()) > _BYTES_MAX:
        stem = f"{stem.encode()[:_BYTES_MAX].decode(errors='ignore')}-{hash_stem(photo)}"
    return f"_{stem}" if stem.startswith(".") or _RESERVED.match(stem) else stem or hash_stem(photo)


def unique_stems(photos: Iterable[StoredPhoto]) -> dict[str, str]:
    """The safe stems by the photos' sha256.

    Folders are joined with `_`, since trainers find the folders of labels by the folders of photos. Names that several
    photos share, in any case, end in digits of the sha256.
    """
    safe = [(photo, safe_stem(photo)) for photo in photos]
    uses = Counter(_fold(stem) for _, stem in safe)
    return {photo.sha256: stem if uses[_fold(stem)] == 1 else f"{stem}-{hash_stem(photo)}" for photo, stem in safe}


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


def _fold(stem: str) -> str:
    return unicodedata.normalize("NFC", stem).casefold()


def _link(sources: Iterable[str], data: bytes, target: Path) -> bool:
    """Links to the first source that allows it and still has these bytes; False where none does.

    A pipe or a larger file may have replaced a source.
    """
    for source in sources:
        try:
            os.link(Path(source).resolve(), target)
        except OSError:  # another disk, a disk without links, a missing file
            continue
        try:
            if read_bytes(target, len(data)) == data:
                return True
        except OSError:
            pass
        target.unlink()
    return False
