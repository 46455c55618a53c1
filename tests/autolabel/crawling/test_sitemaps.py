"""Sitemaps: XML with images, indices, gzip, text; and what is hostile in them."""

from __future__ import annotations

import gzip
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autolabel.crawling.requests import CrawlRequest, Kind
from autolabel.crawling.sources.parsing import ParseError
from autolabel.crawling.sources.sitemaps import parse_sitemap
from tests.autolabel.crawling.recorded_answers import recorded, response

_URL = "https://www.example.com/sitemap.xml"
_LEAD = CrawlRequest(_URL, Kind.SITEMAP, "sitemaps")
_HEAD = b'<?xml version="1.0"?><urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">'


def _read(body: bytes, request: CrawlRequest = _LEAD) -> list[CrawlRequest]:
    return parse_sitemap(request, response(_URL, body))


@pytest.mark.parametrize("packed", [False, True])
def test_pages_and_their_photos(packed: bool) -> None:
    body = recorded("sitemap.xml")
    loft, by = "https://www.example.com/rooms/loft", "https://creativecommons.org/licenses/by/4.0/"
    assert _read(gzip.compress(body) if packed else body) == [
        CrawlRequest("https://www.example.com/rooms?page=1&view=all", Kind.PAGE, "sitemaps"),
        CrawlRequest("https://cdn.example.net/loft.jpg", Kind.PHOTO, "sitemaps", loft, "The loft", "", "CC BY 4.0", by),
        CrawlRequest("https://cdn.example.net/loft-2.jpg", Kind.PHOTO, "sitemaps", loft, "Seen from the <stairs>"),
        CrawlRequest("https://www.example.com/photos/attic.jpeg", Kind.PHOTO, "sitemaps"),
    ]


def test_an_index_leads_to_sitemaps_but_not_to_another_index() -> None:
    first, second = _read(recorded("sitemap_index.xml"))
    assert first == CrawlRequest("https://www.example.com/sitemap-1.xml.gz", Kind.SITEMAP, "sitemaps", page=_URL)
    assert second.url == "https://www.example.com/sitemap-2.xml"
    with pytest.raises(ParseError, match="an index within an index"):
        _read(recorded("sitemap_index.xml"), first)
    assert len(_read(recorded("sitemap.xml"), first)) == 4


def test_text() -> None:
    body = "\ufeffhttps://www.example.com/küche\r\n\r\nhttps://www.example.com/a.jpg\nnot an address\n".encode()
    assert _read(body) == [
        CrawlRequest("https://www.example.com/k%C3%BCche", Kind.PAGE, "sitemaps"),
        CrawlRequest("https://www.example.com/a.jpg", Kind.PHOTO, "sitemaps"),
    ]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "iso-8859-1"])
def test_encodings_of_xml(encoding: str) -> None:
    name = encoding.removesuffix("-sig")
    text = f'<?xml version="1.0" encoding="{name}"?><urlset><url><loc>https://h.example/é</loc></url></urlset>'
    assert [request.url for request in _read(text.encode(encoding))] == ["https://h.example/%C3%A9"]


def test_other_namespaces_or_none() -> None:
    body = b'<a:urlset xmlns:a="http://www.google.com/schemas/sitemap/0.84"><a:url><a:loc>/x</a:loc></a:url></a:urlset>'
    assert [request.url for request in _read(body)] == ["https://www.example.com/x"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "XML, or text"),
        (b"hello\nworld", "XML, or text"),
        (b"\x89PNG\r\n\x1a\n\xff", "XML, or text"),
        (b"<html><body>404</body></html>", "XML with <html>"),
        (b"<rss/>", "XML with <rss>"),
        (_HEAD + b"<url><loc>https://a.example/", "broken XML"),
        (_HEAD + b"<url>&nbsp;</url></urlset>", "broken XML"),
        (b'<?xml version="1.0" encoding="martian"?><urlset/>', "broken XML"),
        (b"\x1f\x8b\x08\x00broken", "damaged gzip"),
        (gzip.compress(_HEAD)[:-12], "damaged gzip"),
        (
            b'<!DOCTYPE a [<!ENTITY b "lol"><!ENTITY c "&b;&b;&b;&b;&b;&b;">]><urlset>&c;</urlset>',
            "without document type",
        ),
        (b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><urlset>&b;</urlset>', "without document type"),
        (b'<!DOCTYPE urlset SYSTEM "http://127.0.0.1/a.dtd"><urlset/>', "without document type"),
    ],
)
def test_what_is_no_sitemap(body: bytes, words: str) -> None:
    with pytest.raises(ParseError, match=words):
        _read(body)


def _pages(count: int) -> bytes:
    return b"".join(b"<url><loc>https://a.example/%d</loc></url>" % number for number in range(count))


_LARGE: dict[str, tuple[Callable[[], bytes], int | str]] = {
    "more pages than may be": (lambda: _HEAD + _pages(60_000) + b"</urlset>", 50_000),
    "more lines than may be": (lambda: b"".join(b"http://a.example/%d\n" % n for n in range(200_000)), 50_000),
    "more images than may be": (
        lambda: (
            _HEAD
            + b"<url>"
            + b"".join(b"<image><loc>%d.jpg</loc></image>" % n for n in range(5000))
            + b"</url></urlset>"
        ),
        1000,
    ),
    "elements": (lambda: _HEAD + b"<a/>" * 2_000_000, 0),
    "names": (lambda: _HEAD + b"".join(b"<a%d/>" % number for number in range(510_000)), 0),
    "levels": (lambda: _HEAD + b"<url>" * 3_000_000, "too many levels"),
    "attributes": (lambda: b"<urlset " + b" ".join(b'a%d=""' % number for number in range(1_000_000)), "endless"),
    "text": (lambda: _HEAD + b"<url><loc>" + b"a" * 10_000_000, "endless"),
    "gzip bomb": (lambda: gzip.compress(bytes(200_000_000), 1), "of at most 52 MB"),
}


@pytest.mark.parametrize("name", _LARGE)
def test_hostile_sitemaps_are_read_or_refused(name: str) -> None:
    make, outcome = _LARGE[name]
    body = make()
    if isinstance(outcome, int):
        assert len(_read(body)) == outcome
    else:
        with pytest.raises(ParseError, match=outcome):
            _read(body)


_parts = st.sampled_from(
    b"<url> </url> <loc> </loc> <image> </image> <title> </title> <sitemap> </sitemap> </urlset> //[ &amp; &#0; x "
    b"http://a.example/b.jpg <!----> <![CDATA[]]>".split()
)


@given(st.lists(_parts, max_size=12).map(b"".join) | st.binary(max_size=60), st.sampled_from([b"", _HEAD, b"\x1f\x8b"]))
def test_any_bytes_are_a_sitemap_or_told_not_to_be(body: bytes, head: bytes) -> None:
    try:
        leads = _read(head + body)
    except ParseError:
        return
    assert all(request.url.startswith("http") for request in leads)
