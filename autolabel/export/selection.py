"""What is exported of a label store: which photos, which segments, and what is told of where they come from."""

from __future__ import annotations

import json
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from surfaces.datasets.codec import suffix_of
from surfaces.datasets.normalize import normalize_photo
from surfaces.errors import DatasetError, DecodeError
from surfaces.io.local_files import read_bytes
from surfaces.store.label_store import LabelStore, StoredPhoto
from surfaces.store.records import ScoredLabels

_UNSAFE = re.compile(r'[\x00-\x1f\x7f-\x9f<>:"/\\|?*\u2028\u2029]')  # to Windows, or to readers of lines
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\.|$)", re.IGNORECASE)  # devices of Windows
_BYTES_MAX = 180


def kept_names(photos: Iterable[StoredPhoto]) -> dict[str, str]:
    """The stems of exported files by the photos' sha256.

    Folders are joined with `_`, since trainers tell the folders of labels by the folders of photos; what file systems
    do not allow becomes `_`; names that several photos would share, in whatever case, end in digits of the sha256.
    """
    safe = [(photo, safe_stem(photo)) for photo in photos]
    uses = Counter(_folded(stem) for _, stem in safe)
    return {photo.sha256: stem if uses[_folded(stem)] == 1 else f"{stem}-{file_stem(photo)}" for photo, stem in safe}


def safe_stem(photo: StoredPhoto) -> str:
    """The name of a photo as one part of a path that every system allows; other photos may have the same."""
    stem = _UNSAFE.sub("_", photo.name).strip()
    if len(stem.encode()) > _BYTES_MAX:
        stem = f"{stem.encode()[:_BYTES_MAX].decode(errors='ignore')}-{file_stem(photo)}"
    return f"_{stem}" if stem.startswith(".") or _RESERVED.match(stem) else stem or file_stem(photo)


def _folded(stem: str) -> str:
    return unicodedata.normalize("NFC", stem).casefold()


IMAGES = "images"
INDEX_NAME = "photos.jsonl"

WHOLE = ("",)
"""The parts of an export that is not split."""

Add = Callable[[StoredPhoto, str, ScoredLabels], None]
"""Writes the labels of a photo; the second argument is the name of the photo's file in `images`."""


@dataclass(frozen=True)
class Part:
    """A part of an export: all of it, or what training or validation reads.

    Attributes:
        images: the folder of its photos, which exists.
        add: writes the labels of a photo.
    """

    images: Path
    add: Add


Format = Callable[[Path, Sequence[str]], AbstractContextManager[Mapping[str, Part]]]
"""Begins an export in an existing folder, of parts of these names; it is complete when the context ends."""

_NAME_DIGITS = 16
_SAME_SUFFIXES = {".jpg": (".jpg", ".jpeg"), ".png": (".png",)}


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

    def labels(self, store: LabelStore, photo: StoredPhoto) -> ScoredLabels:
        """The labels of one of them."""
        labels = store.labels(photo.sha256)
        if photo.origin == "reviewed":
            return labels
        kept = tuple(segment for segment in labels.segments if segment.detection.score >= self.min_score)
        ignore_mask = labels.ignore_mask.copy()
        for segment in labels.segments:
            if segment.detection.score < self.min_score:
                ignore_mask |= segment.detection.mask
        return replace(labels, segments=kept, ignore_mask=ignore_mask)


def file_stem(photo: StoredPhoto) -> str:
    """What a photo's files are called: the first digits of its sha256."""
    return photo.sha256[:_NAME_DIGITS]


@contextmanager
def in_folders(
    folder: Path, parts: Sequence[str], begin: Callable[[Path], AbstractContextManager[Add]]
) -> Iterator[dict[str, Part]]:
    """Parts that are each a dataset in a folder of its own; the one without a name is `folder` itself.

    Args:
        folder: an existing folder.
        parts: their names.
        begin: begins to write labels in a part's folder.
    """
    with ExitStack() as begun:
        made = {}
        for part in parts:
            images = folder / part / IMAGES
            images.mkdir(parents=True)
            made[part] = Part(images, begun.enter_context(begin(folder / part)))
        yield made


def write_photo(
    store: LabelStore, photo: StoredPhoto, folder: Path, name: str | None = None, link: bool = False
) -> Path:
    """Copies a photo into a folder, upright; a photo that is not an upright JPEG or PNG becomes a new JPEG.

    Args:
        store: knows where the photo is.
        photo: which.
        folder: where to.
        name: the file's name without suffix; a suffix of the original's that fits is kept. None: `file_stem`.
        link: a hard link instead of a copy, where the photo can stay as it is and the file system allows.

    Returns:
        The file.

    Raises:
        DatasetError: the photo is gone or has changed since it was labelled.
    """
    data = store.read_photo(photo)
    try:
        portable = normalize_photo(data)
    except DecodeError as error:
        raise DatasetError(f"{photo.source}: {error}") from error
    suffix, own_suffix = suffix_of(portable), PurePath(photo.source).suffix
    if name and own_suffix.lower() in _SAME_SUFFIXES[suffix]:
        suffix = own_suffix
    target = folder / f"{name or file_stem(photo)}{suffix}"
    if not (link and portable is data and _linked(store.sources(photo.sha256), data, target)):
        with target.open("xb") as file:
            file.write(portable)
    return target


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
        "qualities": photo.quality_scores,
    }


@contextmanager
def new_index(folder: Path) -> Iterator[Add]:
    """`photos.jsonl`: a line a photo with its provenance and its segments, in the order of the labels."""
    with (folder / INDEX_NAME).open("w", encoding="utf-8", newline="\n") as file:

        def add(photo: StoredPhoto, file_name: str, labels: ScoredLabels) -> None:
            segments = [
                {
                    "class": segment.detection.surface.name,
                    "score": segment.detection.score,
                    "qualities": dict(segment.quality_scores),
                }
                for segment in labels.segments
            ]
            entry = {
                "file_name": f"{IMAGES}/{file_name}",
                "width": photo.width,
                "height": photo.height,
                **provenance(photo),
                "segments": segments,
                "unsure_share": float(np.mean(labels.ignore_mask)),
            }
            file.write(json.dumps(entry) + "\n")

        yield add


def _linked(sources: list[str], data: bytes, target: Path) -> bool:
    """Whether one of the files could be linked to, and still holds the bytes that were read."""
    for source in sources:
        try:
            os.link(Path(source).resolve(), target)
        except OSError:  # another disk, one that knows no links, a file that is gone
            continue
        if _holds(target, data):
            return True
        target.unlink()
    return False


def _holds(target: Path, data: bytes) -> bool:
    """Whether a link leads to a file of these bytes, and not to a pipe or a larger one that has taken its place."""
    try:
        return read_bytes(target, len(data)) == data
    except OSError:
        return False
