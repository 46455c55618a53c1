"""The photos of a corpus: those of a folder or a list."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath

from surfaces.datasets.sample import ALL_LABELLED, LabelScope
from surfaces.errors import DatasetError, FetchError, MissingExtraError
from surfaces.io.local_files import LIST_BYTES_MAX, open_regular, read_bytes
from surfaces.io.photo_lists import (
    LINK_OUTSIDE,
    corpora_around,
    find_photos,
    is_photo,
    is_photo_file,
    leaves_corpus,
    list_lines,
    list_text,
    passed_over_lines,
    suffix_counts,
)
from surfaces.io.storage import is_remote, local_path, name_of, open_remote, require_allowed
from surfaces.messages import encodable, without_credentials
from surfaces.store.label_store import Source

UNREADABLE = "unreadable"
BROKEN_NAME = "broken name"
BROKEN_ENTRY = "broken entry"

_HEAD_BYTES = 512


@dataclass(frozen=True)
class Failure:
    """Why a photo cannot be labelled.

    Attributes:
        source: of the photo, the unreadable folder, or the broken line of a list.
        kind: a word or two to group by.
        reason: one line.
        sha256: of the photo's bytes, if they could be read.
    """

    source: Source
    kind: str
    reason: str
    sha256: str | None = None


@dataclass(frozen=True)
class Corpus:
    """Photos to label.

    Attributes:
        root: the given folder, list or photo, absolute.
        photos: sorted by path, or as in the list.
        skipped: photos, folders and lines that cannot be read.
        passed_over: number of files that are no photos, by suffix.
        left_out: folders that were not searched, since they hold labels.
        scopes: what is known of photos as a whole, by path (`autolabel.labelling.image_labels`).
    """

    root: str
    photos: tuple[Source, ...]
    skipped: tuple[Failure, ...] = ()
    passed_over: Mapping[str, int] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    scopes: Mapping[str, LabelScope] = field(default_factory=dict)

    def scope(self, source: Source) -> LabelScope:
        """What is known of a photo as a whole."""
        return self.scopes.get(source.path, ALL_LABELLED)

    def shard(self, number: int, count: int) -> Corpus:
        """Part `number` (from 1) of `count`, divided by the photos' names, so that all machines agree."""

        def part_of(photo: Source) -> int:
            return int.from_bytes(hashlib.sha256(photo.name.encode()).digest()[:8], "big") % count + 1

        return replace(self, photos=tuple(photo for photo in self.photos if part_of(photo) == number))

    @property
    def notes(self) -> list[str]:
        """Lines to report about the files and folders that were passed over."""
        return passed_over_lines(self.passed_over, self.left_out)

    @property
    def paths(self) -> set[str]:
        """All paths, skipped ones included."""
        return {source.path for source in (*self.photos, *(failure.source for failure in self.skipped))}


def read_corpus(path: Path) -> Corpus:
    """Lists photos without reading them.

    Args:
        path: a folder, searched with its subfolders (links are followed, but not out of a crawled corpus; hidden files
            and folders with a label store are left out); a photo, recognized by its suffix or first bytes; or a list
            of paths, relative to its folder, and URLs of object storage such as `s3://bucket/room.jpg`: `.csv` with a
            column `path`, `.jsonl` with objects that have a `path`, `.parquet` with a column `path`, or with any other
            suffix a text with one path per line, without blank lines and those that begin with `#`. Texts are UTF-8 or
            UTF-16.

    Raises:
        DatasetError: it cannot be read, or has no photos.
        MissingExtraError: the package for Parquet or for the photos' storage is not installed.
    """
    root = os.path.abspath(path)  # noqa: PTH100  (links stay as the user wrote them)
    if path.is_dir():
        corpus = _Listing(root, root).read_folder()
    elif path.is_file():
        entries = [(1, root)] if _is_photo(path) else _read_entries(path)
        corpus = _Listing(root, os.path.dirname(root)).read_list(entries)  # noqa: PTH120
    else:
        raise DatasetError(f"expected a folder of photos or a list of them at {path}, got no such file or folder")
    if not corpus.photos:
        counts = Counter(failure.kind for failure in corpus.skipped)
        if corpus.passed_over:
            counts[f"other kinds of files ({suffix_counts(corpus.passed_over)})"] = sum(corpus.passed_over.values())
        found = ", ".join(f"{count} {kind}" for kind, count in counts.items()) or "none"
        raise DatasetError(f"expected photos in {path}, got {found}")
    _require_packages(corpus)
    return corpus


