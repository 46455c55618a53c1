"""What sites ask of crawlers: robots.txt and X-Robots-Tag."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autolabel.crawling.records import RobotsText
from autolabel.crawling.robots import BYTES_MAX, OPT_OUTS, RobotsRules, directives, robots_origin
from surfaces.addresses import read_address

_SITE = "https://rooms.example"


def _rules(text: str, status: int = 200) -> RobotsRules:
    return RobotsRules(RobotsText(status, text.encode()))


@pytest.mark.parametrize(
    ("text", "path", "allowed"),
    [
        ("", "/a.jpg", True),
        ("User-agent: *\nDisallow: /", "/a.jpg", False),
        ("User-agent: *\nDisallow: /private/", "/public/a.jpg", True),
        ("User-agent: *\nDisallow: /\nAllow: /photos/", "/photos/a.jpg", True),
        ("User-agent: *\nDisallow: /*.jpg$", "/a.jpg", False),
        ("User-agent: *\nDisallow: /*.jpg$", "/a.jpg?large", True),
        ("User-agent: otherbot\nDisallow: /", "/a.jpg", True),
        ("User-agent: Interior-Surfaces\nDisallow: /\n\nUser-agent: *\nDisallow:", "/a.jpg", False),
        ("User-agent: interior-surfaces\nAllow: /\n\nUser-agent: *\nDisallow: /", "/a.jpg", True),
        ("\ufeffUser-agent: *\r\nDisallow: /", "/a.jpg", False),
        ("User-agent: *\nDisallow: /k%C3%BCche", "/k%C3%BCche/a.jpg", False),
    ],
)
def test_what_may_be_asked(text: str, path: str, allowed: bool) -> None:
    assert _rules(text).allows(_SITE + path) is allowed


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 410])
def test_where_there_is_none_all_is_allowed(status: int) -> None:
    rules = _rules("User-agent: *\nDisallow: /", status)
    assert rules.allows(f"{_SITE}/a.jpg")
    assert rules.delay_s == 0.0


def test_500_kib_are_read() -> None:
    filler = "# nothing\n" * (BYTES_MAX // 10 + 1)
    assert not RobotsRules(
        RobotsText(200, (filler[: BYTES_MAX - 50] + "\nUser-agent: *\nDisallow: /").encode())
    ).allows(f"{_SITE}/a.jpg")
    assert _rules(filler + "User-agent: *\nDisallow: /").allows(f"{_SITE}/a.jpg")


@pytest.mark.parametrize(
    ("text", "delay"),
    [
        ("User-agent: *\nCrawl-delay: 7.5", 7.5),
        ("User-agent: *\nRequest-rate: 1/5", 5.0),
        ("User-agent: *\nCrawl-delay: 2\nRequest-rate: 10/1m", 6.0),
        ("User-agent: otherbot\nCrawl-delay: 60", 0.0),
        ("User-agent: *\nCrawl-delay: soon", 0.0),
        ("User-agent: *\nCrawl-delay: -3", 0.0),
    ],
)
def test_delays(text: str, delay: float) -> None:
    assert _rules(text).delay_s == delay


@given(st.binary(max_size=400))
def test_any_bytes_can_be_read(body: bytes) -> None:
    rules = RobotsRules(RobotsText(200, body))
    assert rules.allows(f"{_SITE}/robots.txt")
    assert rules.delay_s >= 0


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("http://Rooms.example/a", "http://rooms.example"),
        ("https://rooms.example:443/a", "https://rooms.example"),
        ("http://rooms.example:8080/a?b", "http://rooms.example:8080"),
        ("http://[2606:2800::1]/a", "http://[2606:2800::1]"),
    ],
)
def test_one_robots_txt_holds_for_an_origin(url: str, origin: str) -> None:
    assert robots_origin(read_address(url)) == origin


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("", set()),
        ("noai", {"noai"}),
        ("NoAI, noimageai", {"noai", "noimageai"}),
        ("interior-surfaces: noai", {"noai"}),
        ("*: noai", {"noai"}),
        ("otherbot: noai", set()),
        ("otherbot: noindex, interior-surfaces: noai", {"noai"}),
        ("unavailable_after: 25 Jun 2030 15:00:00 PST, noai", {"unavailable_after", "noai"}),
        ("max-image-preview:large, noindex", {"max-image-preview", "noindex"}),
        ("interior-surfaces: max-snippet: 20", {"max-snippet"}),
        # Where the words for another agent end can't be told from several headers that came as one.
        ("otherbot: nofollow, noai", {"noai"}),
    ],
)
def test_directives(header: str, found: set[str]) -> None:
    assert directives({"x-robots-tag": header}) == found


@given(st.text(max_size=60))
def test_opt_outs_are_seen_beside_anything(text: str) -> None:
    assert directives({"x-robots-tag": f"{text},noai"}) & OPT_OUTS
