"""Packed datasets: a few large files instead of thousands, to copy to the machine that trains.

A folder of ZIP files (`part-000.zip`, …; members stored, not compressed) and `packed.json` with the positions of each
sample's photo, its two label maps and its soft labels (PNG), so that threads and processes can read in parallel.
Reading needs only numpy, OpenCV and Pillow.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import cv2
import numpy as np

from surfaces.classes import BY_ID, BY_NAME, CLASSES
from surfaces.cli.progress import track
from surfaces.datasets.codec import (
    decode_image,
    decode_map,
    decode_soft_labels,
    encode_soft_labels,
    require_photo,
)
from surfaces.datasets.reading import FOLLOW_LINKS
from surfaces.datasets.sample import (
    ALL_LABELLED,
    Labels,
    LabelScope,
    Sample,
    read_sample,
    require_unique,
    shrink_labels,
)
from surfaces.detections import Image
from surfaces.errors import DatasetError
from surfaces.images.encode import encode_jpeg, encode_png, suffix_of
from surfaces.io.atomic_files import new_folder
from surfaces.io.local_files import is_unicode, plain_name, require_inside
from surfaces.io.storage import BYTES_MAX
from surfaces.messages import brief

INDEX_NAME = "packed.json"
MAX_BYTES = 60_000_000

_FURTHER_CLASSES = "".join(f", {surface.name}" for surface in CLASSES[3:])
_FORMAT = f"interior-surfaces packed 1{_FURTHER_CLASSES}"
_SCOPED_FORMAT = f"interior-surfaces packed 2{_FURTHER_CLASSES}"
"""Of datasets whose samples have a LabelScope: earlier versions, which would pass over it, refuse them."""

_SCOPE_KEYS = ("unlabelled", "absent", "present")
_PARTS = ("photo", "semantic", "tables", "belief")
_MEMBER_OVERHEAD = 128  # most bytes of a member's headers, besides its name twice


@dataclass(frozen=True)
class Member:
    """A file in an archive: the archive's name, the offset and the number of its bytes."""

    archive: str
    offset: int
    size: int

    def __post_init__(self) -> None:
        plain_name(self.archive)
        numbers = self.offset, self.size
        if any(type(number) is not int or number < 0 for number in numbers) or self.size > BYTES_MAX:
            raise DatasetError(f"no part of an archive: {brief((self.archive, *numbers))}")

    def read(self, folder: Path) -> bytes:
        """Its bytes; raises DatasetError where the archive is missing or too short."""
        path = folder / self.archive
        try:
            with path.open("rb") as file:
                file.seek(self.offset)
                data = file.read(self.size)
        except OSError as error:
            raise DatasetError(f"expected a readable archive at {path}, got: {error.strerror}") from error
        if len(data) < self.size:
            raise DatasetError(f"expected {self.size} bytes at {self.offset} of {path}, got {len(data)}")
        return data


@dataclass(frozen=True)
class PackedSample:
    """A photo and its label maps in the archives of a folder."""

    name: str
    folder: Path
    photo: Member
    semantic: Member
    tables: Member
    soft_labels: Member | None = None
    scope: LabelScope = ALL_LABELLED

    def image(self) -> Image:
        """The photo, uint8 HxWx3 RGB."""
        return decode_image(self.encoded_image(), self._source)

    def encoded_image(self) -> bytes:
        """The photo's file, byte for byte."""
        return require_photo(self.photo.read(self.folder), self._source)

    @property
    def _source(self) -> str:
        return f"{self.name} of {self.folder}"

    def labels(self) -> Labels:
        """Its labels, of the photo's size."""
        source = f"the labels of {self.name} of {self.folder}"
        return Labels(
            decode_map(self.semantic.read(self.folder), source),
            decode_map(self.tables.read(self.folder), source),
            decode_soft_labels(self.soft_labels.read(self.folder), source) if self.soft_labels else None,
            self.scope,
        )


def open_packed(folder: Path, follow_links: bool = False) -> list[Sample]:
    """The samples of a packed folder, in the order they were written.

    Args:
        folder: of the index and the archives.
        follow_links: whether archives may be links that leave the folder.

    Raises:
        DatasetError: the index is invalid, or an archive is missing, truncated or outside of the folder.
    """
    path = folder / INDEX_NAME
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
        if index["format"] not in (_FORMAT, _SCOPED_FORMAT):
            raise DatasetError(f"format {brief(index['format'])} instead of {_FORMAT!r}")
        samples = [_sample_of(entry, folder) for entry in index["samples"]]
    except (OSError, ValueError, KeyError, TypeError, RecursionError, DatasetError) as error:
        reason = str(error) if isinstance(error, DatasetError) else repr(error)
        raise DatasetError(f"expected the index of a packed dataset in {path}, got: {reason}") from error
    for name, end in _ends(samples).items():
        archive = folder / name
        if not follow_links:
            require_inside(folder, archive, FOLLOW_LINKS)
        if not archive.is_file() or archive.stat().st_size < end:
            raise DatasetError(f"expected {end} bytes or more in {archive}, got a shorter file or none")
    return list(samples)


