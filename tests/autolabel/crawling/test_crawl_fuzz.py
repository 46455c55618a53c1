"""Arbitrary responses: a parser returns bounded values or raises an error of the project."""

from __future__ import annotations

import gzip
import json
import math
from dataclasses import astuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from autolabel.crawling.fetching.fetcher import parsers_by_kind, retry_after_s
from autolabel.crawling.fetching.robots import directives
from autolabel.crawling.records import CrawlRequest, Kind
from autolabel.crawling.sources.parsing import ParseError, ParseSettings, html_to_line
from autolabel.crawling.sources.searches import openverse_query, wikimedia_query
from autolabel.crawling.sources.urls import FOUND_MAX
from surfaces.creative_commons import code_of, name_at, name_of
from tests.autolabel.crawling.sites import response

pytestmark = pytest.mark.security

_SETTINGS = ParseSettings(follow=True)
_URL = "https://a.example/b/c?d"
_REQUESTS = {
    Kind.PAGE: CrawlRequest(_URL, Kind.PAGE, "pages"),
    Kind.SITEMAP: CrawlRequest(_URL, Kind.SITEMAP, "sitemaps"),
    Kind.OPENVERSE: openverse_query("room", _SETTINGS),
    Kind.WIKIMEDIA: wikimedia_query("room", _SETTINGS),
}
_quick = settings(deadline=None, max_examples=60)


def _check(kind: Kind, body: bytes, **headers: str) -> None:
    request = _REQUESTS[kind]
    try:
        found = parsers_by_kind(_SETTINGS)[kind](request, response(request.url, body, **headers))
    except ParseError:
        return
    assert len({each.url for each in found}) <= 50_000
    for each in found:
        assert each.url.startswith("http")
        is_bounded = all(len(text) <= FOUND_MAX for text in astuple(each))
        assert is_bounded or each.kind in (Kind.OPENVERSE, Kind.WIKIMEDIA)
        "".join(astuple(each)).encode("utf-8", "strict" if kind is Kind.PAGE else "surrogatepass")


def _encoded(pieces: list[str] | str) -> bytes:
    return "".join(pieces).encode("utf-8", "surrogatepass")


_awkward = st.sampled_from(
    [
        *("", "/a.jpg", "//[", "http://[::1", "https://b.example:99999/", "javascript:x", "\ud800", "\x00"),
        *("é\u2028", "%zz", "x" * 9000, "http://b.example/" + "y" * 1990, "9" * 5000, "by", "image/jpeg"),
        *("ImageObject", "-1", "1e999"),
    ]
)
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.just(10**400) | st.floats() | _awkward | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_awkward | st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def _with(*names: str) -> st.SearchStrategy[dict[str, object]]:
    return st.fixed_dictionaries({}, optional=dict.fromkeys(names, _json))


_results = _with("url", "license", "license_version", "license_url", "title", "creator", "foreign_landing_url")
_openverse = st.fixed_dictionaries(
    {"results": st.lists(_results | _json, max_size=3) | _json},
    optional=dict.fromkeys(("page_count", "detail", "page"), _json),
)
_metadata = st.dictionaries(
    st.sampled_from(["Artist", "LicenseUrl", "LicenseShortName"]), st.fixed_dictionaries({"value": _json}) | _json
)
_info = st.fixed_dictionaries(
    {"url": st.just("//a.example/b.jpg") | _json, "mime": st.just("image/jpeg"), "extmetadata": _metadata | _json},
    optional=dict.fromkeys(("thumburl", "descriptionurl"), _json),
)
_wikimedia = st.fixed_dictionaries(
    {"query": st.fixed_dictionaries({"pages": st.lists(_with("title", "index") | _json, max_size=2)}) | _json},
    optional={
        "continue": st.dictionaries(_awkward | st.just("gsroffset"), _json, max_size=3) | _json,
        "error": st.fixed_dictionaries({"code": _json, "info": _json}) | _json,
    },
)
_page = st.fixed_dictionaries(
    {"imageinfo": st.tuples(_info) | st.lists(_info | _json, max_size=2) | _json}, optional={"title": _json}
)
_wikimedia_photos = st.fixed_dictionaries({"query": st.fixed_dictionaries({"pages": st.lists(_page, max_size=2)})})


@given(_openverse | _json)
@_quick
def test_any_response_of_openverse_is_read_or_refused(document: object) -> None:
    _check(Kind.OPENVERSE, json.dumps(document).encode())


@given(_wikimedia | _wikimedia_photos | _json)
@example({"query": {}, "continue": {"continue": "x" * 9000}})
@example({"query": {}, "continue": {"continue": "\ud800"}})
@_quick
def test_any_response_of_wikimedia_is_read_or_refused(document: object) -> None:
    _check(Kind.WIKIMEDIA, json.dumps(document).encode())


