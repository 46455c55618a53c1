"""Reads sitemaps: https://www.sitemaps.org/protocol.html, with the image extension of Google's."""

from __future__ import annotations

import gzip
import io
import re
import zlib
from typing import TYPE_CHECKING

from autolabel.crawling.requests import CrawlRequest, Kind
from autolabel.crawling.sources.licences import name_at
from autolabel.crawling.sources.parsing import Found, ParseError, one_line
from autolabel.crawling.sources.urls import may_be_photo, names_photo, resolve

if TYPE_CHECKING:
    from surfaces.io.http import Response

# The protocol's own limits.
_MOST_BYTES = 52_428_800
_MOST_ENTRIES = 50_000
# No sitemap comes near these; hostile ones would fill the memory.
_LONGEST_TEXT = 10_000
_OVERLONG_TAG = re.compile(rb"<[^<]{65536}")
_DEEPEST = 10
_MOST_ELEMENTS = 500_000
_MOST_IMAGES = 1000


def parse_sitemap(request: CrawlRequest, response: Response) -> Found:
    """Tells what a sitemap leads to.

    A page whose photos the sitemap lists (`image:image`) leads to these and is not asked itself; any other leads to
    the page. An index leads to its sitemaps; within those no further index is taken, as the protocol has it.

    Args:
        request: what the sitemap was asked for.
        response: XML, or text with an address a line; either may be a gzip file.

    Returns:
        At most 50,000 pages, photos or sitemaps, each with an address of at most 2,000 characters.

    Raises:
        ParseError: it is no sitemap, has a document type (entities can be bombs), is larger than 50 MB unpacked, or is
            an index that another index led to.
    """
    body = _unpacked(response.body)
    if body.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"<", b"\xff\xfe", b"\xfe\xff")):
        found, is_cut = _read_xml(body, request, response.url)
    else:
        found, is_cut = _read_text(body, request)
    unique: dict[str, CrawlRequest] = {}
    for each in found:
        unique.setdefault(each.url, each)
    leads = Found(unique.values())
    leads.is_cut = is_cut
    return leads


def _unpacked(body: bytes) -> bytes:
    if not body.startswith(b"\x1f\x8b"):
        return body
    try:
        unpacked = gzip.GzipFile(fileobj=io.BytesIO(body)).read(_MOST_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise ParseError(f"expected a sitemap, got a damaged gzip file: {error}") from error
    if len(unpacked) > _MOST_BYTES:
        raise ParseError(f"expected a sitemap of at most {_MOST_BYTES / 1e6:.0f} MB, it is larger")
    return unpacked


def _read_text(body: bytes, request: CrawlRequest) -> tuple[list[CrawlRequest], bool]:
    try:
        lines = body.decode("utf-8-sig").split("\n", _MOST_ENTRIES)
    except UnicodeDecodeError as error:
        raise ParseError("expected a sitemap: XML, or text with an address a line") from error
    addresses = [resolve("", line) for line in lines[:_MOST_ENTRIES]]
    if not any(addresses):
        raise ParseError("expected a sitemap: XML, or text with an address a line")
    is_cut = bool("".join(lines[_MOST_ENTRIES:]).strip())
    return [_page_or_photo(address, request) for address in addresses if address], is_cut


def _read_xml(body: bytes, request: CrawlRequest, url: str) -> tuple[list[CrawlRequest], bool]:
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import DefusedXMLParser
    from defusedxml.ElementTree import ParseError as XmlError

    if _OVERLONG_TAG.search(body):
        raise ParseError("expected a sitemap, got one with an endless tag or text")
    sitemap = _Sitemap(request, url)
    # The target makes leads at once: a tree would take ten times the file's size.
    parser = DefusedXMLParser(target=sitemap, forbid_dtd=True)
    try:
        parser.feed(body)
        parser.close()
    except _Enough:
        sitemap.is_cut = True
    except DefusedXmlException as error:
        raise ParseError("expected a sitemap without document type and entities") from error
    except (XmlError, LookupError, ValueError) as error:
        raise ParseError(f"expected a sitemap, got broken XML: {one_line(str(error), 100)}") from error
    return sitemap.leads, sitemap.is_cut


class _Enough(Exception):
    """As much as a sitemap may hold was found."""


class _Sitemap:
    """What the XML parser calls; collects leads.

    Attributes:
        leads: what was found.
        is_cut: whether there was more.
    """

    def __init__(self, request: CrawlRequest, url: str) -> None:
        self.leads: list[CrawlRequest] = []
        self.is_cut = False
        self._lead, self._url = request, url
        self._path: list[str] = []
        self._text: list[str] = []
        self._length = self._elements = 0
        self._page = ""
        self._image: dict[str, str] = {}
        self._images: list[dict[str, str]] = []

    def start(self, tag: str, _attributes: dict[str, str]) -> None:
        name = tag.rpartition("}")[2]
        if not self._path and name not in ("urlset", "sitemapindex"):
            raise ParseError(f"expected a sitemap, got XML with <{one_line(name, 40)}>")
        if name == "sitemapindex" and self._lead.page:
            raise ParseError("expected a sitemap, got an index within an index")
        self._elements += 1
        if self._elements > _MOST_ELEMENTS or len(self.leads) >= _MOST_ENTRIES:
            raise _Enough
        if len(self._path) == _DEEPEST:
            raise ParseError("expected a sitemap, got XML with too many levels")
        self._path.append(name)
        self._text, self._length = [], 0
        if name == "image":
            self._image = {}

    def data(self, text: str) -> None:
        self._length += len(text)
        if self._length <= _LONGEST_TEXT:
            self._text.append(text)

    def end(self, _tag: str) -> None:
        text, self._text = "".join(self._text).strip(), []
        match self._path[-2:]:
            case ["url" | "sitemap", "loc"]:
                self._page = resolve(self._url, text)
            case ["image", "loc" | "title" | "caption" | "license" as part]:
                self._image.setdefault(part, text)
            case [_, "image"] if len(self._images) == _MOST_IMAGES:
                self.is_cut = True
            case [_, "image"]:
                self._images.append(self._image)
            case [_, "url"]:
                self._add(self._photos() or ([_page_or_photo(self._page, self._lead)] if self._page else []))
            case [_, "sitemap"] if self._page:
                self._add([CrawlRequest(self._page, Kind.SITEMAP, self._lead.source, page=self._url)])
        if self._path.pop() in ("url", "sitemap"):
            self._page, self._images = "", []

    def close(self) -> None: ...

    def _add(self, leads: list[CrawlRequest]) -> None:
        room = _MOST_ENTRIES - len(self.leads)
        self.leads += leads[:room]
        self.is_cut |= len(leads) > room

    def _photos(self) -> list[CrawlRequest]:
        found = []
        for image in self._images:
            url = resolve(self._url, image.get("loc", ""))
            if url and may_be_photo(url):
                licence_url = resolve(self._url, image.get("license", ""))
                found.append(
                    CrawlRequest(
                        url,
                        Kind.PHOTO,
                        self._lead.source,
                        page=self._page,
                        title=one_line(image.get("title") or image.get("caption", "")),
                        licence=name_at(licence_url),
                        licence_url=licence_url,
                    )
                )
        return found


def _page_or_photo(url: str, request: CrawlRequest) -> CrawlRequest:
    return CrawlRequest(url, Kind.PHOTO if names_photo(url) else Kind.PAGE, request.source)
