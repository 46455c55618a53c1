"""Whoever writes sitemaps and pages does not decide how large a crawl becomes."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from autolabel.__main__ import main
from autolabel.crawling.database import CrawlDatabase
from autolabel.crawling.found_requests import FoundLimits, FoundRequests
from autolabel.crawling.requests import CrawlRequest, Kind
from autolabel.crawling.sources.pages import parse_page
from autolabel.crawling.sources.parsing import ParseSettings
from autolabel.crawling.sources.sitemaps import parse_sitemap
from autolabel.crawling.sources.urls import FOUND_MAX
from tests.autolabel.crawling.crawls import LOOPBACK, QUICK, crawl, ends
from tests.autolabel.crawling.recorded_answers import response
from tests.autolabel.crawling.sites import ALLOW_ALL, Reply, Site, photo_bytes

_URL = "https://www.example.com/map"
_FOLLOW = ParseSettings(follow=True)


@pytest.fixture
def site() -> Iterator[Site]:
    with Site(2, lambda _host, path: Reply(ALLOW_ALL) if path == "/robots.txt" else None) as site:
        yield site


def _sitemap(*addresses: str, name: str = "url", root: str = "urlset") -> Reply:
    entries = "".join(f"<{name}><loc>{address}</loc></{name}>" for address in addresses)
    return Reply(gzip.compress(f"<{root}>{entries}</{root}>".encode()))


def _photos(site: Site, host: int, count: int) -> list[str]:
    return [site.serve(host, f"/{number}.jpg", Reply(photo_bytes(10 * host + number))) for number in range(count)]


def test_what_a_host_names_is_limited_and_told(site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    maps = [site.serve(host, "/map", _sitemap(*_photos(site, host, 4))) for host in range(2)]
    more = site.serve(0, "/more", _sitemap(*_photos(site, 0, 9)))
    command = ["crawl", "--out", str(tmp_path / "c"), "--allow-private", "--any-picture", "--min-side", "16"]
    command += ["--rate", "50", "--found-per-host", "3"]
    assert main([*command, "--sitemap", *maps]) == 0
    err = capsys.readouterr().err
    assert "left out: 2 addresses beyond the limits, 1 of 127.0.1." in err
    assert ends(tmp_path / "c") == {"read": 2, "kept": 6}
    # The next run knows it, and asks for nothing of which nothing would be kept.
    assert main([*command, "--sitemap", more]) == 0
    assert ends(tmp_path / "c") == {"read": 2, "kept": 6, "too-many": 1}
    assert (site.hosts[0], "/more") not in site.times_asked()
    assert main([*command[:-1], "5", "--retry-failed"]) == 0
    assert ends(tmp_path / "c") == {"read": 3, "kept": 8}


def test_what_all_hosts_name_is_limited(site: Site, tmp_path: Path) -> None:
    leads = [
        CrawlRequest(site.serve(host, "/map", _sitemap(*_photos(site, host, 4))), Kind.SITEMAP, "sitemaps")
        for host in range(2)
    ]
    counts = crawl(tmp_path / "c", leads, replace(QUICK, found=FoundLimits(crawl=5)))
    assert (counts.kept, counts.left_out.total()) == (5, 3)


def test_what_is_known_counts_once(site: Site, tmp_path: Path) -> None:
    """Menus repeat the same links on each page."""
    links = "".join(f"<a href='/{number}.html'></a>" for number in range(5))
    for number in range(5):
        site.serve(0, f"/{number}.html", Reply(links.encode(), headers={"Content-Type": "text/html"}))
    fetching = replace(LOOPBACK, parsing=_FOLLOW)
    pages = [CrawlRequest(site.url(0, f"/{number}.html"), Kind.PAGE, "pages") for number in range(2)]
    counts = crawl(tmp_path / "c", pages, replace(QUICK, found=FoundLimits(host=4)), fetching)
    assert (ends(tmp_path / "c"), counts.left_out.total()) == ({"read": 5}, 0)


def test_long_addresses_and_sitemaps_count_for_more(tmp_path: Path) -> None:
    long = [CrawlRequest(f"{_URL}/{number}/{'a' * 1900}", Kind.PAGE, "sitemaps") for number in range(300)]
    maps = [CrawlRequest(f"{_URL}/{number}", Kind.SITEMAP, "sitemaps") for number in range(300)]
    with CrawlDatabase.open(tmp_path, create=True) as ledger:
        assert [
            len(FoundRequests(ledger, FoundLimits(1000)).take(host, leads)[0])
            for host, leads in (("a", long), ("b", maps))
        ] == [
            125,
            10,
        ]


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


@pytest.mark.parametrize(
    ("body", "is_cut"),
    [
        (b"".join(b"http://a.example/%d\n" % number for number in range(50_000)), False),
        (b"".join(b"http://a.example/%d\n" % number for number in range(50_001)), True),
        (b"<urlset><url>" + b"<image><loc>a.jpg</loc></image>" * 1000 + b"</url></urlset>", False),
        (b"<urlset><url>" + b"<image><loc>a.jpg</loc></image>" * 1001 + b"</url></urlset>", True),
        (b"<urlset>" + b"<url><loc>/a</loc></url>" * 50_001 + b"</urlset>", True),
    ],
    ids=["lines", "more lines", "images", "more images", "more pages"],
)
def test_a_sitemap_that_is_read_in_part_says_so(body: bytes, is_cut: bool) -> None:
    assert parse_sitemap(CrawlRequest(_URL, Kind.SITEMAP, "sitemaps"), response(_URL, body)).is_cut is is_cut


def test_answers_that_were_read_in_part_are_told(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = site.serve(0, "/page", Reply(_page("<br>" * 50_001), headers={"Content-Type": "text/html"}))
    assert (
        main(["crawl", "--out", str(tmp_path / "c"), "--allow-private", "--any-picture", "--rate", "50", "--page", url])
        == 0
    )
    assert "left out: 1 answers name more than is taken from one" in capsys.readouterr().err


@pytest.mark.parametrize("excess", [0, 1])
def test_addresses_in_answers_are_of_bounded_length(excess: int) -> None:
    address = "https://a.example/" + "a" * (FOUND_MAX - 18 + excess)
    request = CrawlRequest(_URL, Kind.SITEMAP, "sitemaps")
    found = parse_sitemap(request, response(_URL, f"https://a.example/b\n{address}".encode()))
    assert len(found) == 2 - excess
    page = f"<a href='{address}.jpg'></a><img src='{address[:-4]}.jpg'>"
    assert len(parse_page(request, response(_URL, _page(page)), _FOLLOW)) == 1 - excess
