"""The crawl database (requests, photos, robots.txt, pauses of hosts) and the manifest of its photos."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autolabel.__main__ import main
from autolabel.crawling.database import DATABASE_NAME, FILE_LANES, CrawlDatabase
from autolabel.crawling.filters.statistics import ImageStats
from autolabel.crawling.manifest import MANIFEST_NAME, SCHEMA, write_manifest
from autolabel.crawling.records import (
    CrawlRequest,
    Ended,
    Kind,
    Photo,
    QueuedRequest,
    RobotsRequest,
    RobotsText,
    State,
)
from surfaces.errors import DatasetError, OutputError
from surfaces.store.label_store import LabelStore

_NOW = 1_800_000_000.25
_STATS = ImageStats("ab" * 32, 1234, 640, 480, near_hash="0f" * 8, wall=0.4, seams=0, thumbnail=b"\xff\xd8small")
_PHOTO = Photo(_STATS, "photos/ab/abab.jpg", _NOW, {"etag": '"7"'}, "cd" * 32)
_DROPPED = replace(_PHOTO, path="", stats=replace(_STATS, unreadable="no é", width=0, text=0.0))
_KEPT = Ended(State.DONE, "kept", photo=_PHOTO)
_PROVENANCE = {
    "page": "https://a.example/",
    "title": "Küche \N{CHAIR}",
    "author": "A. Nother",
    "licence": "CC BY 4.0",
    "licence_url": "https://creativecommons.org/licenses/by/4.0/",
    "query": "dining room",
}


@pytest.fixture
def database(tmp_path: Path) -> Iterator[CrawlDatabase]:
    with CrawlDatabase.open(tmp_path, create=True) as database:
        yield database


def _photo(url: str, **known: str) -> CrawlRequest:
    return CrawlRequest(url, Kind.PHOTO, "urls", **known)


def _photos(count: int) -> list[CrawlRequest]:
    return [_photo(f"http://a.example/{number}") for number in range(1, count + 1)]


def _next(database: CrawlDatabase, host: str = "a.example", now: float = _NOW) -> QueuedRequest:
    request = database.next_request(host, now)
    assert isinstance(request, QueuedRequest)
    return request


def test_a_request_is_identified_by_its_url(database: CrawlDatabase) -> None:
    spellings = [_photo("http://A.example:80/x y.jpg#top"), _photo("http://a.example/x%20y.jpg")]
    assert database.add(spellings) == {"a.example"}
    assert database.add([_photo("http://a.example/x%20y.jpg", title="known")]) == set()
    assert database.counts() == {(Kind.PHOTO, State.TODO, ""): 1}
    assert _next(database).request == _photo("http://a.example/x%20y.jpg")


def test_invalid_urls_are_refused(database: CrawlDatabase) -> None:
    assert database.add([_photo("ftp://a.example/x.jpg"), _photo("http://0x7f.1/x.jpg")]) == set()
    assert database.counts() == {(Kind.PHOTO, State.REFUSED, "address"): 2}
    assert database.waiting_hosts() == []


@given(st.text(max_size=20), st.text(alphabet=st.characters(), max_size=20))
def test_any_text_is_stored(tmp_path_factory: pytest.TempPathFactory, title: str, path: str) -> None:
    with CrawlDatabase.open(tmp_path_factory.mktemp("corpus"), create=True) as database:
        database.add([_photo("http://a.example/1", title=title + "\ud83d"), CrawlRequest(path, Kind.FILE, "folder")])
        assert _next(database).request.title == title.encode("utf-8", "replace").decode() + "?"
        assert database.counts().total() == 2


def test_requests_are_added_in_batches(database: CrawlDatabase) -> None:
    def many() -> Iterator[CrawlRequest]:
        for number in range(5000):
            if number % 500 == 0:
                assert database.counts().total() >= number - 1000
            yield _photo(f"http://a.example/{number}")

    database.add(many())
    assert database.counts().total() == 5000


def test_retries_come_last_and_when_they_are_due(database: CrawlDatabase) -> None:
    database.add(_photos(3))
    first = _next(database)
    database.delay(first, _NOW + 10, "unreachable")
    second = _next(database)
    database.end(second, Ended(State.FAILED, "http-404"))
    third = _next(database)
    database.end(third, Ended(State.DONE, "read"))
    assert [request.request.url[-1] for request in (first, second, third)] == ["1", "2", "3"]
    assert database.next_request("a.example", _NOW) is None
    assert database.next_time("a.example") == _NOW + 10
    assert (Kind.PHOTO, State.TODO, "unreachable") in database.counts()
    again = _next(database, now=_NOW + 10)
    assert (again.request, again.tries) == (first.request, 1)


def test_redirects(database: CrawlDatabase) -> None:
    database.add([*_photos(2), _photo("http://b.example/3")])
    first = _next(database)
    assert not database.is_known("http://c.example/x", first)
    assert not database.is_known("http://a.example/1", first)
    assert database.is_known("http://b.example/3", first)
    assert database.redirect(first, "http://c.example/x") == "c.example"
    assert _next(database, "c.example") == replace(first, url="http://c.example/x", redirects=1)
    second = _next(database)
    assert second.url == "http://a.example/2"
    assert database.is_known("http://c.example/x", second)
    assert database.add([_photo("http://c.example/x")]) == set()
    assert database.add([CrawlRequest("http://c.example/x", Kind.PAGE, "pages")]) == {"c.example"}


def test_photos_are_stored_with_their_request(database: CrawlDatabase) -> None:
    request = _photo("http://a.example/1", **_PROVENANCE)
    database.add([request, *_photos(3)])
    assert _next(database) == QueuedRequest(1, request, request.url)
    database.end(_next(database), _KEPT)
    database.end(_next(database), Ended(State.DONE, "unreadable", "0.01", photo=_DROPPED))
    kept, dropped = database.photos()
    assert (kept.request, kept.final_url, kept.reason, kept.detail) == (request, request.url, "kept", "")
    assert kept.photo == _PHOTO
    assert (dropped.reason, dropped.detail, dropped.photo) == ("unreadable", "0.01", _DROPPED)
    assert [entry.number for entry in database.photos("unreadable")] == [2]
    assert list(database.kept_stats()) == [replace(_STATS, thumbnail=b"")]


def test_statistics_of_older_versions_are_read(tmp_path: Path, database: CrawlDatabase) -> None:
    database.add(_photos(1))
    database.end(_next(database), _KEPT)
    with closing(sqlite3.connect(tmp_path / DATABASE_NAME)) as file, file:
        ((stored,),) = file.execute("SELECT facts FROM photos").fetchall()
        assert json.loads(stored).keys() == {"sha256", "size", "width", "height", "near_hash", "wall", "seams"}
        older = {"sha256": "ab" * 32, "size": 7, "wall": 0.4, "sure": 0.2, "floor_above": 0.0}
        file.execute("UPDATE photos SET facts = ?", (json.dumps(older),))
    assert list(database.kept_stats()) == [ImageStats("ab" * 32, 7, wall=0.4)]


@pytest.mark.parametrize(
    ("reason", "detail", "again"),
    [
        ("private-address", "got 10.0.0.1", 1),
        ("address", "got 10.0.0.1; --allow-private permits it", 1),  # in older databases
        ("address", "got 0.0.0.0", 0),
        ("robots", "", 0),
    ],
)
def test_private_addresses_are_rescheduled(database: CrawlDatabase, reason: str, detail: str, again: int) -> None:
    database.add(_photos(1))
    database.end(_next(database), Ended(State.REFUSED, reason, detail))
    assert database.retry_private() == again
    assert database.waiting_counts().total() == again


def test_robots_txt(database: CrawlDatabase) -> None:
    origin = "https://a.example"
    assert database.robots_text(origin) is None
    assert database.next_request("a.example", _NOW) is None
    for _ in range(2):
        database.request_robots(origin)
    assert database.waiting_hosts() == ["a.example"]
    database.add([_photo(f"{origin}/1")])
    request = database.next_request("a.example", _NOW)
    assert request == RobotsRequest(origin, f"{origin}/robots.txt")
    database.store_robots(request, RobotsText(200, b"text"), _NOW)
    assert database.robots_text(origin) == (RobotsText(200, b"text"), _NOW)
    assert _next(database).url == f"{origin}/1"
    database.request_robots(origin)
    assert database.robots_text(origin) is None
    assert database.next_request("a.example", _NOW) == request


def test_files_are_spread_over_lanes(database: CrawlDatabase) -> None:
    hosts = database.add(CrawlRequest(f"/photos/{number}.jpg", Kind.FILE, "folder") for number in range(400))
    assert hosts == set(FILE_LANES)


def test_one_file_remains_after_closing(tmp_path: Path) -> None:
    with CrawlDatabase.open(tmp_path, create=True) as database:
        database.add(_photos(1))
    assert [path.name for path in tmp_path.iterdir()] == [DATABASE_NAME]
    with CrawlDatabase.open(tmp_path) as database:
        assert database.counts().total() == 1


def test_a_file_that_is_no_crawl_database_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / DATABASE_NAME
    with pytest.raises(DatasetError, match=r"expected a crawl database at .*crawl\.sqlite, there is none"):
        CrawlDatabase.open(tmp_path)
    path.write_bytes(b"no database at all, but long enough to look at" * 30)
    with pytest.raises(DatasetError, match=r"expected a crawl database in .*crawl\.sqlite") as raised:
        CrawlDatabase.open(tmp_path, create=True)
    assert "\n" not in str(raised.value)
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(DatasetError, match=r"version 1 in .*, got 99"):
        CrawlDatabase.open(tmp_path, create=True)
    path.unlink()
    path.mkdir()
    with pytest.raises(OutputError, match=r"could not use .*crawl\.sqlite"):
        CrawlDatabase.open(tmp_path, create=True)


def test_a_row_of_the_manifest_has_the_provenance(tmp_path: Path, database: CrawlDatabase) -> None:
    assert pyarrow.parquet.read_table(write_manifest(database, tmp_path)).num_rows == 0
    database.add([_photo("http://a.example/1", **_PROVENANCE), *_photos(2)])
    database.redirect(_next(database), "http://b.example/1")
    database.end(_next(database, "b.example"), _KEPT)
    database.end(_next(database), Ended(State.DONE, "grey", photo=_DROPPED))
    path = write_manifest(database, tmp_path)
    assert path == tmp_path / MANIFEST_NAME
    table = pyarrow.parquet.read_table(path)
    assert table.schema.equals(SCHEMA)
    (row,) = table.to_pylist()
    assert json.loads(row.pop("headers")) == {"etag": '"7"'}
    assert row == _PROVENANCE | {
        "source": "urls",
        "path": "photos/ab/abab.jpg",
        "sha256": "ab" * 32,
        "near_hash": "0f" * 8,
        "bytes": 1234,
        "width": 640,
        "height": 480,
        "url": "http://a.example/1",
        "final_url": "http://b.example/1",
        "time": datetime.fromtimestamp(_NOW, UTC),
    }


def test_photos_are_read_and_the_manifest_is_written_in_batches(
    tmp_path: Path, database: CrawlDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autolabel.crawling.manifest._BATCH", 250)
    database.add(_photos(600))
    for number in range(600):
        database.end(_next(database), replace(_KEPT, photo=replace(_PHOTO, path=f"photos/{number}.jpg")))
    assert [entry.number for entry in database.photos("kept")] == list(range(1, 601))
    file = pyarrow.parquet.ParquetFile(write_manifest(database, tmp_path))
    assert file.num_row_groups == 3
    assert file.read().column("path").to_pylist() == [f"photos/{number}.jpg" for number in range(600)]


def test_an_older_manifest_stays_if_a_new_one_cannot_be_written(tmp_path: Path, database: CrawlDatabase) -> None:
    (tmp_path / MANIFEST_NAME).mkdir()
    (tmp_path / MANIFEST_NAME / "file").write_bytes(b"older")
    with pytest.raises(OutputError, match=r"could not write .*manifest\.parquet"):
        write_manifest(database, tmp_path)
    assert (tmp_path / MANIFEST_NAME / "file").read_bytes() == b"older"
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
