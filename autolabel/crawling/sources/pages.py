"""Photos and links of web pages.

lxml's parser calls back for each tag and builds no tree, since trees can be made to grow. An end tag without a start
tag is compared with all open elements (49,000 `<b>` and 960,000 `</i>` took 48 s), so reading stops at 512 levels.
With these limits 4 MB of nested, misnested, unclosed or repeated tags take below 2 s and 130 MB.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from urllib.parse import urlsplit

from lxml import etree

from autolabel.crawling.fetching.robots import AGENT, OPT_OUTS, directives
from autolabel.crawling.records import CrawlRequest, Kind
from autolabel.crawling.sources.parsing import Found, ParseError, ParseSettings, RefusedError, one_line
from autolabel.crawling.sources.urls import may_be_photo, names_photo, resolve, suffix
from surfaces.creative_commons import name_at
from surfaces.io.http import Response

BYTES_MAX = 4_000_000  # of a page that are read

_CHUNK_BYTES = 65_536
_TAGS_MAX, _DEPTH_MAX = 50_000, 512
_PHOTOS_MAX = 2000
_LINKS_MAX = 500
_SRCSET_MAX = 100_000  # characters
# Scripts that load photos when they come into view keep the real addresses in attributes such as these.
_SRCSETS = ("srcset", "data-srcset", "data-lazy-srcset")
_SOURCES = ("data-src", "data-lazy-src", "data-original", "src")
_PREVIEWS = frozenset({"og:image", "og:image:url", "og:image:secure_url", "twitter:image", "twitter:image:src"})
_UNDECODED_TYPES = frozenset({"image/svg+xml", "image/jxl", "image/jp2", "image/jxr"})
_PAGE_SUFFIXES = frozenset({"", ".html", ".htm", ".xhtml", ".php", ".asp", ".aspx", ".jsp"})
_ROBOTS = frozenset({"robots", AGENT})
_WORDS = re.compile(r"[\s,]+")
_CHARSET = re.compile(r"charset\s*=\s*[\"']?([\w.:-]{1,40})", re.IGNORECASE)
# An address ends at white space, so that it may contain commas (HTML standard, "parsing a srcset attribute").
_CANDIDATE = re.compile(r"([^\s,]\S*?)(?:,(?=\s|$)|\s++(?:([0-9]{1,9}(?:\.[0-9]{1,9})?)([wx]))?[^,]*+(?:,|$)|$)")


def parse_page(request: CrawlRequest, response: Response, settings: ParseSettings) -> Found:
    """Finds the photos that a page shows, and the pages of the same host that it links to.

    Photos come from `<img>` and `<picture>` (the largest candidate of `srcset`), links to image files (instead of the
    thumbnail inside the link), `og:image` and `twitter:image`. Their licence is the page's (`rel=license`) if it names
    exactly one. Only the first 4 MB, 50,000 tags and 512 levels are read.

    Returns:
        At most 2,000 photos and 500 pages, in the page's order.

    Raises:
        ParseError: it is not HTML.
        RefusedError: the page does not permit the use of its photos.
    """
    content_type = response.headers.get("content-type", "text/html").lower()
    if "html" not in content_type:
        raise ParseError(f"expected a web page, got {one_line(content_type, 60)!r}")
    page = _Page(request, response.url, settings.ignore_opt_outs)
    page.directives |= directives(response.headers)
    _feed(page, response.body[:BYTES_MAX], content_type)
    opt_outs = OPT_OUTS & page.directives
    if opt_outs and not settings.ignore_opt_outs:
        raise RefusedError(f"the page asks not to be used: {', '.join(sorted(opt_outs))}")
    # Links of pages that were themselves found by following are not followed.
    follow = settings.follow and page.may_follow and not request.page
    found = Found(page.photos() + (page.links() if follow else []))
    has_more = page.has_more_photos or (follow and page.has_more_links)
    found.is_cut = has_more or page.is_full or len(response.body) > BYTES_MAX
    return found


def _feed(page: _Page, body: bytes, content_type: str) -> None:
    parser = etree.HTMLParser(target=page, encoding=_encoding(body, content_type), no_network=True)
    try:
        for start in range(0, len(body), _CHUNK_BYTES):
            parser.feed(body[start : start + _CHUNK_BYTES])
            if page.is_full:
                return
        if body:
            parser.close()
    except etree.LxmlError:  # the page has no markup, or libxml2 gives up: the tags before were seen
        return


def _encoding(body: bytes, content_type: str) -> str | None:
    """The encoding of the header or of `<meta>`, else UTF-8 or windows-1252; None for a byte order mark."""
    if body.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        return None
    for text in (content_type, body[:1024].decode("latin-1")):
        declared = _CHARSET.search(text)
        if declared and not declared[1].lower().startswith("utf-16"):  # could not have been read if it were
            with suppress(LookupError):
                etree.HTMLParser(encoding=declared[1])
                return declared[1]
    try:
        codecs.utf_8_decode(body, "strict", len(body) < BYTES_MAX)  # the limit may cut a character
        return "utf-8"
    except UnicodeDecodeError:
        return "windows-1252"


class _Page:
    """Target of lxml's parser: collects what a page's tags contain."""

    def __init__(self, request: CrawlRequest, url: str, ignore_nofollow: bool) -> None:
        self.directives: set[str] = set()  # of `X-Robots-Tag` and `<meta>`
        self.is_full = False  # whether there are more tags or levels than are read
        self._tags = self._depth = 0
        self.has_more_photos = self.has_more_links = False
        self._ignore_nofollow = ignore_nofollow
        self._source, self._url, self._base = request.source, url, ""
        self._photos: dict[str, CrawlRequest] = {}
        self._links: dict[str, None] = {}
        self._licences: dict[str, None] = {}
        self._picture: list[str] | None = None
        self._linked_photo = ""

    def start(self, tag: str, attrib: Mapping[str, str]) -> None:
        self._tags += 1
        self._depth += 1
        self.is_full |= self._tags > _TAGS_MAX or self._depth > _DEPTH_MAX
        if self.is_full:
            return
        match tag:
            case "base":
                self._base = self._base or resolve(self._url, attrib.get("href", ""))
            case "meta":
                self._take_meta(attrib)
            case "link":
                self._take_licence(attrib)
            case "a" | "area":
                self._take_link(attrib)
            case "picture":
                self._picture = []
            case "source" if self._picture is not None:
                self._picture += _srcsets(attrib)
            case "img" | "amp-img":
                self._take_image(attrib)

    def end(self, tag: str) -> None:
        self._depth -= 1
        if tag == "a":
            self._linked_photo = ""
        elif tag == "picture":
            self._picture = None

    def data(self, _text: str) -> None: ...

    def comment(self, _text: str) -> None: ...

    def close(self) -> None: ...

    @property
    def may_follow(self) -> bool:
        return self._ignore_nofollow or "nofollow" not in self.directives

    def photos(self) -> list[CrawlRequest]:
        licence_url = next(iter(self._licences)) if len(self._licences) == 1 else ""
        licence = name_at(licence_url)
        return [replace(photo, licence=licence, licence_url=licence_url) for photo in self._photos.values()]

    def links(self) -> list[CrawlRequest]:
        return [CrawlRequest(url, Kind.PAGE, self._source, page=self._url) for url in self._links]

    def _resolve(self, reference: str) -> str:
        return resolve(self._base or self._url, reference)

    def _take_meta(self, attrib: Mapping[str, str]) -> None:
        content = attrib.get("content", "")
        name = (attrib.get("property") or attrib.get("name", "")).strip().lower()
        if name in _ROBOTS:
            self.directives.update(_WORDS.split(content.lower()[:1000]))
        elif name in _PREVIEWS:
            self._add_photo(content)

    def _take_link(self, attrib: Mapping[str, str]) -> None:
        self._linked_photo = ""
        self._take_licence(attrib)
        url = self._resolve(attrib.get("href", ""))
        if not url or not self.may_follow or _relations(attrib) & {"nofollow", "license"}:
            return
        if names_photo(url):
            self._linked_photo = url
            self._add_photo(url)
        elif _is_page_beside(url, self._url) and url not in self._links:
            self.has_more_links = len(self._links) == _LINKS_MAX
            if not self.has_more_links:
                self._links[url] = None

    def _take_licence(self, attrib: Mapping[str, str]) -> None:
        if "license" in _relations(attrib) and (url := self._resolve(attrib.get("href", ""))):
            self._licences.setdefault(url)

    def _take_image(self, attrib: Mapping[str, str]) -> None:
        srcsets = _srcsets(attrib) + (self._picture or [])
        self._picture = None
        url, self._linked_photo = self._linked_photo, ""  # the image in a link to a photo is its thumbnail
        if not url:
            plain = (attrib.get(name, "") for name in _SOURCES)
            url = _largest(srcsets) or next((url for url in plain if url.strip() and not _is_inline(url)), "")
        self._add_photo(url, attrib.get("alt", ""))

    def _add_photo(self, reference: str, title: str = "") -> None:
        url = self._resolve(reference)
        if url in ("", self._url) or not may_be_photo(url):
            return
        known = self._photos.get(url)
        if known is None and len(self._photos) == _PHOTOS_MAX:
            self.has_more_photos = True
        elif known is None or not known.title:
            self._photos[url] = CrawlRequest(url, Kind.PHOTO, self._source, page=self._url, title=one_line(title))


def _srcsets(attrib: Mapping[str, str]) -> list[str]:
    if attrib.get("type", "").strip().lower() in _UNDECODED_TYPES:
        return []
    return [attrib[name][:_SRCSET_MAX] for name in _SRCSETS if name in attrib]


def _largest(srcsets: list[str]) -> str:
    """The address of the candidate with the most pixels, the first of several; empty where there is none."""
    candidates: list[tuple[float, float, str]] = []
    for match in (match for srcset in srcsets for match in _CANDIDATE.finditer(srcset)):
        url, number, unit = match[1].rstrip(","), float(match[2] or 1), match[3]
        if url and not _is_inline(url):
            candidates.append((number if unit == "w" else 0, number if unit == "x" else 1, url))
    return max(candidates, key=lambda candidate: candidate[:2], default=(0, 0, ""))[-1]


def _relations(attrib: Mapping[str, str]) -> set[str]:
    return set(attrib.get("rel", "").lower().split())


def _is_inline(url: str) -> bool:
    return url.lstrip()[:5].lower() == "data:"


def _is_page_beside(url: str, other: str) -> bool:
    return url != other and urlsplit(url).netloc == urlsplit(other).netloc and suffix(url) in _PAGE_SUFFIXES