@given(
    st.sampled_from([Kind.OPENVERSE, Kind.WIKIMEDIA]),
    st.binary(max_size=60),
    st.sampled_from([b"", b'{"results":', b"[" * 9999]),
)
@example(Kind.WIKIMEDIA, b"1" * 5000, b"")
@_quick
def test_any_bytes_of_an_api_are_read_or_refused(kind: Kind, body: bytes, head: bytes) -> None:
    _check(kind, head + body)


_xml = st.sampled_from(
    [
        *("<urlset>", "<sitemapindex>", "</urlset>", "</sitemapindex>", "<url>", "</url>", "<sitemap>"),
        *("</sitemap>", "<loc>", "</loc>", "<image>", "</image>", "<license>", "</license>", "<title>"),
        *("<![CDATA[", "]]>", "<!--", "&amp;", "&#0;", "&#x110000;", "xmlns:a='b'"),
        *("<?xml version='1.0' encoding='utf-7'?>", "<!DOCTYPE a>", "\n", "x", "http://a.example/b.jpg"),
    ]
)


@given(st.lists(_xml | _awkward, max_size=25).map(_encoded) | st.binary(max_size=80), st.booleans(), st.integers(0, 30))
@_quick
def test_any_sitemap_is_read_or_refused(body: bytes, is_packed: bool, lost: int) -> None:
    packed = gzip.compress(body, mtime=0)
    _check(Kind.SITEMAP, packed[: len(packed) - lost] if is_packed else body)
    _check(Kind.SITEMAP, b"<urlset>" + body)


_html = st.sampled_from(
    [
        *("<img src='", "<img srcset='", "<picture>", "<source srcset=", "<a href=", "<base href='"),
        *("</a>", "'>", "<", ">", "<meta name=robots content='", '<meta property=og:image content="'),
        *("<link rel=license href='", "<!--", "-->", "<script>", "</script>"),
        *('{"image":"', '"}', "&#55555555;", "&#xD800;", " 1w,", " 9e9x", "<img src=a.jpg alt="),
    ]
)
_markup = st.text(st.sampled_from("<>/!-=\"' aimgsrct&;#:x.\n\0é"), max_size=200) | st.text(max_size=200)


@given(
    st.lists(_html | _awkward, max_size=25).map(_encoded) | _markup.map(_encoded) | st.binary(max_size=200),
    _awkward | st.text(max_size=30),
)
@example(b'<a b="', "")
@example(b"<img src='//['>", "")
@example(b'<img src="http://[::1">', "")
@example(_encoded("<img src='\ud800'>"), "")
@settings(deadline=None, max_examples=200)
def test_any_page_is_read_or_refused(body: bytes, content_type: str) -> None:
    _check(Kind.PAGE, body, content_type="text/html")
    _check(Kind.PAGE, body, content_type=f"text/html; charset={content_type}", x_robots_tag=content_type)


@given(
    _awkward | st.text(max_size=40),
    _awkward | st.text(max_size=20).map("https://creativecommons.org/licenses/{}".format),
)
@_quick
def test_any_licence_is_named_or_unknown(name: str, url: str) -> None:
    code = code_of(name, url)
    assert code is None or name_of(code)
    assert isinstance(name_at(url), str)
    assert len(html_to_line(name)) <= 500
    assert "\n" not in html_to_line(name)


_dates = st.builds(
    "{}, {} {} {} {}:{}:{} {}".format,
    st.sampled_from(["Mon", "", "x"]),
    *(st.integers(-1, 99999) | st.sampled_from(["Jan", "", "9" * 5000]) for _ in range(6)),
    st.sampled_from(["GMT", "+9999", "-2400", "+" + "9" * 400, "", "EST"]),
)


@given(_dates | _awkward | st.text(max_size=30) | st.integers().map(str))
@example("9" * 400)
@example("Fri, 31 Dec 9999 23:59:59 -2359")
@example("Sat, 01 Jan 0001 00:00:00 +2359")
@example("Mon, 01 Jan 2024 00:00:00 +999999")
@example("²")
@_quick
def test_any_retry_after_is_a_bounded_time_or_nothing(value: str) -> None:
    pause_s = retry_after_s({"retry-after": value}, 1.8e9)
    assert pause_s is None or 0 <= pause_s < math.inf


@pytest.mark.parametrize("value", ["x" * 100_000, "a:" * 50_000, "," * 100_000], ids=["word", "names", "commas"])
def test_long_directives_are_read(value: str) -> None:
    assert directives({"x-robots-tag": f"{value}, noai"}) >= {"noai"}
