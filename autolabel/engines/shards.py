"""Shards: fixed slices of a corpus, each a Parquet file of its photos' labels and failures, masks as RLE counts.

A shard's file names the settings and the paths that it is for, so that a file of another run is never taken for it.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import pyarrow
from pyarrow import parquet

from autolabel.labelling.corpus import Corpus, Failure
from surfaces.datasets.sample import ALL_LABELLED, LabelScope
from surfaces.errors import DatasetError, FetchError
from surfaces.io.storage import find_files, read_bytes, remove_file, write_bytes
from surfaces.messages import without_credentials
from surfaces.store.packed import PackedLabels, PackedSegment, pack_labels
from surfaces.store.records import LabelSettings, ScoredLabels, Source

SHARDS = "shards"
"""The folder in a dataset's where they are, unless another is named."""

_BYTES_MAX = 2**31
_DAMAGED = "damaged"
_HEADER = b"shard"

_SCOPE = ("absent", "present")
_SEGMENT = pyarrow.struct(
    [
        ("class_name", pyarrow.string()),
        *((name, pyarrow.float64()) for name in ("score", "x0", "y0", "x1", "y1")),
        ("area", pyarrow.int64()),
        *((name, pyarrow.string()) for name in ("quality_scores", "mask")),
    ]
)
_SCHEMA = pyarrow.schema(
    [
        *((name, pyarrow.string()) for name in ("path", "name", "corpus", "sha256", "kind", "reason")),
        *((name, pyarrow.int32()) for name in ("width", "height")),
        *((name, pyarrow.string()) for name in ("quality_scores", "ignore_mask")),
        ("soft_labels", pyarrow.binary()),
        ("segments", pyarrow.list_(_SEGMENT)),
        *((name, pyarrow.list_(pyarrow.int32())) for name in _SCOPE),
    ]
)
_LABEL_FIELDS = tuple(each.name for each in fields(PackedLabels) if each.name != "scope")


@dataclass(frozen=True)
class Shard:
    """A slice of a corpus: its number, from 0, its photos, and what is known of them as a whole, by path."""

    number: int
    photos: tuple[Source, ...]
    scopes: Mapping[str, LabelScope] = field(default_factory=dict)

    def scope(self, photo: Source) -> LabelScope:
        """What is known of a photo as a whole."""
        return self.scopes.get(photo.path, ALL_LABELLED)

    def header(self, settings: str) -> dict[str, str]:
        """What its file is for; `settings` is a fingerprint."""
        scopes = [_class_lists(self.scope(photo)) for photo in self.photos]
        listed = json.dumps([[vars(photo) for photo in self.photos], scopes])
        return {"settings": settings, "photos": hashlib.sha256(listed.encode("utf-8", "surrogatepass")).hexdigest()}


def split_corpus(corpus: Corpus, size: int) -> list[Shard]:
    """The shards of a corpus, `size` photos each, in its order."""
    parts = [corpus.photos[start : start + size] for start in range(0, len(corpus.photos), size)]
    return [
        Shard(number, part, {photo.path: corpus.scopes[photo.path] for photo in part if photo.path in corpus.scopes})
        for number, part in enumerate(parts)
    ]


@dataclass(frozen=True)
class LabelledPhoto:
    """A path with its labels, which photos of equal bytes share; None where the dataset's store already has them."""

    source: Source
    sha256: str
    labels: PackedLabels | None


ShardRow = LabelledPhoto | Failure


class ShardSink:
    """Collects a shard's rows as `label_corpus` finds them; methods as of `LabelStore`.

    Args:
        settings: of the labels.
        known: photos with labels for the shard's scopes, which are kept where the photo's bytes are the same.
        forgotten: the sha256 of photos that were removed for good; they get no row.
    """

    def __init__(
        self, settings: LabelSettings, known: Iterable[LabelledPhoto] = (), forgotten: frozenset[str] = frozenset()
    ) -> None:
        self._settings, self._forgotten = settings, forgotten
        self._labels: dict[str, PackedLabels | None] = {}
        self._known: set[tuple[Source, str]] = set()
        for photo in known:
            self._labels[photo.sha256] = photo.labels or self._labels.get(photo.sha256)
            self._known.add((photo.source, photo.sha256))
        self.rows: list[ShardRow] = []

    def settings_in_use(self) -> LabelSettings:
        """The settings of the labels."""
        return self._settings

    def is_labelled(self, sha256: str, settings: str, *_: object) -> bool:
        """Whether a photo has labels; those of its first path in the shard serve its other paths."""
        return settings == self._settings.fingerprint and sha256 in self._labels

    def is_forgotten(self, sha256: str) -> bool:
        """Whether a photo was removed for good."""
        return sha256 in self._forgotten

    def has_source(self, source: Source, sha256: str) -> bool:
        """Whether the earlier run labelled these bytes at this path."""
        return (source, sha256) in self._known

    def add(self, source: Source, sha256: str, labels: ScoredLabels, settings: str) -> bool:
        """Adds a photo."""
        new = not self.is_labelled(sha256, settings)
        if new:
            self._labels[sha256] = pack_labels(labels)
        self.add_source(source, sha256)
        return new

    def add_source(self, source: Source, sha256: str) -> None:
        """Adds another path of a photo."""
        self.rows.append(LabelledPhoto(source, sha256, self._labels[sha256]))

    def add_failure(self, source: Source, kind: str, reason: str, sha256: str | None = None) -> None:
        """Adds a path that was not labelled."""
        self.rows.append(Failure(source, kind, reason, sha256))


