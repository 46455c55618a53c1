"""The automatic labels that a person's review replaced: kept in the store's file, to be restored exactly.

Stores that were begun before labels were kept lack the tables; they are made when a review is first written.
"""

from __future__ import annotations

from surfaces.store.database import Database

_TABLES = ("photos", "segments")


class ReplacedLabels:
    """The part of a label store that keeps replaced labels.

    Attributes:
        _database: the store's file.
    """

    _database: Database

    def replaced(self) -> set[str]:
        """The sha256 of all photos whose automatic labels are kept beside those of a review."""
        if not is_kept(self._database, "main"):
            return set()
        return {sha256 for (sha256,) in self._database.rows("SELECT sha256 FROM replaced_photos")}

    def restore(self, sha256: str) -> bool:
        """Puts a photo's automatic labels back in the place of a review, in one transaction.

        Args:
            sha256: of the photo.

        Returns:
            False where none are kept; nothing is changed.
        """
        with self._database.transaction():
            if sha256 not in self.replaced():
                return False
            self._database.run("DELETE FROM segments WHERE sha256 = ?", sha256)
            for table in _TABLES:
                self._database.run(
                    f"INSERT OR REPLACE INTO {table} SELECT * FROM replaced_{table} WHERE sha256 = ?", sha256
                )
                self._database.run(f"DELETE FROM replaced_{table} WHERE sha256 = ?", sha256)
        return True

    def _keep(self, sha256: str) -> None:
        """Keeps a photo's labels where they are automatic; call it in the transaction that replaces them."""
        make_tables(self._database)
        [(origin,)] = self._database.rows("SELECT origin FROM photos WHERE sha256 = ?", sha256)
        if origin == "auto":
            for table in _TABLES:
                self._database.run(f"DELETE FROM replaced_{table} WHERE sha256 = ?", sha256)
                self._database.run(f"INSERT INTO replaced_{table} SELECT * FROM {table} WHERE sha256 = ?", sha256)


def make_tables(database: Database) -> None:
    """Makes the tables of replaced labels where they are absent; they have the columns of what they keep."""
    for table in _TABLES:
        database.run(f"CREATE TABLE IF NOT EXISTS replaced_{table} AS SELECT * FROM {table} WHERE 0")
        database.run(f"CREATE INDEX IF NOT EXISTS replaced_{table}_of_photo ON replaced_{table} (sha256)")


def is_kept(database: Database, schema: str) -> bool:
    """Whether a store has tables of replaced labels.

    Args:
        database: a store's file.
        schema: `main`, or `other` for one that is attached.
    """
    return bool(database.rows(f"SELECT 1 FROM {schema}.sqlite_master WHERE name = 'replaced_segments'"))