def write_packed(
    samples: Sequence[Sample], folder: Path, max_bytes: int = MAX_BYTES, longest_side: int | None = None
) -> int:
    """Writes a packed dataset; returns the number of samples. The folder appears whole or not at all.

    Args:
        samples: read one at a time.
        folder: must not exist yet.
        max_bytes: of an archive.
        longest_side: larger photos are resized to it, and their labels; None copies all photos byte for byte.

    Raises:
        DatasetError: two samples share a name, one is larger than `max_bytes`, or a photo or its labels are invalid.
        OutputError: the folder exists or cannot be written.
    """
    require_unique(sample.name for sample in samples)
    entries: list[dict[str, object]] = []
    with new_folder(folder) as partial:
        for number, contents in enumerate(_split_archives(samples, max_bytes, longest_side)):
            entries += _write_archive(partial / f"part-{number:03d}.zip", contents)
        has_scopes = any(key in entry for entry in entries for key in _SCOPE_KEYS)
        index = json.dumps({"format": _SCOPED_FORMAT if has_scopes else _FORMAT, "samples": entries}, indent=0)
        (partial / INDEX_NAME).write_text(index, encoding="utf-8")
    return len(entries)


def _sample_of(entry: Mapping[str, Any], folder: Path) -> PackedSample:
    """A sample of the index; invalid entries raise nearly anything."""
    name = entry["name"]
    path = PurePosixPath(name)
    if not is_unicode(name) or "\0" in name or not path.name or path.is_absolute() or ".." in path.parts:
        raise DatasetError(f"a sample called {brief(name)}")
    parts = {part: Member(**entry[part]) for part in _PARTS if part in entry}
    scope = LabelScope(*(_class_ids(entry.get(key, [])) for key in _SCOPE_KEYS))
    return PackedSample(name, folder, parts["photo"], parts["semantic"], parts["tables"], parts.get("belief"), scope)


def _class_ids(names: Sequence[str]) -> frozenset[int]:
    return frozenset(BY_NAME[name].coco_id for name in names)


def _ends(samples: Sequence[PackedSample]) -> dict[str, int]:
    """The number of bytes that each archive must have."""
    ends: dict[str, int] = {}
    for member in (member for s in samples for member in (s.photo, s.semantic, s.tables, s.soft_labels) if member):
        ends[member.archive] = max(ends.get(member.archive, 0), member.offset + member.size)
    return ends


def _split_archives(
    samples: Sequence[Sample], max_bytes: int, longest_side: int | None
) -> Iterator[dict[str, tuple[LabelScope, dict[str, bytes]]]]:
    """The content of each archive: the scope and the files of its samples by the samples' names."""
    archive: dict[str, tuple[LabelScope, dict[str, bytes]]] = {}
    free = max_bytes
    for sample in track(samples):
        scope, files = _files_of(sample, longest_side)
        size = sum(len(data) + 2 * len(sample.name.encode()) + _MEMBER_OVERHEAD for data in files.values())
        if size > max_bytes:
            raise DatasetError(f"expected samples of at most {max_bytes} bytes, got {sample.name} of {size}")
        if size > free:
            yield archive
            archive, free = {}, max_bytes
        archive[sample.name] = scope, files
        free -= size
    if archive:
        yield archive


def _write_archive(path: Path, contents: dict[str, tuple[LabelScope, dict[str, bytes]]]) -> list[dict[str, object]]:
    """Writes an archive; returns the index entries of its samples."""
    entries: list[dict[str, object]] = []
    with path.open("wb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, (scope, files) in contents.items():
            names = {key: [BY_ID[class_id].name for class_id in sorted(getattr(scope, key))] for key in _SCOPE_KEYS}
            entry: dict[str, object] = {"name": name} | {key: value for key, value in names.items() if value}
            for part, data in files.items():
                # A fixed date, so that the same samples give the same bytes.
                archive.writestr(zipfile.ZipInfo(f"{name}/{part}{suffix_of(data)}"), data)
                entry[part] = asdict(Member(path.name, file.tell() - len(data), len(data)))
            entries.append(entry)
    return entries


def _files_of(sample: Sample, longest_side: int | None) -> tuple[LabelScope, dict[str, bytes]]:
    image, labels = read_sample(sample)
    photo = sample.encoded_image()
    height, width = labels.semantic.shape
    if longest_side is not None and longest_side < max(height, width):
        scale = longest_side / max(height, width)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        photo = encode_jpeg(np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8))
        labels = shrink_labels(labels, size)
    files = {"photo": photo, "semantic": encode_png(labels.semantic), "tables": encode_png(labels.tables)}
    if labels.soft_labels is not None:
        files["belief"] = encode_soft_labels(labels.soft_labels)
    return labels.scope, files
