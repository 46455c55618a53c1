"""Licences in a label store: of the photos, by their paths, and of the teachers, by the fingerprints of settings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from surfaces.licences import Licence, merged, not_stated
from surfaces.store.database import Database
from surfaces.store.forgetting import has_table
from surfaces.store.rows import checked_texts, licence_of

_NAME = "licences"
_TABLE = """
CREATE TABLE IF NOT EXISTS licences (
    subject    TEXT NOT NULL,               -- the path of a photo, or the fingerprint of settings
    source     TEXT NOT NULL,
    terms      TEXT NOT NULL,
    commercial TEXT NOT NULL,               -- yes, no, unknown
    PRIMARY KEY (subject, source, terms, commercial)
) WITHOUT ROWID
"""
_COLUMNS = "source, terms, commercial"
# A path may be that of other bytes in the other store.
_TAKE_OVER = """
INSERT OR IGNORE INTO main.licences SELECT * FROM other.licences
WHERE subject IN (SELECT fingerprint FROM other.settings)
   OR subject IN (SELECT path FROM other.sources JOIN main.sources USING (path, sha256))
"""
_PHOTOS = not_stated("photos whose licence is not known")


def write_licences(database: Database, licences: Mapping[str, Iterable[Licence]]) -> None:
    """Replaces the licences of subjects, in one transaction; rows that stay as they are are not written again."""
    with database.transaction():
        if not has_table(database, _NAME):
            if not any(licences.values()):
                return
            database.run(_TABLE)
        for subject, stated in licences.items():
            wanted = {(each.source, each.terms, each.commercial) for each in stated}
            if wanted != set(database.rows(f"SELECT {_COLUMNS} FROM licences WHERE subject = ?", subject)):
                database.run("DELETE FROM licences WHERE subject = ?", subject)
                for row in wanted:
                    database.run("INSERT INTO licences VALUES (?, ?, ?, ?)", subject, *row)


def read_licences(database: Database, sha256: str | None = None) -> tuple[Licence, ...]:
    """The licences of a photo, or of all photos with a known path, and of the teachers of their labels, merged.

    A reviewed photo keeps the teacher whose labels were reviewed. Photos and teachers without a licence in the store
    have an entry that says so.
    """
    chosen, values = ("sha256 = ?", (sha256,)) if sha256 else ("sha256 IN (SELECT sha256 FROM sources)", ())
    has_licences = has_table(database, _NAME)
    is_stated = "EXISTS (SELECT 1 FROM licences WHERE subject = {})" if has_licences else "0"
    settings = f"SELECT settings FROM photos WHERE {chosen}"
    found = []
    for subjects in (f"SELECT path FROM sources WHERE {chosen}", settings) if has_licences else ():
        found += database.rows(f"SELECT DISTINCT {_COLUMNS} FROM licences WHERE subject IN ({subjects})", *values)
    stated = f"SELECT 1 FROM sources s WHERE s.sha256 = photos.sha256 AND {is_stated.format('s.path')}"
    unknown = database.rows(f"SELECT 1 FROM photos WHERE {chosen} AND NOT EXISTS ({stated}) LIMIT 1", *values)
    teachers = database.rows(
        f"SELECT teacher FROM settings WHERE fingerprint IN ({settings}) AND NOT {is_stated.format('fingerprint')}",
        *values,
    )
    silent = [not_stated(f"teacher {teacher}") for (teacher,) in map(checked_texts, teachers)]
    return merged([*map(licence_of, found), *silent, *([_PHOTOS] if unknown else [])])


def drop_licences(database: Database, path: str) -> None:
    """Deletes the licences of a path, within a transaction."""
    if has_table(database, _NAME):
        database.run("DELETE FROM licences WHERE subject = ?", path)


def merge_licences(database: Database) -> None:
    """Adds those of the attached store, within a transaction, after its sources; where both state some, all count."""
    if has_table(database, _NAME, "other"):
        database.run(_TABLE)
        database.run(_TAKE_OVER)
