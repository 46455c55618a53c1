"""SQLite files: tables, transactions, and one-line errors.

A write-ahead log needs shared memory that network disks lack, so there is a rollback journal. The next process rolls an
unfinished transaction back. `synchronous=FULL` also survives a power cut, for some milliseconds per photo. Truncating
the journal after each transaction is several times faster than removing it.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from surfaces.errors import DatasetError, OutputError
from surfaces.io.atomic_files import is_plain_file
from surfaces.io.local_files import require_inside

_SAFETY = ("trusted_schema = OFF", "cell_size_check = ON")  # the file is untrusted
_JOURNAL_MAGIC = bytes.fromhex("d9d505f920a163d7")  # at a journal's end: it names a super-journal
_BUSY_SECONDS = 60.0  # longest wait for the transactions of other processes

_TABLES = """
CREATE TABLE settings (
    fingerprint TEXT PRIMARY KEY,
    teacher     TEXT NOT NULL,
    details     TEXT NOT NULL,              -- JSON
    in_use      INTEGER NOT NULL            -- 1 for those of further runs
) WITHOUT ROWID;
CREATE TABLE photos (
    sha256    TEXT PRIMARY KEY,
    width     INTEGER NOT NULL,
    height    INTEGER NOT NULL,
    origin    TEXT NOT NULL CHECK (origin IN ('auto', 'reviewed')),
    reviewer  TEXT NOT NULL,
    settings  TEXT NOT NULL REFERENCES settings,
    qualities TEXT NOT NULL,                -- JSON
    unsure    TEXT NOT NULL,                -- RLE counts, as all masks
    belief    BLOB                          -- PNG, a channel a class; of teachers that have one
);
CREATE TABLE segments (
    sha256    TEXT NOT NULL REFERENCES photos,
    number    INTEGER NOT NULL,
    class     TEXT NOT NULL,
    score     REAL NOT NULL,
    x0 REAL NOT NULL, y0 REAL NOT NULL, x1 REAL NOT NULL, y1 REAL NOT NULL,
    area      INTEGER NOT NULL,
    qualities TEXT NOT NULL,
    mask      TEXT NOT NULL,
    PRIMARY KEY (sha256, number)
);
CREATE TABLE sources (
    path   TEXT PRIMARY KEY,
    name   TEXT NOT NULL,
    corpus TEXT NOT NULL,
    sha256 TEXT NOT NULL REFERENCES photos
) WITHOUT ROWID;
CREATE INDEX sources_of_photo ON sources (sha256, path, name);
CREATE TABLE failures (
    path   TEXT PRIMARY KEY,
    corpus TEXT NOT NULL,
    kind   TEXT NOT NULL,
    reason TEXT NOT NULL
) WITHOUT ROWID;
"""

Row = tuple[Any, ...]


class Database:
    """A connection to a file, for the thread that opened it.

    The constants are those of a label store; subclasses for other files have their own.
    """

    VERSION = 1
    TABLES = _TABLES
    SETTINGS: tuple[str, ...] = ("journal_mode = TRUNCATE", "synchronous = FULL", "foreign_keys = ON")
    HOLDS = "labels"
    IS = "a store of labels"

    def __init__(self, path: Path, create: bool, in_memory: bool = False) -> None:
        """Opens the file; `create` creates it, with empty tables, where absent.

        Raises DatasetError where there is no file, it is none of this kind and version, or it or its journal leads out
        of its folder; OutputError where it cannot be created.
        """
        self.path = path
        if not in_memory:
            _require_harmless(path)
        with self._errors_reported():
            mode = "memory" if in_memory else "rwc" if create else "rw"
            uri = f"{path.absolute().as_uri()}?mode={mode}"
            self._connection = sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS, isolation_level=None)
        try:
            self._prepare(create)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Closes the file, and removes the empty journal."""
        if self._connection.total_changes:
            with suppress(sqlite3.Error):
                self._connection.execute("PRAGMA journal_mode = DELETE")
        self._connection.close()

    def rows(self, sql: str, *values: object) -> list[Row]:
        """All rows of a query; reading them lazily would block writers."""
        with self._errors_reported():
            return self._connection.execute(sql, values).fetchall()

    def run(self, sql: str, *values: object) -> int:
        """Runs one statement; returns the number of changed rows."""
        with self._errors_reported():
            return self._connection.execute(sql, values).rowcount

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commits the statements of the block, or rolls them back on an exception; an inner block joins the outer."""
        if self._connection.in_transaction:
            yield
            return
        self.run("BEGIN IMMEDIATE")
        try:
            yield
            self.run("COMMIT")
        except BaseException:
            # SQLite has already rolled back after some errors, such as a full disk.
            if self._connection.in_transaction:
                self.run("ROLLBACK")
            raise

    @contextmanager
    def attached(self, path: Path) -> Iterator[None]:
        """Attaches another store within the block; its tables are `other.TABLE`."""
        _require_harmless(path)
        self.run("ATTACH DATABASE ? AS other", f"{path.absolute().as_uri()}?mode=rw")
        try:
            self._require_plain("other", path)
            yield
        finally:
            self.run("DETACH DATABASE other")

    def _prepare(self, create: bool) -> None:
        for setting in (*_SAFETY, *self.SETTINGS):
            self.run(f"PRAGMA {setting}")
        if create and self._version() == 0:
            with self.transaction():
                # Else it is another program's, or another process was quicker.
                if self._version() == 0 and not self.rows("SELECT 1 FROM sqlite_master LIMIT 1"):
                    for statement in filter(str.strip, self.TABLES.split(";\n")):
                        self.run(statement)
                    self.run(f"PRAGMA user_version = {self.VERSION}")
        if self._version() != self.VERSION:
            expected = f"{self.HOLDS} of version {self.VERSION}"
            raise DatasetError(f"expected {expected} in {self.path}, got {self._version()}")
        self._require_plain("main", self.path)

    def _require_plain(self, schema: str, path: Path) -> None:
        """Refuses views, triggers, virtual tables and generated columns, which run code of the file."""
        found = self.rows(
            f"SELECT type, name FROM {schema}.sqlite_master WHERE type IN ('view', 'trigger')"
            " OR sql LIKE 'create virtual%' OR sql LIKE '%generated always%' LIMIT 1"
        )
        if found:
            raise DatasetError(f"expected {self.IS} of plain tables in {path}, got {found[0][0]} {found[0][1]!r}")

    def _version(self) -> int:
        return int(self.rows("PRAGMA user_version")[0][0])

    @contextmanager
    def _errors_reported(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.ProgrammingError, sqlite3.IntegrityError):
            raise
        except UnicodeDecodeError as error:  # SQLite's message quotes the file
            raise DatasetError(f"expected {self.IS} in {self.path}, got a damaged one: {error}") from error
        except sqlite3.DatabaseError as error:
            # The error has no name where a text is not UTF-8.
            if getattr(error, "sqlite_errorname", "SQLITE_CORRUPT") in ("SQLITE_NOTADB", "SQLITE_CORRUPT"):
                raise DatasetError(f"expected {self.IS} in {self.path}, got: {error}") from error
            raise OutputError(f"could not use {self.path}: {error}") from error


def _require_harmless(path: Path) -> None:
    """Refuses files that make SQLite read, write or delete files outside of the database's folder.

    A rollback journal may name a super-journal (https://www.sqlite.org/tempfiles.html), any file, which SQLite deletes
    after a rollback. Only transactions that write to several databases have one, and ours never do.
    """
    require_inside(path.parent, path)
    journal = Path(f"{os.path.realpath(path)}-journal")
    if is_plain_file(journal) and _read_end(journal) == _JOURNAL_MAGIC:
        raise DatasetError(f"expected a journal of one database at {journal}, got one that names other files")


def _read_end(journal: Path) -> bytes:
    try:
        with journal.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - len(_JOURNAL_MAGIC)))
            return file.read()
    except OSError:  # another process has just removed it; other errors are SQLite's
        return b""
