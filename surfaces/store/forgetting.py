"""Photos that a label store must never hold again, and the copies of its labels that other folders hold."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from surfaces.store.database import Database
from surfaces.store.rows import checked_texts

LOG_NAME = "reviews.sqlite"
"""The log of reviews beside a label store."""

_FORGOTTEN = "CREATE TABLE IF NOT EXISTS forgotten (sha256 TEXT PRIMARY KEY) WITHOUT ROWID"
_COPIES = "CREATE TABLE IF NOT EXISTS copies (path TEXT PRIMARY KEY, kind TEXT NOT NULL) WITHOUT ROWID"
_TABLES_OF_PHOTOS = ("image_labels", "replaced_segments", "replaced_photos", "segments", "sources", "photos")

_TABLES_OF_PATHS = {"failures": "path", "licences": "subject"}
"""Their columns that hold paths."""


class CopyKind(StrEnum):
    """What holds a copy of a store's photos or labels."""

    STORE = "store"
    EXPORT = "export"
    PACKED = "packed"
    SHARDS = "shards"


@dataclass(frozen=True)
class Copy:
    """A folder with photos or labels of a store, as an absolute path or address; it may have been deleted since."""

    path: str
    kind: CopyKind


class _ReviewLog(Database):
    HOLDS = "reviews"
    IS = "a log of reviews"


def forget_photos(database: Database, photos: Collection[str]) -> int:
    """Removes photos, given by their sha256, with everything that is known of them; only the sha256 stays.

    Returns:
        The number of photos that were there.
    """
    database.run("PRAGMA secure_delete = ON")  # else the labels stay in free pages of the file
    with database.transaction():
        database.run(_FORGOTTEN)
        for sha256 in photos:
            database.run("INSERT OR IGNORE INTO forgotten VALUES (?)", sha256)
        return remove_forgotten(database)


def remove_forgotten(database: Database) -> int:
    """Deletes the rows of all forgotten photos, within a transaction; returns the number of photos that were there."""
    if not has_table(database, "forgotten"):
        return 0
    listed = "(SELECT sha256 FROM forgotten)"
    [(count,)] = database.rows(f"SELECT count(*) FROM photos WHERE sha256 IN {listed}")
    for table, path in _TABLES_OF_PATHS.items():
        if has_table(database, table):
            database.run(f"DELETE FROM {table} WHERE {path} IN (SELECT path FROM sources WHERE sha256 IN {listed})")
            database.run(f"DELETE FROM {table} WHERE EXISTS (SELECT 1 FROM forgotten f WHERE instr({path}, f.sha256))")
    for table in _TABLES_OF_PHOTOS:
        if has_table(database, table):
            database.run(f"DELETE FROM {table} WHERE sha256 IN {listed}")
    return int(count)


def is_forgotten(database: Database, sha256: str) -> bool:
    """Whether a photo was removed for good."""
    known = has_table(database, "forgotten")
    return known and bool(database.rows("SELECT 1 FROM forgotten WHERE sha256 = ?", sha256))


def read_forgotten(database: Database) -> frozenset[str]:
    """The sha256 of all forgotten photos."""
    rows = database.rows("SELECT sha256 FROM forgotten") if has_table(database, "forgotten") else []
    return frozenset(sha256 for (sha256,) in rows)


def note_copy(database: Database, copy: Copy) -> None:
    """Records a copy."""
    with database.transaction():
        database.run(_COPIES)
        database.run("INSERT OR REPLACE INTO copies VALUES (?, ?)", copy.path, str(copy.kind))


def read_copies(database: Database) -> list[Copy]:
    """The recorded copies, by path."""
    if not has_table(database, "copies"):
        return []
    rows = map(checked_texts, database.rows("SELECT path, kind FROM copies ORDER BY path"))
    return [Copy(path, CopyKind(kind)) for path, kind in rows]


def merge_forgotten(database: Database) -> None:
    """Takes over which photos the attached store has forgotten, within a transaction, and removes them here."""
    if has_table(database, "forgotten", "other"):
        database.run(_FORGOTTEN)
        database.run("INSERT OR IGNORE INTO main.forgotten SELECT sha256 FROM other.forgotten")
    remove_forgotten(database)


def forget_reviews(folder: Path, photos: Collection[str]) -> list[str]:
    """Removes photos from the log of reviews in a store's folder, where there is one.

    Returns:
        The projects of Label Studio in which the photos have, or had, tasks.
    """
    path = folder / LOG_NAME
    if not path.is_file():
        return []
    projects: set[str] = set()
    with closing(_ReviewLog(path, create=False)) as log:
        log.run("PRAGMA secure_delete = ON")
        with log.transaction():
            for sha256 in photos:
                found = log.rows("SELECT project FROM pushed WHERE sha256 = ?1", sha256)
                found += log.rows("SELECT project FROM tasks WHERE sha256 = ?1", sha256)
                projects.update(project for (project,) in found)
                for table in ("annotations", "tasks"):
                    log.run(f"DELETE FROM {table} WHERE sha256 = ?", sha256)
    return sorted(projects)


def has_table(database: Database, name: str, schema: str = "main") -> bool:
    """Whether a store has a table that older ones lack; its schema is `main`, or `other` where it is attached."""
    return bool(database.rows(f"SELECT 1 FROM {schema}.sqlite_master WHERE type = 'table' AND name = ?", name))
