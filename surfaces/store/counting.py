"""How much a label store holds."""

from __future__ import annotations

from surfaces.classes import CLASSES
from surfaces.store.database import Database
from surfaces.store.records import StoreCounts

_LISTED = "FROM photos WHERE sha256 IN (SELECT sha256 FROM sources)"


def count_all(database: Database) -> StoreCounts:
    """Counts everything in a store's file."""
    [(photos, reviewed)] = database.rows(f"SELECT count(*), total(origin = 'reviewed') {_LISTED}")
    [(sources, all_photos)] = database.rows("SELECT (SELECT count(*) FROM sources), (SELECT count(*) FROM photos)")
    in_class: dict[str, int] = dict(
        database.rows(f"SELECT class, count(*) FROM segments WHERE sha256 IN (SELECT sha256 {_LISTED}) GROUP BY class")
    )
    return StoreCounts(
        photos=photos,
        reviewed=int(reviewed),
        duplicates=sources - photos,
        gone=all_photos - photos,
        failures=dict(database.rows("SELECT kind, count(*) FROM failures GROUP BY kind ORDER BY kind")),
        segments={surface.name: in_class.get(surface.name, 0) for surface in CLASSES},
        settings=dict(database.rows(f"SELECT settings, count(*) {_LISTED} GROUP BY settings")),
    )
