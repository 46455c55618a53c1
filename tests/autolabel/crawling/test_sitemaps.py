"""Sitemaps: XML with images, indices, gzip, text; hostile ones."""

from __future__ import annotations

import gzip
from collections.abc import Callable

import pytest

from autolabel.crawling.records import CrawlRequest, Kind
from autolabel.crawling.sources.parsing import Found, ParseError
from autolabel.crawling.sources.sitemaps import parse_sitemap
from tests.autolabel.crawling.sites import recorded, response

_URL = "https://www.example.com/sitemap.xml"
_REQUEST = CrawlRequest(_URL, Kind.SITEMAP, "sitemaps")
_HEAD = b'<?xml version="1.0"?><urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">'


def _read(body: bytes, request: CrawlRequest = _REQUEST) -> Found:
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
    for body in (recorded("sitemap_index.xml"), b"<urlset><sitemapindex><sitemap/></sitemapindex></urlset>"):
        with pytest.raises(ParseError, match="an index within an index"):
            _read(body, first)
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


@pytest.mark.parametrize(
    "body",
    [
        b'<a:urlset xmlns:a="http://www.google.com/schemas/sitemap/0.84"><a:url><a:loc>/x</a:loc></a:url></a:urlset>',
        b"<urlset><url><loc> /<!-- a comment -->x<?a b?>\n</loc></url></urlset>",
        b"<urlset><url><loc><![CDATA[/x]]></loc></url></urlset>",
    ],
    ids=["another namespace", "comments", "CDATA"],
)
def test_ways_to_write_a_url(body: bytes) -> None:
    assert [request.url for request in _read(body)] == ["https://www.example.com/x"]


_NO_SITEMAP = [
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
    (b'<!DOCTYPE a [<!ENTITY b "lol"><!ENTITY c "&b;&b;&b;">]><urlset>&c;</urlset>', "without document type"),
    (b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><urlset>&b;</urlset>', "without document type"),
    (b'<!DOCTYPE urlset SYSTEM "http://127.0.0.1/a.dtd"><urlset/>', "without document type"),
    ('<!DOCTYPE a [<!ENTITY b "c">]><urlset>&b;</urlset>'.encode("utf-16"), "without document type"),
]


@pytest.mark.parametrize(("body", "words"), _NO_SITEMAP)
def test_what_is_no_sitemap(body: bytes, words: str) -> None:
    with pytest.raises(ParseError, match=words):
        _read(body)


def _laughs() -> bytes:
    """Entities of entities, which an attribute uses."""
    entities = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 12))
    return f'<!DOCTYPE a [<!ENTITY e0 "lol">{entities}]><urlset a="&e11;"/>'.encode()


def _lines(count: int) -> bytes:
    return b"".join(b"http://a.example/%d\n" % number for number in range(count))


def _pages(count: int) -> bytes:
    return (
        _HEAD
        + b"".join(b"<url><loc>https://a.example/%d/%0250d</loc></url>" % (n, n) for n in range(count))
        + b"</urlset>"
    )


def _images(count: int) -> bytes:
    return (
        _HEAD + b"<url>" + b"".join(b"<image><loc>%d.jpg</loc></image>" % n for n in range(count)) + b"</url></urlset>"
    )


_LARGE: dict[str, tuple[Callable[[], bytes], int, bool]] = {
    "pages": (lambda: _pages(50_000), 50_000, False),
    "more pages": (lambda: _pages(50_001), 50_000, True),
    "lines": (lambda: _lines(50_000), 50_000, False),
    "more lines": (lambda: _lines(50_001), 50_000, True),
    "images": (lambda: _images(1000), 1000, False),
    "more images": (lambda: _images(1001), 1000, True),
    "elements": (lambda: _HEAD + b"<a/>" * 2_000_000, 0, True),
    "names": (lambda: _HEAD + b"".join(b"<a%d/>" % number for number in range(510_000)), 0, True),
}
_REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "levels": (lambda: _HEAD + b"<url>" * 3_000_000, "too many levels"),
    "attributes": (lambda: b"<urlset " + b" ".join(b'a%d=""' % number for number in range(1_000_000)), "endless"),
    "text": (lambda: _HEAD + b"<url><loc>" + b"a" * 10_000_000, "endless"),
    "entities": (lambda: b"<!DOCTYPE a [" + b'<!ENTITY b "c">' * 3_000_000 + b"]><urlset/>", "without document type"),
    "entities of entities": (_laughs, "without document type"),
    "gzip bomb": (lambda: gzip.compress(bytes(200_000_000), 1), "of at most 52 MB"),
}


@pytest.mark.parametrize(("make", "count", "is_cut"), _LARGE.values(), ids=_LARGE)
def test_large_sitemaps_are_read_in_part(make: Callable[[], bytes], count: int, is_cut: bool) -> None:
    found = _read(make())
    assert (len(found), found.is_cut) == (count, is_cut)


@pytest.mark.parametrize(("make", "words"), _REFUSED.values(), ids=_REFUSED)
def test_hostile_sitemaps_are_refused(make: Callable[[], bytes], words: str) -> None:
    with pytest.raises(ParseError, match=words):
        _read(make())
