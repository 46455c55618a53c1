"""The manifest: one row per kept photo, which `autolabel run` labels."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet
import pytest

from autolabel.__main__ import main
from autolabel.crawling.database import CrawlDatabase
from autolabel.crawling.filters.statistics import ImageStats
from autolabel.crawling.manifest import MANIFEST_NAME, SCHEMA, write_manifest
from autolabel.crawling.records import Ended, Photo, QueuedRequest, State
from autolabel.crawling.requests import CrawlRequest, Kind
from surfaces.errors import OutputError
from surfaces.store.label_store import LabelStore

_TIME = 1_800_000_000.25
_PROVENANCE = {
    "source": "openverse",
    "page": "http://a.example/",
    "title": "T",
    "author": "A",
    "licence": "CC0 1.0",
    "licence_url": "http://cc.example",
}


def _database(corpus: Path, photos: list[tuple[str, str]]) -> CrawlDatabase:
    """A database of photos with these paths and reasons."""
    database = CrawlDatabase.open(corpus, create=True)
    for number, (path, reason) in enumerate(photos):
        database.add([CrawlRequest(f"http://a.example/{number}.jpg", Kind.PHOTO, **_PROVENANCE)])
        request = database.next_request("a.example", _TIME)
        assert isinstance(request, QueuedRequest)
        stats = ImageStats(f"{number:064x}", 1000 + number, 640, 480, near_hash="0f")
        database.end(request, Ended(State.DONE, reason, photo=Photo(stats, path, _TIME, {"etag": '"7"'})))
    return database


def test_a_row_has_the_provenance(tmp_path: Path) -> None:
    with _database(tmp_path, [("photos/a.jpg", "kept"), ("", "grey")]) as database:
        path = write_manifest(database, tmp_path)
    assert path == tmp_path / MANIFEST_NAME
    table = pyarrow.parquet.read_table(path)
    assert table.schema.equals(SCHEMA)
    (row,) = table.to_pylist()
    assert json.loads(row.pop("headers")) == {"etag": '"7"'}
    assert row == _PROVENANCE | {
        "path": "photos/a.jpg",
        "sha256": "0" * 64,
        "near_hash": "0f",
        "bytes": 1000,
        "width": 640,
        "height": 480,
        "url": "http://a.example/0.jpg",
        "final_url": "http://a.example/0.jpg",
        "time": datetime.fromtimestamp(_TIME, UTC),
    }


def test_it_is_empty_without_photos(tmp_path: Path) -> None:
    with _database(tmp_path, []) as database:
        table = pyarrow.parquet.read_table(write_manifest(database, tmp_path))
    assert (table.num_rows, table.schema.equals(SCHEMA)) == (0, True)


def test_it_is_written_in_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autolabel.crawling.manifest._BATCH", 3)
    with _database(tmp_path, [(f"photos/{n}.jpg", "kept") for n in range(8)]) as database:
        file = pyarrow.parquet.ParquetFile(write_manifest(database, tmp_path))
    assert file.num_row_groups == 3
    assert file.read().column("path").to_pylist() == [f"photos/{n}.jpg" for n in range(8)]


def test_an_older_one_stays_if_a_new_one_cannot_be_written(tmp_path: Path) -> None:
    with _database(tmp_path, [("photos/a.jpg", "kept")]) as database:
        path = write_manifest(database, tmp_path)
        before = path.read_bytes()
        path.unlink()
        path.mkdir()
        (path / "file").write_bytes(before)
        with pytest.raises(OutputError, match=r"could not write .*manifest\.parquet"):
            write_manifest(database, tmp_path)
    assert (path / "file").read_bytes() == before
    assert not list(tmp_path.glob(".*.tmp"))


def test_crawled_photos_can_be_labelled(room_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "rooms").mkdir()
    for name in ("room_01.jpg", "room_02.jpg"):
        shutil.copy(room_path.with_name(name), tmp_path / "rooms")
    corpus, labels = tmp_path / "corpus", tmp_path / "labels"
    options = ("--min-side", "100", "--any-picture", "--quiet")
    assert main(["crawl", "--out", str(corpus), "--folder", str(tmp_path / "rooms"), *options]) == 0
    manifest = capsys.readouterr().out.strip()
    assert manifest == str(corpus / MANIFEST_NAME)
    assert main(["run", manifest, "--out", str(labels), "--teacher", "student", "--quiet"]) == 0
    with LabelStore.open(labels) as store:
        photos = [photo.sha256 for photo in store.photos()]
        sources = {path for sha256 in photos for path in store.sources(sha256)}
    assert len(photos) == 2
    assert sources == {str(corpus / "photos" / sha256[:2] / f"{sha256}.jpg") for sha256 in photos}
