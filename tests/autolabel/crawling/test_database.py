"""What a crawl remembers: leads, photos, robots.txt, hosts."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autolabel.crawling.database import DATABASE_NAME, FILE_LANES, CrawlDatabase
from autolabel.crawling.facts import Facts
from autolabel.crawling.lead import Kind, Lead
from autolabel.crawling.records import Ended, Photo, Request, RobotsText, State, Superseded
from surfaces.errors import DatasetError, OutputError

_NOW = 1_800_000_000.0
_FACTS = Facts("ab" * 32, 1234, 640, 480, near_hash="0f" * 8, wall=0.4, thumbnail=b"\xff\xd8small")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[CrawlDatabase]:
    with CrawlDatabase.open(tmp_path, create=True) as ledger:
        yield ledger


def _photo(url: str, **known: str) -> Lead:
    return Lead(url, Kind.PHOTO, "urls", **known)


def _next(ledger: CrawlDatabase, host: str = "a.example", now: float = _NOW) -> Request:
    request = ledger.next_request(host, now)
    assert request is not None
    return request


def test_a_lead_is_known_by_its_address(ledger: CrawlDatabase) -> None:
    assert ledger.add([_photo("http://A.example:80/x y.jpg#top"), _photo("http://a.example/x%20y.jpg")]) == {
        "a.example"
    }
    assert ledger.add([_photo("http://a.example/x%20y.jpg", title="known")]) == set()
    assert ledger.counts() == {(Kind.PHOTO, State.TODO, ""): 1}
    assert _next(ledger).lead == _photo("http://a.example/x%20y.jpg")


def test_what_is_no_address_is_refused_at_once(ledger: CrawlDatabase) -> None:
    assert ledger.add([_photo("ftp://a.example/x.jpg"), _photo("http://0x7f.1/x.jpg")]) == set()
    assert ledger.counts() == {(Kind.PHOTO, State.REFUSED, "address"): 2}
    assert ledger.waiting_hosts() == []


def test_what_is_known_of_a_lead_comes_back(ledger: CrawlDatabase) -> None:
    lead = _photo(
        "https://a.example/x.jpg",
        page="https://a.example/",
        title="Küche \N{CHAIR}",
        author="A. Nother",
        licence="CC BY 4.0",
        licence_url="https://creativecommons.org/licenses/by/4.0/",
    )
    ledger.add([lead])
    assert _next(ledger) == Request(1, lead, lead.url)


@given(st.text(max_size=20), st.text(alphabet=st.characters(), max_size=20))
def test_any_text_can_be_kept(tmp_path_factory: pytest.TempPathFactory, title: str, path: str) -> None:
    with CrawlDatabase.open(tmp_path_factory.mktemp("corpus"), create=True) as ledger:
        ledger.add([_photo("http://a.example/1", title=title + "\ud83d"), Lead(path, Kind.FILE, "folder")])
        assert _next(ledger).lead.title == title.encode("utf-8", "replace").decode() + "?"
        assert ledger.counts().total() == 2


def test_leads_are_added_while_they_are_found(ledger: CrawlDatabase) -> None:
    def many() -> Iterator[Lead]:
        for number in range(5000):
            if number % 500 == 0:
                assert ledger.counts().total() >= number - 1000
            yield _photo(f"http://a.example/{number}")

    ledger.add(many())
    assert ledger.counts().total() == 5000


def test_what_failed_comes_after_what_was_not_tried(ledger: CrawlDatabase) -> None:
    ledger.add(_photo(f"http://a.example/{number}") for number in range(3))
    first = _next(ledger)
    ledger.delay(first, _NOW + 10, "unreachable")
    second = _next(ledger)
    ledger.end(second, Ended(State.FAILED, "http-404"))
    third = _next(ledger)
    ledger.end(third, Ended(State.DONE, "read"))
    assert [request.lead.url[-1] for request in (first, second, third)] == ["0", "1", "2"]
    assert ledger.next_request("a.example", _NOW) is None
    assert ledger.next_time("a.example") == _NOW + 10
    again = _next(ledger, now=_NOW + 10)
    assert (again.lead, again.tries) == (first.lead, 1)


def test_hosts_wait_as_long_as_leads_do(ledger: CrawlDatabase) -> None:
    ledger.add([_photo("http://a.example/1"), _photo("https://b.example:8443/1")])
    assert sorted(ledger.waiting_hosts()) == ["a.example", "b.example"]
    assert ledger.waiting_counts() == {"a.example": 1, "b.example": 1}
    ledger.end(_next(ledger), Ended(State.DONE, "read"))
    assert ledger.waiting_hosts() == ["b.example"]
    assert ledger.next_time("a.example") is None


def test_the_end_of_a_lead_brings_new_ones(ledger: CrawlDatabase) -> None:
    ledger.add([Lead("http://a.example/", Kind.PAGE, "pages")])
    leads = (_photo("http://b.example/1.jpg"), _photo("http://a.example/"), _photo("http://b.example/1.jpg"))
    assert ledger.end(_next(ledger), Ended(State.DONE, "read", leads=leads)) == {"b.example"}
    assert ledger.counts() == {(Kind.PAGE, State.DONE, "read"): 1, (Kind.PHOTO, State.TODO, ""): 1}


def test_a_redirected_lead_waits_for_its_new_host(ledger: CrawlDatabase) -> None:
    ledger.add([_photo("http://a.example/1")])
    request = _next(ledger)
    assert ledger.redirect(request, "https://b.example/2") == "b.example"
    assert ledger.next_request("a.example", _NOW) is None
    assert _next(ledger, "b.example") == replace(request, address="https://b.example/2", redirects=1)


def test_where_a_lead_was_redirected_to_is_known(ledger: CrawlDatabase) -> None:
    ledger.add([_photo("http://a.example/1"), _photo("http://a.example/2"), _photo("http://b.example/3")])
    first = _next(ledger)
    assert not ledger.is_known("http://c.example/x", first)
    assert not ledger.is_known("http://a.example/1", first)
    assert ledger.is_known("http://b.example/3", first)
    ledger.redirect(first, "http://c.example/x")
    assert ledger.is_known("http://c.example/x", _next(ledger))
    assert ledger.add([_photo("http://c.example/x")]) == set()
    assert ledger.add([Lead("http://c.example/x", Kind.PAGE, "pages")]) == {"c.example"}


def _ended_photo(path: str = "photos/ab/abab.jpg") -> Photo:
    return Photo(_FACTS, path, _NOW, {"content-type": "image/jpeg"}, "cd" * 32)


def test_photos_keep_what_is_known_of_them(ledger: CrawlDatabase) -> None:
    ledger.add([_photo("http://a.example/1", author="A"), _photo("http://a.example/2"), _photo("http://a.example/3")])
    ledger.end(_next(ledger), Ended(State.DONE, "kept", photo=_ended_photo()))
    ledger.end(_next(ledger), Ended(State.DONE, "grey", "0.01", photo=_ended_photo("")))
    kept, dropped = ledger.photos()
    assert (kept.lead.author, kept.final_url, kept.reason, kept.detail) == ("A", "http://a.example/1", "kept", "")
    assert kept.photo == _ended_photo()
    assert (dropped.reason, dropped.detail, dropped.photo) == ("grey", "0.01", _ended_photo(""))
    assert [entry.number for entry in ledger.photos("grey")] == [2]
    assert list(ledger.kept_facts()) == [replace(_FACTS, thumbnail=b"")]


def test_a_better_copy_supersedes_a_kept_photo(ledger: CrawlDatabase) -> None:
    ledger.add([_photo("http://a.example/1"), _photo("http://a.example/2")])
    ledger.end(_next(ledger), Ended(State.DONE, "kept", photo=_ended_photo()))
    assert ledger.is_kept(_FACTS.sha256)
    better = replace(_ended_photo("photos/ef/efef.jpg"), facts=replace(_FACTS, sha256="ef" * 32))
    superseded = Superseded(_FACTS.sha256, "near-duplicate", "a better copy came")
    ledger.end(_next(ledger), Ended(State.DONE, "kept", photo=better, supersedes=(superseded,)))
    assert not ledger.is_kept(_FACTS.sha256)
    old, new = ledger.photos()
    assert (old.reason, old.detail, old.photo.path, old.photo.duplicate_of) == (
        *("near-duplicate", "a better copy came", ""),
        "ef" * 32,
    )
    assert (new.reason, new.photo) == ("kept", better)
    assert [facts.sha256 for facts in ledger.kept_facts()] == ["ef" * 32]


def test_photos_are_read_in_parts(ledger: CrawlDatabase) -> None:
    ledger.add(_photo(f"http://a.example/{number}") for number in range(600))
    for _ in range(600):
        ledger.end(_next(ledger), Ended(State.DONE, "kept", photo=_ended_photo()))
    assert [entry.number for entry in ledger.photos("kept")] == list(range(1, 601))


def test_failed_leads_can_be_tried_again(ledger: CrawlDatabase) -> None:
    ledger.add([_photo("http://a.example/1"), _photo("http://a.example/2")])
    ledger.end(_next(ledger), Ended(State.FAILED, "http-404"))
    ledger.end(_next(ledger), Ended(State.REFUSED, "robots"))
    assert ledger.retry_failed() == 1
    assert _next(ledger).lead.url == "http://a.example/1"


@pytest.mark.parametrize(
    ("reason", "detail", "again"),
    [
        ("private-address", "got 10.0.0.1", 1),
        ("address", "got 10.0.0.1; --allow-private permits it", 1),
        ("address", "got 0.0.0.0", 0),
        ("robots", "", 0),
    ],
    ids=["private", "private in an older ledger", "no address", "robots"],
)
def test_private_addresses_can_be_tried_again(ledger: CrawlDatabase, reason: str, detail: str, again: int) -> None:
    ledger.add([_photo("http://a.example/1")])
    ledger.end(_next(ledger), Ended(State.REFUSED, reason, detail))
    assert ledger.retry_private() == again
    assert ledger.waiting_counts().total() == again


def test_robots_txt_is_wanted_once(ledger: CrawlDatabase) -> None:
    robots = ledger.robots
    origin = "https://a.example"
    assert robots.answer(origin) is None
    assert robots.next_request("a.example", _NOW) is None
    robots.want(origin)
    robots.want(origin)
    assert ledger.waiting_hosts() == ["a.example"]
    request = robots.next_request("a.example", _NOW)
    assert request is not None
    assert (request.origin, request.address) == (origin, f"{origin}/robots.txt")
    robots.store(request, RobotsText(200, b"text"), _NOW)
    assert robots.answer(origin) == (RobotsText(200, b"text"), _NOW)
    assert robots.next_request("a.example", _NOW) is None
    robots.want(origin)
    assert robots.answer(origin) is None
    assert robots.next_request("a.example", _NOW) == request


def test_robots_txt_elsewhere_and_later(ledger: CrawlDatabase) -> None:
    robots = ledger.robots
    robots.want("http://a.example")
    request = robots.next_request("a.example", _NOW)
    assert request is not None
    assert robots.redirect(request, "https://www.a.example/robots.txt") == "www.a.example"
    assert robots.wanted_from("http://a.example") == "www.a.example"
    assert robots.next_request("a.example", _NOW) is None
    robots.delay(request, _NOW + 5)
    assert robots.next_request("www.a.example", _NOW) is None
    assert ledger.next_time("www.a.example") == _NOW + 5
    later = robots.next_request("www.a.example", _NOW + 5)
    assert later is not None
    assert (later.redirects, later.tries) == (1, 1)
    robots.forget(later)
    assert robots.wanted_from("http://a.example") is None


def test_hosts_that_are_to_be_left_alone(ledger: CrawlDatabase) -> None:
    ledger.leave_alone("a.example", _NOW)
    ledger.leave_alone("a.example", _NOW + 60)
    assert ledger.left_alone() == {"a.example": _NOW + 60}


def test_files_are_spread_over_lanes(ledger: CrawlDatabase) -> None:
    hosts = ledger.add(Lead(f"/photos/{number}.jpg", Kind.FILE, "folder") for number in range(400))
    assert hosts == set(FILE_LANES)


def test_all_is_there_after_it_was_closed(tmp_path: Path) -> None:
    with CrawlDatabase.open(tmp_path, create=True) as ledger:
        ledger.add([_photo("http://a.example/1")])
    assert [path.name for path in tmp_path.iterdir()] == [DATABASE_NAME]
    with CrawlDatabase.open(tmp_path) as ledger:
        assert ledger.counts().total() == 1


def test_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"expected a crawl's ledger at .*crawl\.sqlite, there is none"):
        CrawlDatabase.open(tmp_path)


def test_it_cannot_be_begun(tmp_path: Path) -> None:
    (tmp_path / DATABASE_NAME).mkdir()
    with pytest.raises(OutputError, match=r"could not use .*crawl\.sqlite"):
        CrawlDatabase.open(tmp_path, create=True)


def test_a_broken_ledger_is_one_line(tmp_path: Path) -> None:
    (tmp_path / DATABASE_NAME).write_bytes(b"no database at all, but long enough to look at" * 30)
    with pytest.raises(DatasetError, match=r"expected a crawl's ledger in .*crawl\.sqlite") as told:
        CrawlDatabase.open(tmp_path, create=True)
    assert "\n" not in str(told.value)


def test_a_ledger_of_another_version_is_one_line(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / DATABASE_NAME) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(DatasetError, match=r"version 1 in .*, got 99"):
        CrawlDatabase.open(tmp_path, create=True)
