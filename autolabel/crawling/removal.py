"""Removes a photo at its owner's wish: from the corpus and the label stores; exports that hold it are named.

The photo is marked first, and its rows are deleted last. So no crawl keeps it from the first moment, and the same
command finishes a removal that was killed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from autolabel.crawling.blob_store import PHOTOS, open_blob_store
from autolabel.crawling.database import CrawlDatabase
from autolabel.crawling.exported import holds_photo
from autolabel.crawling.forgotten import (
    delete_forgotten,
    find_copies,
    find_photo,
    label_stores,
    mark_forgotten,
    photo_places,
)
from autolabel.crawling.manifest import write_manifest
from autolabel.crawling.sources.urls import normalize
from autolabel.engines.shards import SHARDS, forget_in_shards
from surfaces.errors import DatasetError, OutputError, SurfacesError
from surfaces.io.storage import is_remote
from surfaces.messages import counted
from surfaces.store.forgetting import CopyKind, forget_reviews
from surfaces.store.label_store import LabelStore

_SHA256 = re.compile("[0-9a-f]{64}")


@dataclass
class Removal:
    """What was done about one photo, and what is left to do.

    Attributes:
        photos: the sha256 of the photo and of its copies; empty where an unknown address was given.
        is_known: whether the corpus has, or had, the photo.
        files: number of files that were removed.
        label_stores: folders of the stores that had it.
        holders: folders of exports that still have it, which must be made again.
        projects: of Label Studio, by the folder of the label store, that still have a task of it.
        failures: lines about places that could not be reached; the command must be repeated.
    """

    photos: set[str]
    is_known: bool
    files: int = 0
    label_stores: list[str] = field(default_factory=list)
    holders: list[str] = field(default_factory=list)
    projects: dict[str, list[str]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def lines(self) -> Iterator[str]:
        """What was done, and what is left to do, for people."""
        yield f"{counted(len(self.photos), 'photo')} forgotten, {counted(self.files, 'file')} removed"
        yield from (f"labels removed: {folder}" for folder in self.label_stores)
        yield from (f"holds the photo, delete it or make it again: {folder}" for folder in self.holders)
        for folder, projects in self.projects.items():
            yield f"delete its task in Label Studio: project {', '.join(projects)} of {folder}"


def forget_photo(
    database: CrawlDatabase,
    corpus: Path,
    address: str,
    stores: Sequence[Path] = (),
    exports: Sequence[Path] = (),
    place: str | None = None,
) -> Removal:
    """Removes a photo with its copies and near-duplicates, for good.

    Args:
        database: of the corpus; no crawl may be running.
        corpus: its folder.
        address: of the photo (before or after redirects), its path in a crawled folder, or its sha256, also as a name
            such as `photos/ab/abcd….jpg`.
        stores: folders of label stores, besides the recorded ones.
        exports: datasets to search, besides the recorded ones.
        place: further storage of photos, as of `open_blob_store`.

    Raises:
        OutputError: the database or the manifest cannot be written; the same call can be repeated.
        DatasetError: the address is that of a page.
        AddressError: the address is no such one.
    """
    address, sha256 = _parse(address)
    _require_photo(database, address)
    photos = find_copies(database, [sha256]) if sha256 else find_photo(database, address)
    removal = Removal(photos or ({sha256} if sha256 else set()), is_known=bool(photos))
    addresses = [] if sha256 else [address]
    mark_forgotten(database, removal.photos, addresses)
    if removal.photos:
        write_manifest(database, corpus)
        found = _forget_in_stores(removal, [*label_stores(database), *(str(store.absolute()) for store in stores)])
        _search_exports(removal, [*found, *(str(export.absolute()) for export in exports)], database)
        if not _remove_files(removal, database, corpus, place):
            return removal  # the rows say where its files are
    delete_forgotten(database, removal.photos, addresses)
    return removal


def _parse(address: str) -> tuple[str, str]:
    """An address as requests have it, and the sha256 that it names instead, if it does."""
    if re.match("https?:", address, re.IGNORECASE):
        return normalize(address), ""
    name = PurePosixPath(address.replace("\\", "/")).name.partition(".")[0].lower()
    if _SHA256.fullmatch(name):
        return address, name
    return str(Path(address).absolute()), ""


def _require_photo(database: CrawlDatabase, address: str) -> None:
    pages = "SELECT 1 FROM leads WHERE url = ? AND kind NOT IN ('photo', 'file')"
    if database.rows(pages, address):
        [(count,)] = database.rows("SELECT count(*) FROM leads JOIN photos ON lead = number WHERE page = ?", address)
        found = f"that of a page, {counted(count, 'photo')} found there (column `page` of the manifest)"
        raise DatasetError(f"expected the address of a photo, got {found}")


def _forget_in_stores(removal: Removal, folders: Sequence[str]) -> list[str]:
    """Visits label stores and those into which they were merged; returns the exports that they record."""
    pending, visited = list(folders), set[str]()
    exports = []
    while pending:
        folder = pending.pop(0)
        if folder in visited:
            continue
        visited.add(folder)
        try:
            with LabelStore.open(Path(folder)) as store:
                if store.forget(removal.photos):
                    removal.label_stores.append(folder)
                copies = store.copies()
            if projects := forget_reviews(Path(folder), removal.photos):
                removal.projects[folder] = projects
        except SurfacesError as error:
            removal.failures.append(str(error))
            continue
        pending += [copy.path for copy in copies if copy.kind is CopyKind.STORE]
        shards = {copy.path for copy in copies if copy.kind is CopyKind.SHARDS} | {str(Path(folder) / SHARDS)}
        _forget_in_shards(removal, sorted(shards))
        others = [copy.path for copy in copies if copy.kind not in (CopyKind.STORE, CopyKind.SHARDS)]
        exports += [path for path in others if Path(path).exists()]
    return exports


def _forget_in_shards(removal: Removal, places: Sequence[str]) -> None:
    for place in places:
        try:
            removal.files += forget_in_shards(place, removal.photos)
        except SurfacesError as error:
            removal.failures.append(str(error))


def _search_exports(removal: Removal, folders: Sequence[str], database: CrawlDatabase) -> None:
    known = [photo for photo in database.forgotten_photos() if photo.sha256 in removal.photos]
    for folder in dict.fromkeys(folders):
        try:
            if holds_photo(Path(folder), known):
                removal.holders.append(folder)
        except SurfacesError as error:
            removal.failures.append(str(error))


def _remove_files(removal: Removal, database: CrawlDatabase, corpus: Path, place: str | None) -> bool:
    """Removes the files, also those that better copies replaced; returns whether all storage could be reached."""
    before = len(removal.failures)
    for each in sorted(photo_places(database) | {PHOTOS} | ({place} if place else set())):
        try:
            if each != PHOTOS and not is_remote(each) and not Path(each).is_dir():
                raise OutputError(f"expected photos of the corpus in {each}, got no such folder")
            blobs = open_blob_store(corpus, None if each == PHOTOS else each)
            removal.files += sum(map(blobs.remove, sorted(removal.photos)))
        except SurfacesError as error:
            removal.failures.append(str(error))
    return len(removal.failures) == before
