"""The label store: photos by their sha256, their labels and quality scores, in one SQLite file."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType

from surfaces.classes import CLASSES
from surfaces.datasets.codec import decode_soft_labels
from surfaces.datasets.sample import ALL_LABELLED, LabelScope
from surfaces.detections import Detection
from surfaces.errors import DatasetError, FetchError
from surfaces.io.atomic_files import make_folder
from surfaces.io.photo_lists import STORE_NAME
from surfaces.io.storage import find_bytes, is_there
from surfaces.licences import Licence
from surfaces.masks.rle import decode_segmentation
from surfaces.messages import without_credentials
from surfaces.store.database import Database, Row
from surfaces.store.forgetting import Copy, forget_photos, is_forgotten, note_copy, read_copies, read_forgotten
from surfaces.store.image_labels import read_image_labels, write_image_labels
from surfaces.store.licences import drop_licences, read_licences, write_licences
from surfaces.store.merging import Merged, merge_file
from surfaces.store.packed import PackedLabels, pack_labels, write_labels
from surfaces.store.records import (
    LabelSettings,
    ScoredLabels,
    ScoredSegment,
    SettingsChangedError,
    Source,
    StoreCounts,
    StoredFailure,
    StoredPhoto,
    StoredSegment,
)
from surfaces.store.replaced import keep_labels, read_replaced, restore_labels
from surfaces.store.rows import (
    checked_side,
    checked_texts,
    photo_of,
    read_qualities,
    rows_checked,
    segment_of,
    settings_of,
)

__all__ = ["STORE_NAME", "LabelSettings", "LabelStore", "SettingsChangedError", "Source", "StoreCounts"]
__all__ += ["StoredFailure", "StoredPhoto", "StoredSegment"]

_PAGE = 500
_LISTED = "FROM photos WHERE sha256 IN (SELECT sha256 FROM sources)"


class LabelStore:
    """The labels in a dataset's folder; a context manager. Several processes may have it open at once."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @classmethod
    def open(cls, folder: Path) -> LabelStore:
        """Opens a folder's labels; raises DatasetError where there are none, or the file is damaged."""
        path = folder / STORE_NAME
        if not path.is_file():
            raise DatasetError(f"expected labels at {path}, got no such file")
        return cls(Database(path, create=False))

    @classmethod
    def create(cls, folder: Path) -> LabelStore:
        """Opens a folder's labels; folder and file are created where absent. Raises OutputError where that fails."""
        make_folder(folder)
        return cls(Database(folder / STORE_NAME, create=True))

    def __enter__(self) -> LabelStore:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file."""
        self._database.close()

    @property
    def path(self) -> Path:
        """The store's file."""
        return self._database.path

    def transaction(self) -> AbstractContextManager[None]:
        """What is added within the block is committed at its end, or not at all."""
        return self._database.transaction()

    def photos(self) -> Iterator[StoredPhoto]:
        """The labelled photos with a known path, by ascending sha256."""
        names = self._names()
        for row in self._paged(
            "SELECT p.sha256, min(s.path), width, height, origin, reviewer, teacher, settings, qualities FROM photos p"
            " JOIN sources s USING (sha256) JOIN settings t ON t.fingerprint = settings"
            " WHERE p.sha256 > ? GROUP BY p.sha256 ORDER BY p.sha256 LIMIT ?"
        ):
            if row[0] in names:  # another process may have just added it
                with rows_checked(self.path):
                    photo = photo_of(row, names[row[0]])
                yield photo

    def counts(self) -> StoreCounts:
        """The numbers of the store's contents."""
        rows = self._database.rows
        [(photos, reviewed)] = rows(f"SELECT count(*), total(origin = 'reviewed') {_LISTED}")
        [(sources, all_photos)] = rows("SELECT (SELECT count(*) FROM sources), (SELECT count(*) FROM photos)")
        in_class: dict[str, int] = dict(
            rows(f"SELECT class, count(*) FROM segments WHERE sha256 IN (SELECT sha256 {_LISTED}) GROUP BY class")
        )
        return StoreCounts(
            photos=photos,
            reviewed=int(reviewed),
            duplicates=sources - photos,
            gone=all_photos - photos,
            failures=dict(rows("SELECT kind, count(*) FROM failures GROUP BY kind ORDER BY kind")),
            segments={surface.name: in_class.get(surface.name, 0) for surface in CLASSES},
            settings=dict(rows(f"SELECT settings, count(*) {_LISTED} GROUP BY settings")),
        )

    def settings(self) -> list[LabelSettings]:
        """All settings of labels, also of former ones, by ascending fingerprint."""
        rows = self._database.rows("SELECT fingerprint, teacher, details FROM settings ORDER BY fingerprint")
        with rows_checked(self.path):
            return [settings_of(row) for row in rows]

    def labels(self, sha256: str) -> ScoredLabels:
        """The labels of a photo; raises DatasetError where it has none."""
        width, height, quality_scores, ignore_mask, soft_labels, origin = self._row(
            "width, height, qualities, unsure, belief, origin", sha256
        )
        with rows_checked(self.path):
            found = [(stored, decode_segmentation(stored.rle, height, width)) for stored in self.segments(sha256)]
            segments = [
                ScoredSegment(Detection(s.surface, s.score, s.box_xyxy, mask), s.quality_scores) for s, mask in found
            ]
            return ScoredLabels(
                tuple(segments),
                decode_segmentation({"size": [height, width], "counts": ignore_mask}, height, width),
                read_qualities(quality_scores),
                decode_soft_labels(soft_labels, f"the belief of {sha256[:12]} in {self.path}") if soft_labels else None,
                # Whoever reviewed the photo has seen it, and labelled all of it.
                ALL_LABELLED if origin == "reviewed" else read_image_labels(self._database, sha256)[1],
            )

    def segments(self, sha256: str) -> list[StoredSegment]:
        """The segments of a photo, in the order of its labels; masks stay packed.

        Raises:
            DatasetError: the photo has no labels.
        """
        size_wh = self._row("width, height", sha256)
        rows = self._database.rows(
            "SELECT class, score, x0, y0, x1, y1, area, qualities, mask FROM segments WHERE sha256 = ? ORDER BY number",
            sha256,
        )
        with rows_checked(self.path):
            width, height = map(checked_side, size_wh)
            return [segment_of(row, width, height) for row in rows]

    def failures(self) -> Iterator[StoredFailure]:
        """The photos that could not be labelled, by ascending path."""
        for row in self._paged("SELECT path, reason, kind FROM failures WHERE path > ? ORDER BY path LIMIT ?"):
            with rows_checked(self.path):
                failure = StoredFailure(*map(without_credentials, checked_texts(row)))
            yield failure

    def sources(self, sha256: str) -> list[str]:
        """The paths of a photo, sorted."""
        rows = self._database.rows("SELECT path FROM sources WHERE sha256 = ? ORDER BY path", sha256)
        return [path for (path,) in rows]

    def has_source(self, source: Source, sha256: str) -> bool:
        """Whether a photo is known under this path, name and corpus."""
        known = self._database.rows("SELECT sha256, name, corpus FROM sources WHERE path = ?", source.path)
        return known == [(sha256, source.name, source.corpus)]

    def set_licences(self, licences: Mapping[str, Iterable[Licence]]) -> None:
        """Replaces licences by subject: a photo's path, or a fingerprint of settings for those of their teacher."""
        write_licences(self._database, licences)

    def licences(self, sha256: str | None = None) -> tuple[Licence, ...]:
        """What the labels of a photo come from, or of all: the photos and their teachers; see `read_licences`."""
        with rows_checked(self.path):
            return read_licences(self._database, sha256)

    def read_photo(self, photo: StoredPhoto) -> bytes:
        """The bytes of a photo's file, checked against its sha256; raises DatasetError where no path of it has them."""
        try:
            return find_bytes(self.sources(photo.sha256), photo.sha256)[1]
        except FetchError as error:
            raise DatasetError(
                f"expected the labelled photo at {photo.source}, it is gone or has changed ({error});"
                " `autolabel run` on its corpus leaves it out or labels it again"
            ) from error

    def settings_in_use(self) -> LabelSettings | None:
        """The settings of runs; None before the first."""
        rows = self._database.rows("SELECT fingerprint, teacher, details FROM settings WHERE in_use")
        with rows_checked(self.path):
            return settings_of(rows[0]) if rows else None

    def use_settings(self, settings: LabelSettings, relabel: bool = False) -> None:
        """Sets the settings of the labels that will be added; with `relabel`, they replace labels of other settings.

        Raises SettingsChangedError where the store has labels of other settings, and `relabel` is False.
        """
        with self._database.transaction():
            known = self.settings_in_use()
            if known and known.fingerprint == settings.fingerprint:
                return
            if known and not relabel and self._database.rows("SELECT 1 FROM photos LIMIT 1"):
                raise SettingsChangedError(
                    f"expected the settings of {self.path} ({known.teacher}, {known.fingerprint[:12]}),"
                    f" got others ({settings.teacher}, {settings.fingerprint[:12]}); --relabel replaces its labels"
                )
            self._database.run("UPDATE settings SET in_use = 0")
            self._database.run(
                "INSERT OR REPLACE INTO settings VALUES (?, ?, ?, 1)",
                settings.fingerprint,
                settings.teacher,
                json.dumps(settings.details, sort_keys=True),
            )

    def is_labelled(
        self, sha256: str, settings: str, source: Source | None = None, scope: LabelScope = ALL_LABELLED
    ) -> bool:
        """Whether a photo has labels of these settings (a fingerprint), or of a person.

        With a source, automatic labels count only if they were made with what is known of the photo there (`scope`);
        the first of several sources of which something is known decides.
        """
        rows = self._database.rows("SELECT origin, settings FROM photos WHERE sha256 = ?", sha256)
        if not rows or rows[0][0] == "reviewed" or rows[0][1] != settings:
            return bool(rows) and rows[0][0] == "reviewed"
        with rows_checked(self.path):
            path, stored = read_image_labels(self._database, sha256)
        return source is None or stored == scope or path not in ("", source.path)

    def labelled_at(self, source: Source, settings: str, scope: LabelScope = ALL_LABELLED) -> str | None:
        """The sha256 of the photo known under a source's path, where it has labels; see `is_labelled`."""
        rows = self._database.rows("SELECT sha256 FROM sources WHERE path = ?", source.path)
        return next((sha256 for (sha256,) in rows if self.is_labelled(sha256, settings, source, scope)), None)

    def add(self, source: Source, sha256: str, labels: ScoredLabels, settings: str) -> bool:
        """Adds a teacher's labels of a photo, in one transaction; `settings` is a fingerprint.

        Returns False where the photo already has labels of these settings, or of a person, which are kept, or was
        removed for good.
        """
        return self.add_packed(source, sha256, pack_labels(labels), settings)

    def add_packed(self, source: Source, sha256: str, labels: PackedLabels, settings: str) -> bool:
        """As `add`, with labels that are packed already."""
        with self._database.transaction():
            if self.is_forgotten(sha256):
                return False
            new = not self.is_labelled(sha256, settings, source, labels.scope)
            if new:
                write_labels(self._database, sha256, labels, "auto", "", settings)
                write_image_labels(self._database, sha256, source, labels.scope)
            self._add_path(source, sha256)
        return new

    def add_source(self, source: Source, sha256: str) -> None:
        """Adds a path of a labelled photo; writes nothing where it is known."""
        failed = self._database.rows("SELECT 1 FROM failures WHERE path = ?", source.path)
        if failed or not self.has_source(source, sha256):
            with self._database.transaction():
                self._add_path(source, sha256)

    def add_review(self, sha256: str, labels: ScoredLabels, reviewer: str) -> None:
        """Replaces the labels of a photo by a person's; automatic ones are kept for `restore`.

        Raises DatasetError where the photo has no labels, or they are of another size.
        """
        with self._database.transaction():
            width, height, settings, origin = self._row("width, height, settings, origin", sha256)
            if labels.ignore_mask.shape != (height, width):
                given = "x".join(map(str, labels.ignore_mask.shape[::-1]))
                raise DatasetError(f"expected labels of {width}x{height} pixels, got {given}")
            if origin == "auto":
                keep_labels(self._database, sha256)
            write_labels(self._database, sha256, pack_labels(labels), "reviewed", reviewer, settings)

    def replaced(self) -> set[str]:
        """The sha256 of all photos whose automatic labels are kept beside those of a review."""
        return read_replaced(self._database)

    def restore(self, sha256: str) -> bool:
        """Replaces a review by the photo's automatic labels, in one transaction; returns False where none are kept."""
        with self._database.transaction():
            return restore_labels(self._database, sha256)

    def add_failure(self, source: Source, kind: str, reason: str, sha256: str | None = None) -> None:
        """Records a path that was not labelled; `kind` is a word or two to group by, the reason one line.

        Where the sha256 of its current bytes is given, the path no longer belongs to a photo of other bytes.
        """
        with self._database.transaction():
            if sha256:
                self._database.run("DELETE FROM sources WHERE path = ? AND sha256 <> ?", source.path, sha256)
            self._database.run(
                "INSERT OR REPLACE INTO failures VALUES (?, ?, ?, ?)", source.path, source.corpus, kind, reason
            )

    def forget_absent(self, corpus: str, present: Collection[str]) -> int:
        """Deletes failures and paths of a corpus that are not `present`; labels, and paths that exist, are kept.

        Returns the number of deleted paths of photos.
        """
        failed = self._database.rows("SELECT path FROM failures WHERE corpus = ?", corpus)
        found = self._database.rows("SELECT path FROM sources WHERE corpus = ?", corpus)
        gone = [path for (path,) in found if path not in present and not is_there(path)]
        with self._database.transaction():
            for (path,) in failed:
                if path not in present:
                    self._database.run("DELETE FROM failures WHERE path = ?", path)
            for path in gone:
                self._database.run("DELETE FROM sources WHERE path = ?", path)
                drop_licences(self._database, path)
        return len(gone)

    def forget(self, photos: Collection[str]) -> int:
        """Removes photos, given by their sha256, for good, with labels, reviews and paths; runs leave them out.

        Returns the number of photos that were there.
        """
        return forget_photos(self._database, photos)

    def forgotten(self) -> frozenset[str]:
        """The sha256 of all photos that were removed for good."""
        return read_forgotten(self._database)

    def is_forgotten(self, sha256: str) -> bool:
        """Whether a photo was removed for good."""
        return is_forgotten(self._database, sha256)

    def note_copy(self, copy: Copy) -> None:
        """Records a folder that holds a copy of the store's photos or labels."""
        note_copy(self._database, copy)

    def copies(self) -> list[Copy]:
        """The recorded copies, by path; some may have been deleted since."""
        with rows_checked(self.path):
            return read_copies(self._database)

    def merge(self, folder: Path) -> Merged:
        """Copies the labels of another folder's store that has the same settings, in one transaction.

        A person's labels win over a teacher's; where both stores have a person's, this one's are kept. Raises
        DatasetError where there is no such store, or it is this one; SettingsChangedError where its settings differ.
        """
        with LabelStore.open(folder) as other:
            settings = other.settings_in_use()
        if settings:
            self.use_settings(settings)
        return merge_file(self._database, folder / STORE_NAME)

    def _add_path(self, source: Source, sha256: str) -> None:
        self._database.run("DELETE FROM failures WHERE path = ?", source.path)
        self._database.run(
            "INSERT OR REPLACE INTO sources VALUES (?, ?, ?, ?)", source.path, source.name, source.corpus, sha256
        )

    def _row(self, columns: str, sha256: str) -> Row:
        for row in self._database.rows(f"SELECT {columns} FROM photos WHERE sha256 = ?", sha256):
            return row
        raise DatasetError(f"expected labels of the photo {sha256[:12]} in {self.path}, got none")

    def _names(self) -> dict[str, str]:
        """Each photo's unique name by its sha256."""
        # SQLite takes `name` from the row that has the smallest path.
        named = [row[:2] for row in self._database.rows("SELECT sha256, name, min(path) FROM sources GROUP BY sha256")]
        # `Room` and `room` are one name in some file systems.
        with rows_checked(self.path):
            uses = Counter(name.casefold() for _, name in named)
            return {sha256: f"{name}-{sha256[:12]}" if uses[name.casefold()] > 1 else name for sha256, name in named}

    def _paged(self, sql: str) -> Iterator[Row]:
        """The rows of a query, in pages, so that other processes can write in between.

        It selects ascending keys, its first column, above the first parameter, as many as the second says.
        """
        rows: list[Row] = [("",)]
        while rows := self._database.rows(sql, rows[-1][0], _PAGE):
            yield from rows
