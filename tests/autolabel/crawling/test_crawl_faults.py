"""An exception of one request ends that request; errors of the database and the blob store end the crawl."""

from __future__ import annotations

import sqlite3
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from autolabel.__main__ import main
from autolabel.commands.crawl import SOME_WAIT
from autolabel.crawling.database import DATABASE_NAME, CrawlDatabase
from autolabel.crawling.fetching.fetcher import Fetcher
from autolabel.crawling.records import AnyRequest, CrawlRequest, Kind, Outcome, RobotsText
from autolabel.crawling.sources.parsing import ParseSettings
from surfaces.errors import OutputError
from tests.autolabel.crawling.crawls import LOOPBACK, crawl, ends
from tests.autolabel.crawling.sites import Reply, Site, photo_bytes

pytestmark = pytest.mark.security

_ERRORS = [ValueError("a\nb\x00"), MemoryError(), RecursionError("too deep"), OverflowError("int"), KeyError("x")]


def _raise_at(part: str, error: Exception) -> type[Fetcher]:
    """A fetcher that raises an error after requests to URLs with this part."""

    class Faulty(Fetcher):
        def fetch(self, request: AnyRequest) -> tuple[Outcome | RobotsText, float]:
            outcome = super().fetch(request)
            if part in request.url:
                raise error
            return outcome

    return Faulty


def _good(site: Site) -> list[CrawlRequest]:
    return [CrawlRequest(site.serve_photo(host, "/good.jpg", host), Kind.PHOTO, "urls") for host in range(2)]


@pytest.mark.parametrize("error", _ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("kind", list(Kind), ids=str)
def test_an_exception_ends_one_request(site: Site, corpus: Path, kind: Kind, error: Exception) -> None:
    bad = site.serve_photo(0, "/bad.jpg", 7)
    if kind is Kind.FILE:
        (corpus.parent / "bad.jpg").write_bytes(photo_bytes(7))
        bad = str(corpus.parent / "bad.jpg")
    requests = [CrawlRequest(bad, kind, "urls"), *_good(site)]
    counts = crawl(corpus, requests, fetcher_type=_raise_at("/bad", error))
    assert (counts.kept, counts.ended["error"], counts.suspended) == (2, 1, {})
    assert ends(corpus) == {"kept": 2, "error": 1}
    assert crawl(corpus, requests, resumed=True).requests == 0
    assert main(["crawl", "--out", str(corpus), "--report", str(corpus.parent / "report")]) == 0


@pytest.mark.parametrize("error", _ERRORS, ids=lambda error: type(error).__name__)
def test_an_exception_at_robots_txt_ends_the_requests_of_its_origin(site: Site, corpus: Path, error: Exception) -> None:
    counts = crawl(corpus, _good(site), fetcher_type=_raise_at(site.url(0, "/robots.txt"), error))
    assert (counts.kept, counts.ended["error"]) == (1, 1)
    with sqlite3.connect(corpus / DATABASE_NAME) as file:
        ((detail,),) = file.execute("SELECT detail FROM leads WHERE reason = 'error'").fetchall()
    assert detail.startswith(f"robots.txt: {type(error).__name__}")
    assert detail.isprintable()
    assert crawl(corpus, _good(site), resumed=True).requests == 0


def test_a_full_disk_ends_the_crawl_and_loses_nothing(site: Site, corpus: Path) -> None:
    bad = site.serve_photo(0, "/bad.jpg", 7)
    with pytest.raises(OutputError, match="disk full"):
        crawl(corpus, [bad], fetcher_type=_raise_at("/bad", OutputError("disk full")))
    assert ends(corpus) == {"todo": 1}
    assert crawl(corpus, []).kept == 1


def test_hostile_responses_of_every_kind(site: Site, corpus: Path) -> None:
    """Each once ended the crawl, or is similar; honest photos beside them are kept."""
    deep = b"[" * 100_000
    rows = np.random.default_rng(0).integers(0, 255, (16, 60_000, 3)).astype(np.uint8)
    narrow = cv2.imencode(".jpg", rows)[1].tobytes()
    html, json = ({"Content-Type": name} for name in ("text/html", "application/json"))
    search = "/v1/images/?q=a&page=1&page_size=20"
    page = Reply(b"<script type='application/ld+json'>" + deep, headers=html)
    requests = [
        CrawlRequest(site.serve(0, "/narrow.jpg", Reply(narrow)), Kind.PHOTO, "urls"),
        CrawlRequest(site.serve(0, "/page", page), Kind.PAGE, "x"),
        CrawlRequest(site.serve(0, "/map", Reply(b"<urlset>" + b"<a>" * 1000)), Kind.SITEMAP, "sitemaps"),
        CrawlRequest(site.serve(0, search, Reply(b'{"results": ' + deep, headers=json)), Kind.OPENVERSE, "openverse"),
        CrawlRequest(site.serve(0, "/w/api.php", Reply(deep, headers=json)), Kind.WIKIMEDIA, "wikimedia"),
        _good(site)[1],
    ]
    parsing = ParseSettings(openverse=site.url(0, ""), wikimedia=site.url(0, ""))
    crawl(corpus, requests, fetching=replace(LOOPBACK, parsing=parsing))
    assert ends(corpus) == {"kept": 2, "read": 1, "not-as-expected": 3}


def _corpus_with_robots(site: Site, folder: Path, robots: object) -> Path:
    """A corpus whose database holds a robots.txt as an older version may have stored it."""
    with CrawlDatabase.open(folder, create=True) as database:
        database.add(_good(site))
    with sqlite3.connect(folder / DATABASE_NAME) as file:
        file.execute(
            "INSERT INTO robots (origin, address, host, time, status, body) VALUES (?, ?, ?, ?, 200, ?)",
            (site.url(0, ""), site.url(0, "/robots.txt"), site.hosts[0], time.time(), robots),
        )
    return folder


def test_a_stored_robots_txt_with_an_endless_delay_does_not_end_a_resumed_crawl(site: Site, corpus: Path) -> None:
    corpus = _corpus_with_robots(site, corpus.parent, b"User-agent: *\nRequest-rate: 1/" + b"9" * 400)
    quick = ("--allow-private", "--any-picture", "--min-side", "16", "--rate", "50")
    for _ in range(2):
        assert main(["crawl", "--out", str(corpus), *quick]) == SOME_WAIT
        assert ends(corpus) == {"kept": 1, "todo": 1}


@pytest.mark.parametrize("robots", ["text instead of bytes", 7, None], ids=["text", "number", "none"])
def test_a_stored_robots_txt_of_another_type_is_fetched_again(site: Site, corpus: Path, robots: object) -> None:
    assert crawl(_corpus_with_robots(site, corpus.parent, robots), []).kept == 2
    assert site.times_asked()[site.hosts[0], "/robots.txt"] == 1
