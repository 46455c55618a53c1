"""Reads sitemaps (https://www.sitemaps.org/protocol.html) with Google's image extension."""

from __future__ import annotations

import gzip
import io
import re
import zlib

from lxml import etree

from autolabel.crawling.records import CrawlRequest, Kind
from autolabel.crawling.sources.parsing import Found, ParseError, one_line
from autolabel.crawling.sources.urls import may_be_photo, names_photo, resolve
from surfaces.creative_commons import name_at
from surfaces.io.http import Response

_BYTES_MAX, _ENTRIES_MAX = 52_428_800, 50_000  # the protocol's own limits
# No sitemap comes near these; hostile ones would fill the memory.
_OVERLONG_TAG = re.compile(rb"<[^<]{65536}")
_DEPTH_MAX, _ELEMENTS_MAX, _IMAGES_MAX, _TEXT_MAX = 10, 500_000, 1000, 10_000
_CHUNK_BYTES = 65_536  # libxml2 refuses inputs of 10 MB at once


def parse_sitemap(request: CrawlRequest, response: Response) -> Found:
    """Finds the pages, photos and sitemaps of a sitemap: XML, or text with a URL per line; either may be gzip.

    A page whose photos the sitemap lists (`image:image`) leads to these and is not requested itself. An index leads to
    its sitemaps; within those no further index is read, as the protocol has it.

    Returns:
        At most 50,000 pages, photos or sitemaps.

    Raises:
        ParseError: it is no sitemap, has a document type (entities can be bombs), is larger than 50 MB unpacked, or is
            an index that another index led to.
    """
    body = _unpack(response.body)
    if body.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"<", b"\xff\xfe", b"\xfe\xff")):
        requests, is_cut = _read_xml(body, request, response.url)
    else:
        requests, is_cut = _read_text(body, request)
    unique: dict[str, CrawlRequest] = {}
    for each in requests[:_ENTRIES_MAX]:
        unique.setdefault(each.url, each)
    found = Found(unique.values())
    found.is_cut = is_cut or len(requests) > _ENTRIES_MAX
    return found


def _unpack(body: bytes) -> bytes:
    if not body.startswith(b"\x1f\x8b"):
        return body
    try:
        unpacked = gzip.GzipFile(fileobj=io.BytesIO(body)).read(_BYTES_MAX + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise ParseError(f"expected a sitemap, got a damaged gzip file: {error}") from error
    if len(unpacked) > _BYTES_MAX:
        raise ParseError(f"expected a sitemap of at most {_BYTES_MAX / 1e6:.0f} MB, it is larger")
    return unpacked


def _read_text(body: bytes, request: CrawlRequest) -> tuple[list[CrawlRequest], bool]:
    try:
        *lines, rest = f"{body.decode('utf-8-sig')}\n".split("\n", _ENTRIES_MAX)
    except UnicodeDecodeError as error:
        raise ParseError("expected a sitemap: XML, or text with an address a line") from error
    urls = [url for line in lines if (url := resolve("", line))]
    if not urls:
        raise ParseError("expected a sitemap: XML, or text with an address a line")
    return [_page_or_photo(url, request) for url in urls], bool(rest.strip())


def _read_xml(body: bytes, request: CrawlRequest, base: str) -> tuple[list[CrawlRequest], bool]:
    if _OVERLONG_TAG.search(body):
        raise ParseError("expected a sitemap, got one with an endless tag or text")
    sitemap = _Sitemap(request, base)
    parser = etree.XMLParser(target=sitemap, resolve_entities=False, no_network=True)
    try:
        for start in range(0, len(body), _CHUNK_BYTES):
            parser.feed(body[start : start + _CHUNK_BYTES])
        parser.close()
    except _Enough:
        return sitemap.requests, True
    except etree.LxmlError as error:
        raise ParseError(f"expected a sitemap, got broken XML: {one_line(str(error), 100)}") from error
    return sitemap.requests, sitemap.is_cut


class _Enough(Exception):
    """As much was found as is taken from a sitemap."""


class _Sitemap:
    """Target of lxml's parser: collects requests. A tree would take up to 40 times the memory of the file."""

    def __init__(self, request: CrawlRequest, base: str) -> None:
        self.requests: list[CrawlRequest] = []
        self.is_cut = False
        self._request, self._base = request, base
        self._path: list[str] = []
        self._text = ""
        self._elements = 0
        self._url = ""
        self._image: dict[str, str] = {}
        self._images: list[dict[str, str]] = []

    def doctype(self, *_: object) -> None:
        raise ParseError("expected a sitemap without document type and entities")

    def start(self, tag: str, _attributes: object) -> None:
        name = etree.QName(tag).localname
        if not self._path and name not in ("urlset", "sitemapindex"):
            raise ParseError(f"expected a sitemap, got XML with <{one_line(name, 40)}>")
        if name == "sitemapindex" and self._request.page:
            raise ParseError("expected a sitemap, got an index within an index")
        if len(self._path) == _DEPTH_MAX:
            raise ParseError("expected a sitemap, got XML with too many levels")
        self._elements += 1
        if self._elements > _ELEMENTS_MAX or len(self.requests) >= _ENTRIES_MAX:
            raise _Enough
        self._path.append(name)
        self._text = ""
        if name == "image":
            self._image = {}

    def data(self, text: str) -> None:
        if len(self._text) < _TEXT_MAX:
            self._text += text

    def end(self, _tag: str) -> None:
        text = self._text.strip()
        match self._path[-2:]:
            case ["url" | "sitemap", "loc"]:
                self._url = resolve(self._base, text)
            case ["image", "loc" | "title" | "caption" | "license" as part]:
                self._image.setdefault(part, text)
            case [_, "image"] if len(self._images) == _IMAGES_MAX:
                self.is_cut = True
            case [_, "image"]:
                self._images.append(self._image)
            case [_, "url"]:
                photos = [photo for image in self._images if (photo := self._photo(image))]
                self.requests += photos or ([_page_or_photo(self._url, self._request)] if self._url else [])
            case [_, "sitemap"] if self._url:
                self.requests.append(CrawlRequest(self._url, Kind.SITEMAP, self._request.source, page=self._base))
        if self._path.pop() in ("url", "sitemap"):
            self._url, self._images = "", []
        self._text = ""

    def close(self) -> None: ...

    def _photo(self, image: dict[str, str]) -> CrawlRequest | None:
        url, licence_url = resolve(self._base, image.get("loc", "")), resolve(self._base, image.get("license", ""))
        title = one_line(image.get("title") or image.get("caption", ""))
        if not url or not may_be_photo(url):
            return None
        source, licence = self._request.source, name_at(licence_url)
        return CrawlRequest(url, Kind.PHOTO, source, self._url, title, licence=licence, licence_url=licence_url)


def _page_or_photo(url: str, request: CrawlRequest) -> CrawlRequest:
    return CrawlRequest(url, Kind.PHOTO if names_photo(url) else Kind.PAGE, request.source)
