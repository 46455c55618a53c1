"""Takes the labels of one store's file over into another's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from surfaces.errors import DatasetError, FetchError
from surfaces.io.storage import is_remote, require_allowed
from surfaces.store.database import Database
from surfaces.store.replaced import is_kept, make_tables

_TAKEN = """
CREATE TEMP TABLE taken AS SELECT theirs.sha256 FROM other.photos theirs LEFT JOIN main.photos ours USING (sha256)
WHERE ours.sha256 IS NULL
   OR ours.origin = 'auto' AND (theirs.origin = 'reviewed' OR theirs.settings <> ours.settings
      AND theirs.settings IN (SELECT fingerprint FROM main.settings WHERE in_use))
"""

# Later statements read what earlier ones wrote. A path that one store labelled is no failure of the other.
_STATEMENTS = (
    _TAKEN,
    "INSERT OR IGNORE INTO main.settings SELECT fingerprint, teacher, details, 0 FROM other.settings",
    "DELETE FROM main.segments WHERE sha256 IN taken",
    "INSERT OR REPLACE INTO main.photos SELECT * FROM other.photos WHERE sha256 IN taken",
    "INSERT INTO main.segments SELECT * FROM other.segments WHERE sha256 IN taken",
    "INSERT OR IGNORE INTO main.sources SELECT * FROM other.sources",
    "INSERT OR IGNORE INTO main.failures SELECT * FROM other.failures",
    "DELETE FROM main.failures WHERE path IN (SELECT path FROM main.sources)",
)

_CONFLICTS = """
SELECT count(*) FROM other.photos theirs JOIN main.photos ours USING (sha256)
WHERE theirs.origin = 'reviewed' AND ours.origin = 'reviewed' AND (theirs.unsure <> ours.unsure
   OR EXISTS (SELECT class, mask FROM other.segments WHERE sha256 = theirs.sha256
      EXCEPT SELECT class, mask FROM main.segments WHERE sha256 = theirs.sha256)
   OR EXISTS (SELECT class, mask FROM main.segments WHERE sha256 = theirs.sha256
      EXCEPT SELECT class, mask FROM other.segments WHERE sha256 = theirs.sha256))
"""
_STATEMENTS_OF_REPLACED = (
    "INSERT INTO main.replaced_photos SELECT * FROM other.replaced_photos WHERE sha256 IN taken",
    "INSERT INTO main.replaced_segments SELECT * FROM other.replaced_segments WHERE sha256 IN taken",
)


@dataclass(frozen=True)
class Merged:
    """What became of another store's labels.

    Attributes:
        taken: photos whose labels were taken over.
        conflicts: photos that a person labelled otherwise in each store; the labels of the store that takes stay.
    """

    taken: int
    conflicts: int


def merge_file(database: Database, path: Path) -> Merged:
    """Takes over the photos that are not, or less well, labelled here; their segments, sources, and all failures.

    Automatic labels that are kept beside a review come along.

    Args:
        database: of the store that takes.
        path: the other store's file.

    Returns:
        How many photos were taken over, and how many were not although a person had labelled them otherwise.

    Raises:
        DatasetError: the other file is this one, or it names photos at addresses that are not read.
    """
    if database.path.samefile(path):  # it would wait for itself
        raise DatasetError(f"expected another store than {database.path} to merge, got the same file")
    with database.attached(path):
        _require_allowed_sources(database, path)
        with database.transaction():
            [(conflicts,)] = database.rows(_CONFLICTS)
            for statement in _STATEMENTS:
                database.run(statement)
            if is_kept(database, "other"):
                make_tables(database)
                for statement in _STATEMENTS_OF_REPLACED:
                    database.run(statement)
        [(count,)] = database.rows("SELECT count(*) FROM taken")
        database.run("DROP TABLE taken")
    return Merged(int(count), int(conflicts))


def _require_allowed_sources(database: Database, path: Path) -> None:
    refused: list[str] = []
    for (source,) in database.rows("SELECT path FROM other.sources WHERE path LIKE '%:%' ORDER BY path"):
        try:
            if is_remote(source):
                require_allowed(source)
        except FetchError as error:
            refused.append(str(error))
    if refused:
        raise DatasetError(f"{path} names {len(refused)} photos at addresses that are not read: {refused[0]}")
