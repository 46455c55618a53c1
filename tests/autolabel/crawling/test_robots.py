"""robots.txt and X-Robots-Tag."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autolabel.crawling.fetching.robots import (
    AGENT,
    BYTES_MAX,
    DELAY_MAX_S,
    OPT_OUTS,
    RULES_MAX,
    RobotsRules,
    directives,
    robots_origin,
)
from autolabel.crawling.records import RobotsText
from surfaces.io.urls import parse_url

pytestmark = pytest.mark.security

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
def test_allowed_urls(text: str, path: str, allowed: bool) -> None:
    assert _rules(text).allows(_SITE + path) is allowed


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 410])
def test_everything_is_allowed_without_robots_txt(status: int) -> None:
    rules = _rules("User-agent: *\nDisallow: /", status)
    assert rules.allows(f"{_SITE}/a.jpg")
    assert rules.delay_s == 0.0


def test_500_kib_are_read() -> None:
    filler = "# nothing\n" * (BYTES_MAX // 10 + 1)
    assert not _rules(filler[: BYTES_MAX - 50] + "\nUser-agent: *\nDisallow: /").allows(f"{_SITE}/a.jpg")
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


@pytest.mark.parametrize(
    ("line", "delay"),
    [
        ("Request-rate: 1/" + "9" * 400, DELAY_MAX_S),
        ("Request-rate: 1/" + "9" * 400 + "d", DELAY_MAX_S),
        ("Request-rate: 1/" + "9" * 5000, 0.0),
        (f"Request-rate: {'9' * 400}/{'9' * 400}", 1.0),
        (f"Request-rate: {'9' * 400}/1", 0.0),
        ("Crawl-delay: " + "9" * 400, DELAY_MAX_S),
        ("Crawl-delay: 1e300", DELAY_MAX_S),
        ("Crawl-delay: nan", 0.0),
        ("Crawl-delay: -inf", 0.0),
    ],
    ids=lambda value: str(value)[:20],
)
def test_delays_are_bounded(line: str, delay: float) -> None:
    assert _rules(f"User-agent: *\n{line}").delay_s == delay


def test_agents_times_rules_are_not_multiplied() -> None:
    """Each line is kept once, whatever agents the lines before name."""
    names = "".join(f"User-agent: {name}\n" for name in [*map(str, range(2000)), *(AGENT[:n] for n in range(1, 17))])
    wildcards = "".join(f"User-agent: i{'*' * number}\n" for number in range(300))
    paths = "".join(f"Disallow: /{number}\n" for number in range(2000))
    rules = _rules(names + wildcards + "User-agent: interior-surfaces\n" + paths)
    assert rules.size == 2000
    assert not rules.allows(f"{_SITE}/1999")
    assert rules.allows(f"{_SITE}/a")
    assert _rules(names.replace("User-agent: i", "User-agent: x") + paths).size == 0


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        # the longest name
        ("User-agent: interior\nAllow: /\nUser-agent: interior-surfaces\nDisallow: /", False),
        # merged groups
        (f"User-agent: {AGENT}\nDisallow: /a\nUser-agent: *\nDisallow: /\nUser-agent: {AGENT}", True),
        # a sitemap within a group
        ("User-agent: x\nUser-agent: *\n\nSitemap: https://a.example/\nDisallow: /", False),
        # an unknown directive
        ("User-agent: x\nUnknown: y\nUser-agent: *\nDisallow:\n\nUser-agent: x\nDisallow: /", True),
        ("useragent *\ndissallow /  # all", False),
        ("User-agent: interior-*\nDisallow: /", False),
        ("User-agent: surfaces\nDisallow: /", True),
        # a rule without agent
        ("Disallow: /\nUser-agent: *\nAllowed: /", True),
    ],
)
def test_the_group_that_applies(text: str, allowed: bool) -> None:
    assert _rules(text).allows(f"{_SITE}/room.jpg") is allowed


def test_excess_is_read_cautiously() -> None:
    wild, deep = "/*" + "r*" * 20 + "nothing", "/" + "r" * 3000
    assert not _rules(f"User-agent: *\nDisallow: {wild}").allows(f"{_SITE}/{'r' * 20}")
    assert _rules(f"User-agent: *\nDisallow: {wild}").allows(f"{_SITE}/{'r' * 19}")
    assert not _rules(f"User-agent: *\nDisallow: {deep}").allows(_SITE + deep[:2000])
    assert not _rules(f"User-agent: *\nDisallow: /r\nAllow: {deep}").allows(_SITE + deep)
    line = "Allow: /r\n"
    assert _rules("User-agent: *\n" + line * RULES_MAX).allows(f"{_SITE}/r")
    assert not _rules("User-agent: *\n" + line * (RULES_MAX + 1)).allows(f"{_SITE}/r")


_pieces = st.sampled_from(
    [
        *("User-agent", "user agent", "Disallow", "Allow", "Crawl-delay", "Request-rate", "Visit-time"),
        *("Sitemap", "Host", ":", " ", "\n", "\r", "#", "*", "/", "$", "%", "%2", "%zz", "9" * 400, "1/"),
        *("1e999", "nan", "-", "m", "\u2028", AGENT, "int", "\ufeff", "http://[", "0000-2500", "?"),
    ]
)


@given(st.binary(max_size=400) | st.lists(_pieces, max_size=40).map(lambda pieces: "".join(pieces).encode()))
@settings(deadline=None, max_examples=200)
def test_any_bytes_are_parsed(body: bytes) -> None:
    rules = RobotsRules(RobotsText(200, b"User-agent: *\n" + body))
    assert rules.allows(f"{_SITE}/rooms/1?a=*$%") in (True, False)
    assert 0 <= rules.delay_s <= DELAY_MAX_S


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("http://Rooms.example/a", "http://rooms.example"),
        ("https://rooms.example:443/a", "https://rooms.example"),
        ("http://rooms.example:8080/a?b", "http://rooms.example:8080"),
        ("http://[2606:2800::1]/a", "http://[2606:2800::1]"),
    ],
)
def test_the_origin_of_a_robots_txt(url: str, origin: str) -> None:
    assert robots_origin(parse_url(url)) == origin


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
        # The end of another agent's directives is unknown in joined headers.
        ("otherbot: nofollow, noai", {"noai"}),
    ],
)
def test_directives(header: str, found: set[str]) -> None:
    assert directives({"x-robots-tag": header}) == found


@given(st.text(max_size=60))
def test_opt_outs_are_found_beside_any_text(text: str) -> None:
    assert directives({"x-robots-tag": f"{text},noai"}) & OPT_OUTS
