"""Copies labels from one store's file to another's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from surfaces.errors import DatasetError, FetchError
from surfaces.io.storage import is_remote, require_allowed
from surfaces.store.database import Database
from surfaces.store.forgetting import merge_forgotten
from surfaces.store.image_labels import merge_image_labels
from surfaces.store.licences import merge_licences
from surfaces.store.replaced import merge_replaced

_SELECT_TAKEN = """
CREATE TEMP TABLE taken AS SELECT theirs.sha256 FROM other.photos theirs LEFT JOIN main.photos ours USING (sha256)
WHERE ours.sha256 IS NULL
   OR ours.origin = 'auto' AND (theirs.origin = 'reviewed' OR theirs.settings <> ours.settings
      AND theirs.settings IN (SELECT fingerprint FROM main.settings WHERE in_use))
"""

# In this order. A path that one store labelled is no failure of the other.
_STATEMENTS = (
    _SELECT_TAKEN,
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


@dataclass(frozen=True)
class Merged:
    """The number of photos whose labels were copied, and of conflicts: different labels of people, ours are kept."""

    taken: int
    conflicts: int


def merge_file(database: Database, path: Path) -> Merged:
    """Copies photos that are unlabelled or have worse labels here, with their segments, and all sources and failures.

    Raises DatasetError where the other file is this one, or it names photos at URLs that are not allowed.
    """
    if database.path.samefile(path):  # it would lock itself out
        raise DatasetError(f"expected another store than {database.path} to merge, got the same file")
    with database.attached(path):
        _require_allowed_sources(database, path)
        with database.transaction():
            [(conflicts,)] = database.rows(_CONFLICTS)
            for statement in _STATEMENTS:
                database.run(statement)
            merge_replaced(database)
            merge_image_labels(database)
            merge_licences(database)
            merge_forgotten(database)
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
