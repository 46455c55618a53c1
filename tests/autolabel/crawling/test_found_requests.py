"""Limits of the URLs found in responses: hostile sitemaps and pages do not decide how large a crawl becomes."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path

import pytest

from autolabel.__main__ import main
from autolabel.crawling.database import CrawlDatabase
from autolabel.crawling.found_requests import FoundLimits, FoundRequests
from autolabel.crawling.records import CrawlRequest, Kind
from autolabel.crawling.sources.pages import parse_page
from autolabel.crawling.sources.parsing import ParseSettings
from autolabel.crawling.sources.sitemaps import parse_sitemap
from autolabel.crawling.sources.urls import FOUND_MAX
from tests.autolabel.crawling.crawls import LOOPBACK, QUICK, crawl, ends
from tests.autolabel.crawling.sites import Reply, Site, photo_bytes, response

_URL = "https://www.example.com/map"
_FOLLOW = ParseSettings(follow=True)


def _sitemap(site: Site, host: int, count: int) -> Reply:
    urls = [site.serve(host, f"/{number}.jpg", Reply(photo_bytes(10 * host + number))) for number in range(count)]
    entries = "".join(f"<url><loc>{url}</loc></url>" for url in urls)
    return Reply(gzip.compress(f"<urlset>{entries}</urlset>".encode()))


def test_the_urls_of_a_host_are_limited(site: Site, corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    maps = [site.serve(host, "/map", _sitemap(site, host, 4)) for host in range(2)]
    more = site.serve(0, "/more", _sitemap(site, 0, 9))
    command = ["crawl", "--out", str(corpus), "--allow-private", "--any-picture", "--min-side", "16"]
    command += ["--rate", "50", "--found-per-host", "3"]
    assert main([*command, "--sitemap", *maps]) == 0
    err = capsys.readouterr().err
    assert "left out: 2 addresses beyond the limits, 1 of 127.0.1." in err
    assert ends(corpus) == {"read": 2, "kept": 6}
    # The next run requests nothing of which nothing would be kept.
    assert main([*command, "--sitemap", more]) == 0
    assert ends(corpus) == {"read": 2, "kept": 6, "too-many": 1}
    assert (site.hosts[0], "/more") not in site.times_asked()
    assert main([*command[:-1], "5", "--retry-failed"]) == 0
    assert ends(corpus) == {"read": 3, "kept": 8}


def test_the_urls_of_all_hosts_are_limited(site: Site, corpus: Path) -> None:
    maps = [site.serve(host, "/map", _sitemap(site, host, 4)) for host in range(2)]
    requests = [CrawlRequest(url, Kind.SITEMAP, "sitemaps") for url in maps]
    counts = crawl(corpus, requests, replace(QUICK, found=FoundLimits(crawl=5)))
    assert (counts.kept, counts.left_out.total()) == (5, 3)


def test_known_urls_count_once(site: Site, corpus: Path) -> None:
    """Menus repeat the same links on each page."""
    links = "".join(f"<a href='/{number}.html'></a>" for number in range(5))
    reply = Reply(links.encode(), headers={"Content-Type": "text/html"})
    pages = [CrawlRequest(site.serve(0, f"/{n}.html", reply), Kind.PAGE, "pages") for n in range(5)]
    fetching = replace(LOOPBACK, parsing=_FOLLOW)
    counts = crawl(corpus, pages[:2], replace(QUICK, found=FoundLimits(host=4)), fetching)
    assert (ends(corpus), counts.left_out.total()) == ({"read": 5}, 0)


@pytest.mark.parametrize(("suffix", "kind", "taken"), [("/" + "a" * 1900, Kind.PAGE, 125), ("", Kind.SITEMAP, 10)])
def test_long_urls_and_sitemaps_count_for_more(tmp_path: Path, suffix: str, kind: Kind, taken: int) -> None:
    requests = [CrawlRequest(f"{_URL}/{number}{suffix}", kind, "sitemaps") for number in range(300)]
    with CrawlDatabase.open(tmp_path, create=True) as database:
        found, left_out = FoundRequests(database, FoundLimits(1000)).take("a", requests)
    assert (len(found), left_out) == (taken, 300 - taken)


def _page(content: str) -> bytes:
    return f"<html>{content}</html>".encode()


@pytest.mark.parametrize(
    ("content", "is_cut"),
    [
        ("".join(f"<img src={number}.jpg>" for number in range(2000)), False),
        ("".join(f"<img src={number}.jpg>" for number in range(2001)), True),
        ("".join(f"<a href={number}></a>" for number in range(500)) + "<a href=7></a>", False),
        ("".join(f"<a href={number}></a>" for number in range(501)), True),
        ("<br>" * 49_998, False),
        ("<br>" * 50_000, True),
        ("<br " + " " * 4_000_000 + ">", True),
    ],
    ids=["photos", "more photos", "links", "more links", "tags", "more tags", "more bytes"],
)
def test_a_page_that_is_read_in_part_says_so(content: str, is_cut: bool) -> None:
    assert parse_page(CrawlRequest(_URL, Kind.PAGE, "pages"), response(_URL, _page(content)), _FOLLOW).is_cut is is_cut


def test_responses_that_were_read_in_part_are_reported(
    site: Site, corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = site.serve(0, "/page", Reply(_page("<br>" * 50_001), headers={"Content-Type": "text/html"}))
    options = ("--allow-private", "--any-picture", "--rate", "50")
    assert main(["crawl", "--out", str(corpus), *options, "--page", url]) == 0
    assert "left out: 1 answers name more than is taken from one" in capsys.readouterr().err


@pytest.mark.parametrize("excess", [0, 1])
def test_found_urls_are_of_bounded_length(excess: int) -> None:
    url = "https://a.example/" + "a" * (FOUND_MAX - 18 + excess)
    request = CrawlRequest(_URL, Kind.SITEMAP, "sitemaps")
    assert len(parse_sitemap(request, response(_URL, f"https://a.example/b\n{url}".encode()))) == 2 - excess
    page = f"<a href='{url}.jpg'></a><img src='{url[:-4]}.jpg'>"
    assert len(parse_page(request, response(_URL, _page(page)), _FOLLOW)) == 1 - excess
