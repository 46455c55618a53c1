"""Image-level labels in a label store: which classes are known to be absent from a photo, or present."""

from __future__ import annotations

from collections.abc import Iterable

from surfaces.classes import BY_ID, BY_NAME
from surfaces.datasets.sample import ALL_LABELLED, LabelScope
from surfaces.store.database import Database
from surfaces.store.forgetting import has_table
from surfaces.store.records import Source

_TABLE = """
CREATE TABLE IF NOT EXISTS image_labels (
    sha256  TEXT PRIMARY KEY REFERENCES photos,
    path    TEXT NOT NULL,                  -- the source of the photo for which it was said
    absent  TEXT NOT NULL,                  -- classes, separated by commas
    present TEXT NOT NULL
) WITHOUT ROWID
"""
_TAKE_OVER = "INSERT OR REPLACE INTO main.image_labels SELECT * FROM other.image_labels WHERE sha256 IN taken"


def write_image_labels(database: Database, sha256: str, source: Source, scope: LabelScope) -> None:
    """Replaces what is known of a photo, within a transaction."""
    if scope != ALL_LABELLED:
        database.run(_TABLE)
        names = _names(scope.absent), _names(scope.present)
        database.run("INSERT OR REPLACE INTO image_labels VALUES (?, ?, ?, ?)", sha256, source.path, *names)
    elif has_table(database, "image_labels"):
        database.run("DELETE FROM image_labels WHERE sha256 = ?", sha256)


def read_image_labels(database: Database, sha256: str) -> tuple[str, LabelScope]:
    """The path for which something was said of a photo, empty if nothing was, and what."""
    query = "SELECT path, absent, present FROM image_labels WHERE sha256 = ?"
    rows = database.rows(query, sha256) if has_table(database, "image_labels") else []
    if not rows:
        return "", ALL_LABELLED
    path, absent, present = rows[0]
    return path, LabelScope(absent=_class_ids(absent), present=_class_ids(present))


def merge_image_labels(database: Database) -> None:
    """Copies what the attached store knows of the photos that are taken over, within a transaction."""
    if has_table(database, "image_labels"):
        database.run("DELETE FROM main.image_labels WHERE sha256 IN taken")
    if has_table(database, "image_labels", "other"):
        database.run(_TABLE)
        database.run(_TAKE_OVER)


def _names(class_ids: Iterable[int]) -> str:
    return ",".join(BY_ID[class_id].name for class_id in sorted(class_ids))


def _class_ids(names: str) -> frozenset[int]:
    return frozenset(BY_NAME[name].coco_id for name in names.split(",") if name)
