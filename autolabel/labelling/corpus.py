"""Which photos there are to label: those of a folder, or of a list."""

from __future__ import annotations

import csv
import hashlib
import importlib
import io
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath

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
class Skipped:
    """A path that cannot be labelled.

    Attributes:
        source: where it lies, or the folder or the line of the list that is broken.
        kind: a word or two to group by.
        reason: one line.
        sha256: of the file, where it could be read.
    """

    source: Source
    kind: str
    reason: str
    sha256: str | None = None


@dataclass(frozen=True)
class Corpus:
    """Photos to label.

    Attributes:
        root: the folder, list or photo that was named, absolute.
        photos: in a fixed order: by path, or as in the list.
        skipped: what could not even be looked at.
        passed_over: how many files do not claim to be photos, by suffix.
        left_out: folders that were not searched, since they hold labels.
    """

    root: str
    photos: tuple[Source, ...]
    skipped: tuple[Skipped, ...] = ()
    passed_over: Mapping[str, int] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()

    def shard(self, number: int, count: int) -> Corpus:
        """One of `count` parts that share no photo, told by the photos' names, so that all machines agree.

        Args:
            number: from 1 to `count`.
            count: how many parts.
        """
        return replace(self, photos=tuple(p for p in self.photos if _hash(p.name) % count == number - 1))

    def first(self, limit: int) -> Corpus:
        """At most `limit` photos, the first ones."""
        return replace(self, photos=self.photos[:limit])

    @property
    def notes(self) -> list[str]:
        """What to report of the files and folders that were passed over, a line each."""
        return passed_over_lines(self.passed_over, self.left_out)

    @property
    def paths(self) -> set[str]:
        """All paths, what was skipped included."""
        return {source.path for source in (*self.photos, *(skipped.source for skipped in self.skipped))}


def read_corpus(path: Path) -> Corpus:
    """Lists photos; they are not read.

    Args:
        path: a folder, searched with its subfolders (links are followed, but out of no crawled corpus; what begins
            with a dot and folders that hold a label store are left out); a photo, told by its suffix or its first
            bytes; or a list, whose paths are relative to its folder, or addresses of object storage such as
            `s3://bucket/room.jpg`: `.csv` with a column `path`, `.jsonl` with objects that have a `path`, `.parquet`
            with a column `path`, or, with any other suffix, text with a path a line, where blank lines and those that
            begin with `#` are passed over. Texts are UTF-8 or UTF-16.

    Raises:
        DatasetError: it cannot be read, or there is no photo in it.
        MissingExtraError: the package that reads Parquet, or the storage in which photos lie, is not installed.
    """
    root = os.path.abspath(path)  # noqa: PTH100  (links stay as the user wrote them)
    if path.is_dir():
        corpus = _Listing(root, root).folder()
    elif path.is_file():
        entries = iter([(1, root)]) if _is_photo(path) else _entries(path)
        corpus = _Listing(root, os.path.dirname(root)).listed(entries)  # noqa: PTH120
    else:
        raise DatasetError(f"expected a folder of photos or a list of them at {path}, got no such file or folder")
    if not corpus.photos:
        raise DatasetError(f"expected photos in {path}, got {_what_else(corpus)}")
    _require_packages(corpus)
    return corpus


