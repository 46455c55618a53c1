"""What an item raises ends that item and never the crawl; what the crawl itself needs and cannot have ends it."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from crawls import LOOPBACK, QUICK, crawl, ends
from sites import ALLOW_ALL, Reply, Site, photo_bytes

from autolabel.__main__ import main
from autolabel.crawl import SOME_WAIT
from autolabel.crawling.database import DATABASE_NAME, CrawlDatabase
from autolabel.crawling.fetching.fetcher import Fetcher
from autolabel.crawling.lead import Kind, Lead
from autolabel.crawling.reading import ReadSettings
from autolabel.crawling.records import Outcome, QueuedRequest, RobotsRequest, RobotsText
from surfaces.errors import OutputError

pytestmark = pytest.mark.security

_HTML, _JSON = {"Content-Type": "text/html"}, {"Content-Type": "application/json"}


@pytest.fixture
def site() -> Iterator[Site]:
    with Site(2) as site:
        for host in range(2):
            site.serve(host, "/robots.txt", Reply(ALLOW_ALL))
            site.serve(host, "/good.jpg", Reply(photo_bytes(host)))
        yield site


def _raising(error: Exception, robots: bool = False) -> type[Fetcher]:
    """An asker that raises an error where it asks for `/bad…`, or the robots.txt of the first host."""

    class Faulty(Fetcher):
        def fetch(self, request: QueuedRequest | RobotsRequest) -> tuple[Outcome | RobotsText, float]:
            if isinstance(request, RobotsRequest):
                if robots and request.origin.startswith("http://127.0.1.1:"):
                    raise error
                return super().fetch(request)
            outcome = super().fetch(request)
            if "/bad" in request.url:
                raise error
            return outcome

    return Faulty


_ERRORS = [ValueError("a\nb\x00"), MemoryError(), RecursionError("too deep"), OverflowError("int"), KeyError("x")]


@pytest.mark.parametrize("error", _ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("kind", list(Kind), ids=str)
def test_whatever_an_item_raises_ends_it_alone(site: Site, tmp_path: Path, kind: Kind, error: Exception) -> None:
    bad = site.serve(0, "/bad.jpg", Reply(photo_bytes(7)))
    if kind is Kind.FILE:
        (tmp_path / "bad.jpg").write_bytes(photo_bytes(7))
        bad = str(tmp_path / "bad.jpg")
    leads = [Lead(bad, kind, "urls"), *(Lead(site.url(host, "/good.jpg"), Kind.PHOTO, "urls") for host in range(2))]
    counts = crawl(tmp_path / "c", leads, fetcher_type=_raising(error))
    assert (counts.kept, counts.ended["error"], counts.suspended) == (2, 1, {})
    assert ends(tmp_path / "c") == {"kept": 2, "error": 1}
    assert crawl(tmp_path / "c", leads, resumed=True).requests == 0
    assert main(["crawl", "--out", str(tmp_path / "c"), "--report", str(tmp_path / "report")]) == 0


@pytest.mark.parametrize("error", _ERRORS, ids=lambda error: type(error).__name__)
def test_whatever_a_robots_txt_raises_ends_what_it_is_for(site: Site, tmp_path: Path, error: Exception) -> None:
    leads = [site.url(host, "/good.jpg") for host in range(2)]
    counts = crawl(tmp_path / "c", leads, fetcher_type=_raising(error, robots=True))
    assert (counts.kept, counts.ended["error"]) == (1, 1)
    with sqlite3.connect(tmp_path / "c" / DATABASE_NAME) as ledger:
        ((detail,),) = ledger.execute("SELECT detail FROM leads WHERE reason = 'error'").fetchall()
    assert detail.startswith(f"robots.txt: {type(error).__name__}")
    assert detail.isprintable()
    assert crawl(tmp_path / "c", leads, resumed=True).requests == 0


def test_what_a_corpus_cannot_store_ends_the_crawl_and_loses_nothing(site: Site, tmp_path: Path) -> None:
    bad = site.serve(0, "/bad.jpg", Reply(photo_bytes(7)))
    with pytest.raises(OutputError, match="disk full"):
        crawl(tmp_path / "c", [bad], fetcher_type=_raising(OutputError("disk full")))
    assert ends(tmp_path / "c") == {"todo": 1}
    assert crawl(tmp_path / "c", []).kept == 1


def _narrow_photo() -> bytes:
    rows = np.random.default_rng(0).integers(0, 255, (16, 60_000, 3)).astype(np.uint8)
    return cv2.imencode(".jpg", rows)[1].tobytes()


def test_hostile_items_of_every_kind(site: Site, tmp_path: Path) -> None:
    """Each host gives what once ended the crawl, or what is near to it; what is honest beside it is kept."""
    deep = b"[" * 100_000
    site.serve(0, "/v1/images/?q=a&page=1&page_size=20", Reply(b'{"results": ' + deep, headers=_JSON))
    site.serve(0, "/w/api.php", Reply(deep, headers=_JSON))
    leads = [
        Lead(site.serve(0, "/narrow.jpg", Reply(_narrow_photo())), Kind.PHOTO, "urls"),
        Lead(
            site.serve(0, "/page", Reply(b"<script type='application/ld+json'>" + deep, headers=_HTML)), Kind.PAGE, "x"
        ),
        Lead(site.serve(0, "/map", Reply(b"<urlset>" + b"<a>" * 1000)), Kind.SITEMAP, "sitemaps"),
        Lead(site.url(0, "/v1/images/?q=a&page=1&page_size=20"), Kind.OPENVERSE, "openverse"),
        Lead(site.url(0, "/w/api.php"), Kind.WIKIMEDIA, "wikimedia"),
        Lead(site.url(1, "/good.jpg"), Kind.PHOTO, "urls"),
    ]
    address = site.url(0, "")
    fetching = replace(LOOPBACK, parsing=ReadSettings(openverse=address, wikimedia=address))
    crawl(tmp_path / "c", leads, fetching=fetching)
    assert ends(tmp_path / "c") == {"kept": 2, "read": 1, "not-as-expected": 3}


def _corpus_with_robots(site: Site, folder: Path, robots: object) -> Path:
    """A corpus whose ledger holds a robots.txt as an older version stored it."""
    with CrawlDatabase.open(folder, create=True) as ledger:
        ledger.add(Lead(site.url(host, "/good.jpg"), Kind.PHOTO, "urls") for host in range(2))
    with sqlite3.connect(folder / DATABASE_NAME) as ledger_file:
        ledger_file.execute(
            "INSERT INTO robots (origin, address, host, time, status, body) VALUES (?, ?, ?, ?, 200, ?)",
            (site.url(0, ""), site.url(0, "/robots.txt"), site.hosts[0], time.time(), robots),
        )
    return folder


def test_a_stored_robots_txt_that_asks_for_ages_does_not_poison_a_resumed_crawl(site: Site, tmp_path: Path) -> None:
    robots = b"User-agent: *\nRequest-rate: 1/" + b"9" * 400
    corpus = _corpus_with_robots(site, tmp_path, robots)
    quick = ("--allow-private", "--any-picture", "--min-side", "16", "--rate", "50")
    for _ in range(2):
        assert main(["crawl", "--out", str(corpus), *quick]) == SOME_WAIT
        assert ends(corpus) == {"kept": 1, "todo": 1}


@pytest.mark.parametrize("robots", ["text instead of bytes", 7, None], ids=["text", "number", "none"])
def test_a_stored_robots_txt_of_another_type_is_asked_for_again(site: Site, tmp_path: Path, robots: object) -> None:
    assert crawl(_corpus_with_robots(site, tmp_path, robots), [], QUICK).kept == 2
    assert site.times_asked()[site.hosts[0], "/robots.txt"] == 1
