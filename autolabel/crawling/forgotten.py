"""What a crawl must never keep again: hashes of addresses, bytes and looks of removed photos, nothing else of them."""

from __future__ import annotations

import hashlib
from collections.abc import Collection

from surfaces.store.database import Database

TABLES = (
    # `photo` is one sha256 of those that were removed together; empty where the corpus never had the photo.
    "CREATE TABLE IF NOT EXISTS forgotten_photos"
    " (sha256 TEXT PRIMARY KEY, near_hash TEXT NOT NULL, photo TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS forgotten_addresses (hash TEXT PRIMARY KEY, photo TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS label_stores (path TEXT PRIMARY KEY) WITHOUT ROWID",
)
"""Created in databases of earlier versions when they are opened."""

_INDEXES = (
    "CREATE INDEX IF NOT EXISTS photos_by_sha256 ON photos (sha256)",
    "CREATE INDEX IF NOT EXISTS photos_by_copy ON photos (duplicate_of)",
)
_FIND_SAME = """
WITH RECURSIVE same (sha256) AS (
    VALUES {}
    UNION SELECT duplicate_of FROM photos JOIN same USING (sha256) WHERE duplicate_of != ''
    UNION SELECT photos.sha256 FROM photos JOIN same ON duplicate_of = same.sha256
    UNION SELECT others.sha256 FROM forgotten_photos JOIN same USING (sha256)
        JOIN forgotten_photos others ON others.photo = forgotten_photos.photo
)
SELECT sha256 FROM same ORDER BY sha256
"""
REDIRECTED = "redirected to {}, which is known"
"""Details of a request whose photo another one gave."""


def forgotten_at(database: Database, address: str) -> str | None:
    """The removed photo of an address: a sha256, empty where the corpus never had it; None if it is not forgotten."""
    rows = database.rows("SELECT photo FROM forgotten_addresses WHERE hash = ?", _hash(address))
    return str(rows[0][0]) if rows else None


def find_photo(database: Database, address: str) -> set[str]:
    """The sha256 of the photo that was fetched from an address, and of its copies; empty if there is none."""
    addresses = [address]
    for row in database.rows("SELECT detail FROM leads WHERE url = ? AND reason = 'duplicate'", address):
        before, after = REDIRECTED.split("{}")
        addresses += [row[0].removeprefix(before).removesuffix(after)]
    found = {forgotten_at(database, address) or ""}
    for each in addresses:
        match = "url = ?1 OR redirects > 0 AND address = ?1"
        rows = database.rows(f"SELECT sha256 FROM leads JOIN photos ON lead = number WHERE {match}", each)
        found.update(sha256 for (sha256,) in rows)
    return find_copies(database, found - {""})


def find_copies(database: Database, photos: Collection[str]) -> set[str]:
    """The photos of some sha256 that the corpus has, or had, with all copies and near-duplicates of them."""
    for index in _INDEXES:
        database.run(index)
    found: set[str] = set()
    for sha256 in photos:
        if database.rows(
            "SELECT 1 FROM photos WHERE sha256 = ?1 UNION SELECT 1 FROM forgotten_photos WHERE sha256 = ?1", sha256
        ):
            found.update(same for (same,) in database.rows(_FIND_SAME.format("(?)"), sha256))
    return found


def mark_forgotten(database: Database, photos: Collection[str], addresses: Collection[str]) -> None:
    """Marks photos, given by their sha256, and their addresses, in one transaction: no crawl keeps them from now on.

    Args:
        photos: as of `find_copies`.
        addresses: further ones.
    """
    first = min(photos, default="")
    with database.transaction():
        for sha256 in photos:
            rows = database.rows("SELECT max(near_hash) FROM photos WHERE sha256 = ?", sha256)
            insert = "INSERT INTO forgotten_photos VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET photo = ?3"
            database.run(insert, sha256, rows[0][0] or "", first)
        for number, *known in _requests(database, photos, addresses):
            for address in known:
                _forget_address(database, address, first)
            database.run("UPDATE leads SET state = 'refused', reason = 'forgotten' WHERE number = ?", number)
        for address in addresses:
            _forget_address(database, address, first)


def delete_forgotten(database: Database, photos: Collection[str], addresses: Collection[str]) -> None:
    """Deletes all rows of photos that are marked, and of requests for their addresses, in one transaction."""
    database.run("PRAGMA secure_delete = ON")
    with database.transaction():
        for number, *_ in _requests(database, photos, addresses):
            _delete_request(database, number)


def forget_request(database: Database, number: int, photo: str) -> None:
    """Deletes a request that led to a removed photo, and marks its addresses; within a transaction."""
    for addresses in database.rows("SELECT url, address FROM leads WHERE number = ?", number):
        for address in addresses:
            _forget_address(database, address, photo)
    _delete_request(database, number)


def note_label_store(database: Database, path: str) -> None:
    """Records the folder of a label store whose photos are the corpus'."""
    database.run("INSERT OR IGNORE INTO label_stores VALUES (?)", path)


def label_stores(database: Database) -> list[str]:
    """The recorded folders of label stores, sorted."""
    return [path for (path,) in database.rows("SELECT path FROM label_stores ORDER BY path")]


def photo_places(database: Database) -> set[str]:
    """The folders and addresses of storage in which the corpus' photos are; paths of other programs are left out.

    A photo that a better copy replaced has no path any more, but its file stays in one of them.
    """
    places = database.rows(
        "SELECT DISTINCT substr(path, 1, instr(path, '/' || substr(sha256, 1, 2) || '/' || sha256) - 1) FROM photos"
        " WHERE path != ''"
    )
    return {str(place) for (place,) in places if place}


def _requests(database: Database, photos: Collection[str], addresses: Collection[str]) -> list[tuple[int, str, str]]:
    """Number, url and address of the requests that gave photos, and of all that lead to the addresses of these."""
    columns = "SELECT number, url, address FROM leads"
    found: set[tuple[int, str, str]] = set()
    for sha256 in photos:
        found.update(database.rows(f"{columns} JOIN photos ON number = lead WHERE sha256 = ?", sha256))
    for known in {*addresses, *(address for _, *both in found for address in both)}:
        found.update(database.rows(f"{columns} WHERE url = ?1 OR redirects > 0 AND address = ?1", known))
        found.update(database.rows(f"{columns} WHERE state != 'todo' AND detail = ?", REDIRECTED.format(known)))
    return sorted(found)


def _forget_address(database: Database, address: str, photo: str) -> None:
    insert = "INSERT INTO forgotten_addresses VALUES (?1, ?2) ON CONFLICT DO UPDATE SET photo = ?2 WHERE ?2 != ''"
    database.run(insert, _hash(address), photo)


def _delete_request(database: Database, number: int) -> None:
    database.run("DELETE FROM photos WHERE lead = ?", number)
    database.run("DELETE FROM leads WHERE number = ?", number)


def _hash(address: str) -> str:
    return hashlib.sha256(address.encode("utf-8", "surrogateescape")).hexdigest()