class _Listing:
    """Collects a corpus; what it holds is named relative to `base`."""

    def __init__(self, root: str, base: str) -> None:
        self._root, self._base, self._corpora = root, base, corpora_around(base)
        self._photos: dict[str, Source] = {}
        self._skipped: list[Skipped] = []

    def folder(self) -> Corpus:
        """The corpus of a folder."""
        found = find_photos(self._base)
        for path, reason in found.unreadable:
            self._skip(path, UNREADABLE, reason)
        for path in found.photos:
            self._add(path)
        return replace(self._corpus(), passed_over=found.passed_over, left_out=found.left_out)

    def listed(self, entries: Iterable[tuple[int, str | None]]) -> Corpus:
        """The corpus of a list: the number of each line and its path, None where the line has none."""
        for line, path in entries:
            if path:
                self._add_entry(line, path)
            else:
                self._skip(f"{self._root}:{line}", BROKEN_ENTRY, "expected a `path` in the line, got none")
        return self._corpus()

    def _corpus(self) -> Corpus:
        return Corpus(self._root, tuple(self._photos.values()), tuple(self._skipped))

    def _add_entry(self, line: int, entry: str) -> None:
        try:
            path = local_path(entry)
        except FetchError as error:
            self._skip(f"{self._root}:{line}", BROKEN_ENTRY, str(error))
        else:
            if is_remote(path):
                self._add_address(path)
            else:
                self._add_entry_path(line, path)

    def _add_address(self, address: str) -> None:
        try:
            require_allowed(address)
        except FetchError as error:
            self._skip(address, UNREADABLE, str(error))
        else:
            self._add(address)

    def _add_entry_path(self, line: int, path: str) -> None:
        # A list may name what lies elsewhere; a relative path of a crawl's manifest does not.
        if "\0" not in path and leaves_corpus(os.path.join(self._base, path), self._corpora):  # noqa: PTH118
            self._skip(_join(self._base, path), UNREADABLE, f"line {line}: {LINK_OUTSIDE}")
        else:
            self._add(_join(self._base, path), f"line {line}: ")

    def _add(self, path: str, line: str = "") -> None:
        if _is_text(path):
            self._photos[path] = self._source(path)
        else:
            self._skip(path, BROKEN_NAME, f"{line}expected a name in UTF-8")

    def _skip(self, path: str, kind: str, reason: str) -> None:
        shown = encodable(without_credentials(path)).replace("\0", "\\0")
        self._skipped.append(Skipped(self._source(shown), kind, reason))

    def _source(self, path: str) -> Source:
        if is_remote(path):
            return Source(path, name_of(path), self._root)
        relative = PurePath(os.path.relpath(path, self._base))
        if ".." in relative.parts:  # a list may name what lies elsewhere
            relative = PurePath(path).relative_to(PurePath(path).anchor)
        return Source(path, os.path.splitext(relative.as_posix())[0], self._root)  # noqa: PTH122


def _is_photo(path: Path) -> bool:
    try:
        with open_regular(path) as file:
            return is_photo_file(path) or is_photo(file.read(_HEAD_BYTES))
    except OSError as error:
        raise DatasetError(f"expected a photo or a list of photos in {path}, got: {error.strerror}") from error


def _entries(path: Path) -> Iterator[tuple[int, str | None]]:
    """The paths of a list, each with the number of its line."""
    suffix = path.suffix.lower()
    try:
        if suffix == ".parquet":
            yield from enumerate(_parquet_paths(path), 1)
            return
        # Bytes that are not UTF-8 are let through here and reported as a broken name.
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
        parquet = importlib.import_module("pyarrow.parquet")
    except ModuleNotFoundError as error:
        raise MissingExtraError("Parquet lists need pyarrow, which is not installed; pip install pyarrow") from error
    try:
        values = parquet.read_table(path, columns=["path"]).column("path").to_pylist()
    except (ValueError, KeyError) as error:  # what pyarrow's errors derive from
        raise DatasetError(f"expected Parquet with a column `path` in {path}, got: {error}".splitlines()[0]) from error
    return [value if isinstance(value, str) else None for value in values]


def _require_packages(corpus: Corpus) -> None:
    """Opens one address of each storage, so that what is not installed is told before anything is done."""
    addresses = {photo.path.partition("://")[0]: photo.path for photo in corpus.photos if is_remote(photo.path)}
    for address in addresses.values():
        try:
            open_remote(address)
        except MissingExtraError:
            raise
        except Exception:  # each photo there will tell
            continue


def _join(folder: str, path: str) -> str:
    return os.path.normpath(os.path.join(folder, path))  # noqa: PTH118


def _is_text(path: str) -> bool:
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return "\0" not in path


def _hash(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")


def _what_else(corpus: Corpus) -> str:
    counts = Counter(skipped.kind for skipped in corpus.skipped)
    if corpus.passed_over:
        counts[f"other kinds of files ({suffix_counts(corpus.passed_over)})"] = sum(corpus.passed_over.values())
    return ", ".join(f"{count} {kind}" for kind, count in counts.items()) or "none"
