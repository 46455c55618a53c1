"""Datasets as Parquet files: photos in a folder, label maps in rows, for as many photos as a disk holds.

A folder of `photos/` and `labels-00000.parquet`, `labels-00001.parquet`, …: one row per photo, label maps as PNG files
as in packed datasets (`surfaces.datasets.packed`). Opening reads the columns of names alone.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, islice
from pathlib import Path
from typing import Any

import numpy as np

from surfaces.classes import BY_ID, BY_NAME
from surfaces.datasets.codec import decode_image, decode_map, decode_soft_labels, encode_soft_labels, read_photo
from surfaces.datasets.reading import FOLLOW_LINKS
from surfaces.datasets.sample import Labels, LabelScope, Sample, require_unique
from surfaces.detections import Image
from surfaces.errors import DatasetError, MissingExtraError
from surfaces.images.encode import encode_png
from surfaces.io.atomic_files import replacing
from surfaces.io.local_files import relative_path, require_inside
from surfaces.messages import brief

PATTERN = "labels-*.parquet"
PHOTOS = "photos"

_SCOPE = ("unlabelled", "absent", "present")
_TEXTS = ("split", "room", "source", "licence", "author", "url")
_ROWS_PER_GROUP = 256
_GROUPS_HELD = 16
_NAME = re.compile(r"labels-\d{5,}\.parquet")


@dataclass(frozen=True)
class Provenance:
    """Where a photo comes from; empty texts where that is not known.

    Attributes:
        split: of its dataset, such as `train`.
        room: as the dataset calls it, such as `bathroom`.
        source: the dataset's name.
        licence, author, url: of the photo.
    """

    split: str = ""
    room: str = ""
    source: str = ""
    licence: str = ""
    author: str = ""
    url: str = ""


NO_PROVENANCE = Provenance()


@dataclass(frozen=True, eq=False)
class ParquetRow:
    """A photo and its labels, to be written.

    Attributes:
        name: unique within the dataset.
        photo: its file, relative to the dataset's folder.
    """

    name: str
    photo: str
    labels: Labels
    provenance: Provenance = NO_PROVENANCE


@dataclass(frozen=True)
class ParquetSample:
    """A row of a file: the photo's path relative to the folder, and the row's number within the file."""

    name: str
    photo: str
    file: Path
    row: int
    rows: RowReader

    def image(self) -> Image:
        """The photo, uint8 HxWx3 RGB."""
        return decode_image(self.encoded_image(), self.photo)

    def encoded_image(self) -> bytes:
        """The photo's file, byte for byte."""
        path = self.rows.folder / relative_path(self.photo)
        return read_photo(path if self.rows.follow_links else require_inside(self.rows.folder, path, FOLLOW_LINKS))

    def labels(self) -> Labels:
        """Its labels, of the photo's size."""
        values = self.rows.read(self.file, self.row, self.name)
        source = f"the labels of {self.name} in {self.file}"
        semantic = decode_map(values["semantic"], source)
        tables = decode_map(values["tables"], source) if values["tables"] else np.zeros_like(semantic)
        soft = decode_soft_labels(values["soft_labels"], source) if values["soft_labels"] else None
        return Labels(semantic, tables, soft, LabelScope(*(_class_ids(values[key], source) for key in _SCOPE)))

    def provenance(self) -> Provenance:
        """Where the photo comes from."""
        values = self.rows.read(self.file, self.row, self.name)
        return Provenance(**{key: values[key] or "" for key in _TEXTS})


class RowReader:
    """Reads rows of a folder's files; the groups of rows that were read last are held."""

    def __init__(self, folder: Path, follow_links: bool = False) -> None:
        self.folder = folder
        self.follow_links = follow_links
        self._group: Callable[[Path, int], list[dict[str, Any]]] = lru_cache(_GROUPS_HELD)(_read_group)
        self._starts: Callable[[Path], list[int]] = lru_cache(None)(_group_starts)

    def __reduce__(self) -> tuple[type[RowReader], tuple[Path, bool]]:
        return RowReader, (self.folder, self.follow_links)

    def read(self, file: Path, row: int, name: str) -> dict[str, Any]:
        """The values of a row by column. Raises DatasetError where the file was replaced since it was opened."""
        starts = self._starts(file)
        group = bisect_right(starts, row) - 1
        rows = self._group(file, group)
        values = rows[row - starts[group]] if row - starts[group] < len(rows) else {}
        if values.get("name") != name:
            raise DatasetError(f"expected {name} at row {row} of {file}, got another photo: the file was replaced")
        return values