class ShardFolder:
    """The files of one run's shards, in a folder or at an address of object storage.

    Each is written whole or not at all: renamed into place in a folder, one request in object storage.
    """

    def __init__(self, place: str, settings: str) -> None:
        self.place = f"{place.rstrip('/')}/{settings[:16]}"
        self._settings = settings

    def path(self, shard: Shard) -> str:
        """Path or address of a shard's file; others of its number have other photos, and so other names."""
        return f"{self.place}/{shard.number:07d}-{shard.header(self._settings)['photos'][:12]}.parquet"

    def prepare(self, settings: LabelSettings) -> None:
        """Writes `settings.json`, which shows whether files can be written. Raises OutputError, MissingExtraError."""
        write_bytes(f"{self.place}/settings.json", json.dumps(asdict(settings), indent=1, sort_keys=True).encode())

    def remove(self, shard: Shard) -> None:
        """Removes a shard's file. Raises OutputError."""
        remove_file(self.path(shard))

    def write(self, shard: Shard, rows: Sequence[ShardRow]) -> None:
        """Writes a shard's file, in the order of its photos. Raises OutputError."""
        order = {photo: number for number, photo in enumerate(shard.photos)}
        values = [_values(row) for row in sorted(rows, key=lambda row: order[row.source])]
        header = {_HEADER: json.dumps(shard.header(self._settings))}
        buffer = io.BytesIO()
        table = pyarrow.Table.from_pylist(values, _SCHEMA.with_metadata(header))
        parquet.write_table(table, buffer, compression="zstd", write_page_checksum=True)
        write_bytes(self.path(shard), buffer.getvalue())

    def read(self, shard: Shard) -> list[ShardRow] | None:
        """A shard's rows in the order of its photos; None where its file is absent, or for other photos or settings.

        A photo without a row was removed for good.

        Raises:
            DatasetError: the file is damaged.
        """
        path = self.path(shard)
        try:
            data = read_bytes(path, _BYTES_MAX)
        except FetchError:
            return None
        try:
            table = parquet.read_table(io.BytesIO(data), page_checksum_verification=True)
            header = json.loads((table.schema.metadata or {}).get(_HEADER, b"null"))
            if table.schema.remove_metadata() != _SCHEMA:
                raise ValueError("other columns")
            if header != shard.header(self._settings):
                return None
            rows = list(_rows(table.to_pylist(), shard))
        except (OSError, ValueError, KeyError, TypeError) as error:  # pyarrow's errors are of these classes
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise DatasetError(
                f"expected a shard in {without_credentials(path)}, got a damaged file: {reason}"
            ) from error
        return rows


def forget_in_shards(place: str, photos: Collection[str]) -> int:
    """Removes the files of shards, of any run, that hold a photo, given by its sha256, or cannot be read.

    The next run labels the other photos of these shards again.

    Returns:
        The number of removed files.

    Raises:
        FetchError: the place cannot be searched.
        OutputError: a file cannot be removed.
        MissingExtraError: the storage needs another package.
    """
    found = [path for path in find_files(place, "*/*.parquet") if not _photos_in(path).isdisjoint({*photos, _DAMAGED})]
    for path in found:
        remove_file(path)
    return len(found)


def _photos_in(path: str) -> set[str]:
    """The sha256 in a shard's file, `_DAMAGED` where it cannot be read."""
    try:
        table = parquet.read_table(io.BytesIO(read_bytes(path, _BYTES_MAX)), columns=["sha256"])
        return set(table.column("sha256").to_pylist())
    except (OSError, ValueError, KeyError):  # pyarrow's errors are of these classes
        return {_DAMAGED}


def _values(row: ShardRow) -> Mapping[str, object]:
    source = {**vars(row.source), "sha256": row.sha256}
    if isinstance(row, Failure):
        return source | {"kind": row.kind, "reason": row.reason}
    if row.labels is None:
        return source
    labels = {name: getattr(row.labels, name) for name in _LABEL_FIELDS}
    segments = [vars(segment) for segment in row.labels.segments]
    return {**source, **labels, **_class_lists(row.labels.scope), "segments": segments}


def _class_lists(scope: LabelScope) -> dict[str, list[int]]:
    return {name: sorted(getattr(scope, name)) for name in _SCOPE}


def _rows(values: Sequence[Mapping[str, Any]], shard: Shard) -> Iterator[ShardRow]:
    places = {photo.path: number for number, photo in enumerate(shard.photos)}
    order = [places[row["path"]] for row in values]
    if order != sorted(set(order)):
        raise ValueError("rows out of order")
    for row, number in zip(values, order, strict=True):
        source = shard.photos[number]
        if row["kind"] is not None:
            yield Failure(source, row["kind"], row["reason"], row["sha256"])
            continue
        if row["sha256"] is None:
            raise ValueError(f"no sha256 in the row of {row['path']}")
        yield LabelledPhoto(source, row["sha256"], None if row["segments"] is None else _labels(row))


def _labels(row: Mapping[str, Any]) -> PackedLabels:
    labels = {name: row[name] for name in _LABEL_FIELDS}
    if any(value is None for name, value in labels.items() if name != "soft_labels"):
        raise ValueError(f"incomplete labels in the row of {row['path']}")
    scope = LabelScope(**{name: frozenset(row[name]) for name in _SCOPE})
    return PackedLabels(**labels | {"segments": tuple(PackedSegment(**each) for each in row["segments"])}, scope=scope)
