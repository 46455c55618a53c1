"""Annotations of a large file by photo, in a temporary SQLite file, so that memory does not grow with their number."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

from distill.sources.base import Source
from surfaces.datasets.reading import ReadOptions
from surfaces.errors import DatasetError, OutputError

_BATCH = 10_000
_TABLES = """
CREATE TABLE photos (number INTEGER PRIMARY KEY, key TEXT UNIQUE NOT NULL, value TEXT NOT NULL);
CREATE TABLE annotations (key TEXT NOT NULL, value TEXT NOT NULL);
CREATE TABLE facts (key TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


class AnnotationIndex:
    """Photos in their order, the annotations of each, and facts of the whole; each value is JSON.

    `build` makes it; a file that was not finished is made anew.
    """

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, check_same_thread=False)

    def close(self) -> None:
        """Closes the file."""
        self._connection.close()

    def __len__(self) -> int:
        (count,) = self._connection.execute("SELECT count(*) FROM photos").fetchone()
        return int(count)

    def photo(self, index: int) -> tuple[str, Any]:
        """The key and the value of the photo at an index."""
        key, value = self._connection.execute("SELECT key, value FROM photos WHERE number = ?", (index + 1,)).fetchone()
        return key, json.loads(value)

    def annotations(self, key: str) -> list[Any]:
        """The annotations of a photo, in the order in which they were added."""
        rows = self._connection.execute("SELECT value FROM annotations WHERE key = ? ORDER BY rowid", (key,))
        return [json.loads(value) for (value,) in rows]

    def fact(self, key: str) -> Any:
        """A fact of the whole; None where there is none."""
        row = self._connection.execute("SELECT value FROM facts WHERE key = ?", (key,)).fetchone()
        return None if row is None else json.loads(row[0])


class IndexedSource(Source):
    """A source whose annotations are read once, into an index.

    Args:
        root: the folder that its files may not leave.
        options: whether links may.
        index: the index's file; one that is there is used again.
        build: writes the index at a path.
    """

    def __init__(self, root: Path, options: ReadOptions, index: Path, build: Callable[[Path], None]) -> None:
        super().__init__(root, options)
        if not index.is_file():
            build(index)
        self._index = AnnotationIndex(index)

    def __len__(self) -> int:
        return len(self._index)

    def close(self) -> None:
        """Closes the index."""
        self._index.close()


def build_index(
    path: Path, photos: Iterable[tuple[str, Any]], annotations: Iterable[tuple[str, Any]], facts: Mapping[str, Any]
) -> None:
    """Writes an index; the file appears when it is whole.

    Args:
        path: of the file.
        photos: key and value of each, in their order.
        annotations: the photo's key and a value.
        facts: of the whole; read after the others.

    Raises:
        DatasetError: two photos have the same key.
        OutputError: it cannot be written.
    """
    partial = path.with_name(f"{path.name}.unfinished")
    partial.unlink(missing_ok=True)
    try:
        with closing(sqlite3.connect(partial)) as connection:
            connection.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;" + _TABLES)
            _insert(connection, "INSERT INTO photos (key, value) VALUES (?, ?)", photos)
            _insert(connection, "INSERT INTO annotations VALUES (?, ?)", annotations)
            connection.execute("CREATE INDEX of_photo ON annotations (key)")
            _insert(connection, "INSERT INTO facts VALUES (?, ?)", facts.items())
            connection.commit()
        partial.replace(path)
    except sqlite3.IntegrityError as error:
        raise DatasetError("expected one photo an id, got several") from error
    except (OSError, sqlite3.Error) as error:
        raise OutputError(f"could not write {path}: {error}") from error


def _insert(connection: sqlite3.Connection, statement: str, rows: Iterable[tuple[str, Any]]) -> None:
    encoded: Iterator[tuple[str, str]] = ((key, json.dumps(value)) for key, value in rows)
    while batch := list(islice(encoded, _BATCH)):
        connection.executemany(statement, batch)