def is_parquet_dataset(folder: Path) -> bool:
    """Whether a folder has label files of this form."""
    return any(_NAME.fullmatch(path.name) for path in folder.glob(PATTERN))


def open_parquet(folder: Path, follow_links: bool = False) -> list[Sample]:
    """The samples of a folder, file by file in the order of their names.

    Args:
        folder: of the label files and the photos.
        follow_links: whether files may be links that leave the folder.

    Raises:
        DatasetError: a file is not of this form, or two samples share a name.
        MissingExtraError: pyarrow is not installed.
    """
    rows = RowReader(folder, follow_links)
    samples: list[Sample] = []
    for file in sorted(path for path in folder.glob(PATTERN) if _NAME.fullmatch(path.name)):
        if not follow_links:
            require_inside(folder, file, FOLLOW_LINKS)
        names, photos = _read_names(file)
        samples += [
            ParquetSample(name, photo, file, row, rows)
            for row, (name, photo) in enumerate(zip(names, photos, strict=True))
        ]
    require_unique(sample.name for sample in samples)
    return samples


def write_labels(file: Path, rows: Iterable[ParquetRow]) -> int:
    """Writes a file of rows atomically, a group at a time; returns their number. Raises OutputError."""
    arrow, parquet = _pyarrow()
    schema = _schema(arrow)
    count = 0
    remaining = iter(rows)
    with replacing(file) as target, parquet.ParquetWriter(target, schema, compression="zstd") as writer:
        while group := [_values(row) for row in islice(remaining, _ROWS_PER_GROUP)]:
            writer.write_table(arrow.Table.from_pylist(group, schema), row_group_size=_ROWS_PER_GROUP)
            count += len(group)
    return count


def _values(row: ParquetRow) -> Mapping[str, object]:
    labels, scope = row.labels, row.labels.scope
    tables = encode_png(labels.tables) if labels.tables.any() else None
    return {
        "name": row.name,
        "photo": row.photo,
        "height": labels.size_hw[0],
        "width": labels.size_hw[1],
        "semantic": encode_png(labels.semantic),
        "tables": tables,
        "soft_labels": None if labels.soft_labels is None else encode_soft_labels(labels.soft_labels),
        **{key: [BY_ID[class_id].name for class_id in sorted(getattr(scope, key))] for key in _SCOPE},
        **{key: getattr(row.provenance, key) for key in _TEXTS},
    }


def _schema(arrow: Any) -> Any:
    return arrow.schema(
        [
            *((name, arrow.string()) for name in ("name", "photo")),
            *((name, arrow.int32()) for name in ("height", "width")),
            *((name, arrow.binary()) for name in ("semantic", "tables", "soft_labels")),
            *((name, arrow.list_(arrow.string())) for name in _SCOPE),
            *((name, arrow.string()) for name in _TEXTS),
        ]
    )


def _read_names(file: Path) -> tuple[Sequence[str], Sequence[str]]:
    arrow, parquet = _pyarrow()
    try:
        table = parquet.read_table(file, columns=["name", "photo"])
        names, photos = (table[column].to_pylist() for column in ("name", "photo"))
        if None in names or None in photos:
            raise ValueError("a row without a name or a photo")
        if _schema(arrow) != parquet.read_schema(file).remove_metadata():
            raise ValueError("other columns")
    except (OSError, ValueError, KeyError) as error:
        raise _unreadable(file, error) from error
    return names, photos


def _read_group(file: Path, group: int) -> list[dict[str, Any]]:
    _, parquet = _pyarrow()
    try:
        rows: list[dict[str, Any]] = parquet.ParquetFile(file).read_row_group(group).to_pylist()
    except (OSError, ValueError, IndexError) as error:
        raise _unreadable(file, error) from error
    return rows


def _group_starts(file: Path) -> list[int]:
    """The first row of each group of a file's rows."""
    _, parquet = _pyarrow()
    try:
        metadata = parquet.read_metadata(file)
    except (OSError, ValueError) as error:
        raise _unreadable(file, error) from error
    counts = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
    return [0, *accumulate(counts)][: max(len(counts), 1)]


def _unreadable(file: Path, error: Exception) -> DatasetError:
    return DatasetError(f"expected a dataset's labels in {file}, got: {str(error).splitlines()[0]}")


def _class_ids(names: Iterable[str], source: str) -> frozenset[int]:
    for name in names:
        if name not in BY_NAME:
            raise DatasetError(f"expected classes out of {', '.join(BY_NAME)} in {source}, got {brief(name)}")
    return frozenset(BY_NAME[name].coco_id for name in names)


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            "Parquet datasets need pyarrow, which is not installed; pip install 'interior-surfaces[data]'"
        ) from error
    return pyarrow, parquet
