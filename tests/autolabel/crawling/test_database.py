"""The crawl database: requests, photos, robots.txt, pauses of hosts."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autolabel.crawling.database import DATABASE_NAME, FILE_LANES, CrawlDatabase
from autolabel.crawling.filters.statistics import ImageStats
from autolabel.crawling.records import Ended, Photo, QueuedRequest, RobotsRequest, RobotsText, State
from autolabel.crawling.requests import CrawlRequest, Kind
from surfaces.errors import DatasetError, OutputError

_NOW = 1_800_000_000.0
_STATS = ImageStats("ab" * 32, 1234, 640, 480, near_hash="0f" * 8, wall=0.4, thumbnail=b"\xff\xd8small")
_PHOTO = Photo(_STATS, "photos/ab/abab.jpg", _NOW, {"content-type": "image/jpeg"}, "cd" * 32)
_DROPPED = replace(_PHOTO, path="")
_DONE = Ended(State.DONE, "read")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[CrawlDatabase]:
    with CrawlDatabase.open(tmp_path, create=True) as database:
        yield database


def _photo(url: str, **known: str) -> CrawlRequest:
    return CrawlRequest(url, Kind.PHOTO, "urls", **known)


def _photos(count: int, host: str = "a.example") -> list[CrawlRequest]:
    return [_photo(f"http://{host}/{number}") for number in range(1, count + 1)]


def _next(database: CrawlDatabase, host: str = "a.example", now: float = _NOW) -> QueuedRequest:
    request = database.next_request(host, now)
    assert isinstance(request, QueuedRequest)
    return request


def _next_robots(database: CrawlDatabase, host: str = "a.example", now: float = _NOW) -> RobotsRequest:
    request = database.next_request(host, now)
    assert isinstance(request, RobotsRequest)
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


def test_all_fields_of_a_request_are_stored(database: CrawlDatabase) -> None:
    licence = {"licence": "CC BY 4.0", "licence_url": "https://creativecommons.org/licenses/by/4.0/"}
    known = {"page": "https://a.example/", "title": "Küche \N{CHAIR}", "author": "A. Nother"}
    request = _photo("https://a.example/x.jpg", **known, **licence)
    database.add([request])
    assert _next(database) == QueuedRequest(1, request, request.url)


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
    database.end(third, _DONE)
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
    database.add([_photo("http://a.example/1", author="A"), *_photos(3)])
    database.end(_next(database), Ended(State.DONE, "kept", photo=_PHOTO))
    database.end(_next(database), Ended(State.DONE, "grey", "0.01", photo=_DROPPED))
    kept, dropped = database.photos()
    assert (kept.request.author, kept.final_url, kept.reason, kept.detail) == ("A", "http://a.example/1", "kept", "")
    assert kept.photo == _PHOTO
    assert (dropped.reason, dropped.detail, dropped.photo) == ("grey", "0.01", _DROPPED)
    assert [entry.number for entry in database.photos("grey")] == [2]
    assert list(database.kept_stats()) == [replace(_STATS, thumbnail=b"")]


def test_photos_are_read_in_batches(database: CrawlDatabase) -> None:
    database.add(_photos(600))
    for _ in range(600):
        database.end(_next(database), Ended(State.DONE, "kept", photo=_PHOTO))
    assert [entry.number for entry in database.photos("kept")] == list(range(1, 601))


@pytest.mark.parametrize(
    ("reason", "detail", "again"),
    [
        ("private-address", "got 10.0.0.1", 1),
        ("address", "got 10.0.0.1; --allow-private permits it", 1),
        ("address", "got 0.0.0.0", 0),
        ("robots", "", 0),
    ],
    ids=["private", "private in an older database", "invalid", "robots"],
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
    request = _next_robots(database)
    assert request == RobotsRequest(origin, f"{origin}/robots.txt")
    database.store_robots(request, RobotsText(200, b"text"), _NOW)
    assert database.robots_text(origin) == (RobotsText(200, b"text"), _NOW)
    assert _next(database).url == f"{origin}/1"
    database.request_robots(origin)
    assert database.robots_text(origin) is None
    assert _next_robots(database) == request


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
    with pytest.raises(DatasetError, match=r"expected a crawl database at .*crawl\.sqlite, there is none"):
        CrawlDatabase.open(tmp_path)
    (tmp_path / DATABASE_NAME).write_bytes(b"no database at all, but long enough to look at" * 30)
    with pytest.raises(DatasetError, match=r"expected a crawl database in .*crawl\.sqlite") as raised:
        CrawlDatabase.open(tmp_path, create=True)
    assert "\n" not in str(raised.value)
    (tmp_path / DATABASE_NAME).unlink()
    with sqlite3.connect(tmp_path / DATABASE_NAME) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(DatasetError, match=r"version 1 in .*, got 99"):
        CrawlDatabase.open(tmp_path, create=True)
    (tmp_path / DATABASE_NAME).unlink()
    (tmp_path / DATABASE_NAME).mkdir()
    with pytest.raises(OutputError, match=r"could not use .*crawl\.sqlite"):
        CrawlDatabase.open(tmp_path, create=True)