class _Listing:
    """Collects a corpus; names are relative to `base`."""

    def __init__(self, root: str, base: str) -> None:
        self._root, self._base, self._corpora = root, base, corpora_around(base)
        self._photos: dict[str, Source] = {}
        self._skipped: list[Failure] = []

    def read_folder(self) -> Corpus:
        found = find_photos(self._base)
        for path, reason in found.unreadable:
            self._skip(path, UNREADABLE, reason)
        for path in found.photos:
            self._add(path)
        return self._corpus(found.passed_over, found.left_out)

    def read_list(self, entries: Iterable[tuple[int, str | None]]) -> Corpus:
        for line, entry in entries:
            try:
                if not entry:
                    raise FetchError("expected a `path` in the line, got none")
                path = local_path(entry)
            except FetchError as error:
                self._skip(f"{self._root}:{line}", BROKEN_ENTRY, str(error))
            else:
                self._add_entry(line, path)
        return self._corpus({}, ())

    def _corpus(self, passed_over: Mapping[str, int], left_out: tuple[str, ...]) -> Corpus:
        return Corpus(self._root, tuple(self._photos.values()), tuple(self._skipped), passed_over, left_out)

    def _add_entry(self, line: int, path: str) -> None:
        if is_remote(path):
            try:
                require_allowed(path)
                self._add(path)
            except FetchError as error:
                self._skip(path, UNREADABLE, str(error))
            return
        joined = os.path.join(self._base, path)  # noqa: PTH118
        # A list may name files anywhere; a relative path in the manifest of a crawl may not leave its corpus.
        if "\0" not in path and leaves_corpus(joined, self._corpora):
            self._skip(os.path.normpath(joined), UNREADABLE, f"line {line}: {LINK_OUTSIDE}")
        else:
            self._add(os.path.normpath(joined), f"line {line}: ")

    def _add(self, path: str, line: str = "") -> None:
        if encodable(path) == path and "\0" not in path:
            self._photos[path] = self._source(path)
        else:
            self._skip(path, BROKEN_NAME, f"{line}expected a name in UTF-8")

    def _skip(self, path: str, kind: str, reason: str) -> None:
        shown = encodable(without_credentials(path)).replace("\0", "\\0")
        self._skipped.append(Failure(self._source(shown), kind, reason))

    def _source(self, path: str) -> Source:
        if is_remote(path):
            return Source(path, name_of(path), self._root)
        relative = PurePath(os.path.relpath(path, self._base))
        if ".." in relative.parts:
            relative = PurePath(path).relative_to(PurePath(path).anchor)
        return Source(path, os.path.splitext(relative.as_posix())[0], self._root)  # noqa: PTH122


def _is_photo(path: Path) -> bool:
    try:
        with open_regular(path) as file:
            return is_photo_file(path) or is_photo(file.read(_HEAD_BYTES))
    except OSError as error:
        raise DatasetError(f"expected a photo or a list of photos in {path}, got: {error.strerror}") from error


def _read_entries(path: Path) -> Iterator[tuple[int, str | None]]:
    """The paths of a list with their line numbers."""
    suffix = path.suffix.lower()
    try:
        if suffix == ".parquet":
            yield from enumerate(_parquet_paths(path), 1)
            return
        # Bytes that are not UTF-8 pass here and are reported as a broken name.
        text = list_text(read_bytes(path, LIST_BYTES_MAX))
        if suffix == ".csv":
            yield from _csv_paths(io.StringIO(text, newline=""))
        elif suffix == ".jsonl":
            lines = enumerate(io.StringIO(text, newline=""), 1)
            yield from ((number, _json_path(line)) for number, line in lines if line.strip())
        else:
            yield from list_lines(text)
    except (OSError, ValueError, csv.Error) as error:
        raise DatasetError(f"expected a list of photos in {path}, got: {error}") from error


def _csv_paths(file: Iterable[str]) -> Iterator[tuple[int, str | None]]:
    rows = csv.DictReader(file)
    if "path" not in (rows.fieldnames or ()):
        raise csv.Error(f"no column `path` among {', '.join(rows.fieldnames or ()) or 'none'}")
    yield from ((rows.line_num, row["path"]) for row in rows)


def _json_path(line: str) -> str | None:
    try:
        path = json.loads(line)["path"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return path if isinstance(path, str) else None


def _parquet_paths(path: Path) -> list[str | None]:
    try:
        from pyarrow import parquet
    except ModuleNotFoundError as error:
        raise MissingExtraError("Parquet lists need pyarrow, which is not installed; pip install pyarrow") from error
    try:
        values = parquet.read_table(path, columns=["path"]).column("path").to_pylist()
    except (ValueError, KeyError) as error:  # base classes of pyarrow's errors
        raise DatasetError(f"expected Parquet with a column `path` in {path}, got: {error}".splitlines()[0]) from error
    return [value if isinstance(value, str) else None for value in values]


def _require_packages(corpus: Corpus) -> None:
    """Opens one URL of each storage: a missing package is reported before the run begins."""
    urls = {photo.path.partition("://")[0]: photo.path for photo in corpus.photos if is_remote(photo.path)}
    for url in urls.values():
        try:
            open_remote(url)
        except MissingExtraError:
            raise
        except Exception:  # each photo there will report it
            continue
