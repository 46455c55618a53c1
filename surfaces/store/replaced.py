"""Automatic labels that a review replaced, kept beside it in tables of their own."""

from __future__ import annotations

from surfaces.store.database import Database
from surfaces.store.forgetting import has_table

_TABLES = ("photos", "segments")
_TAKE_OVER = "INSERT INTO main.replaced_{0} SELECT * FROM other.replaced_{0} WHERE sha256 IN taken"


def keep_labels(database: Database, sha256: str) -> None:
    """Keeps a photo's labels as they are now, within a transaction."""
    _make_tables(database)
    for table in _TABLES:
        database.run(f"DELETE FROM replaced_{table} WHERE sha256 = ?", sha256)
        database.run(f"INSERT INTO replaced_{table} SELECT * FROM {table} WHERE sha256 = ?", sha256)


def read_replaced(database: Database) -> set[str]:
    """The sha256 of all photos whose labels are kept."""
    if not has_table(database, "replaced_photos"):
        return set()
    return {sha256 for (sha256,) in database.rows("SELECT sha256 FROM replaced_photos")}


def restore_labels(database: Database, sha256: str) -> bool:
    """Replaces a photo's labels by the kept ones, within a transaction; returns False where none are kept."""
    if sha256 not in read_replaced(database):
        return False
    database.run("DELETE FROM segments WHERE sha256 = ?", sha256)
    for table in _TABLES:
        database.run(f"INSERT OR REPLACE INTO {table} SELECT * FROM replaced_{table} WHERE sha256 = ?", sha256)
        database.run(f"DELETE FROM replaced_{table} WHERE sha256 = ?", sha256)
    return True


def merge_replaced(database: Database) -> None:
    """Copies the kept labels of the photos that are taken over from the attached store, within a transaction."""
    if has_table(database, "replaced_segments", "other"):
        _make_tables(database)
        for table in _TABLES:
            database.run(_TAKE_OVER.format(table))


def _make_tables(database: Database) -> None:
    """Creates the tables where absent, as in old stores."""
    for table in _TABLES:
        database.run(f"CREATE TABLE IF NOT EXISTS replaced_{table} AS SELECT * FROM {table} WHERE 0")
        database.run(f"CREATE INDEX IF NOT EXISTS replaced_{table}_of_photo ON replaced_{table} (sha256)")
