"""Searches for images under open licences: Openverse (https://api.openverse.org/v1/) and Wikimedia Commons."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from autolabel.crawling.records import CrawlRequest, Kind
from autolabel.crawling.sources.parsing import (
    BusyError,
    ParseError,
    ParseSettings,
    html_to_line,
    objects_of,
    one_line,
    parse_json_object,
    text_of,
)
from autolabel.crawling.sources.urls import normalize, resolve
from surfaces.creative_commons import CODES, code_of, name_of
from surfaces.io.http import Response
from surfaces.io.urls import AddressError

# The limits of Openverse for anybody, with a token or without: results per page, pages and characters of a query.
_PAGE_SIZE, _PAGES_MAX, _QUERY_MAX = 20, 12, 200

_WIKIMEDIA_PARAMETERS = {
    "action": "query",
    "format": "json",
    "formatversion": "2",
    "maxlag": "5",
    "generator": "search",
    "gsrnamespace": "6",  # files
    "gsrlimit": "50",  # as many as are scaled in one request
    "prop": "imageinfo",
    "iiprop": "url|size|mime|extmetadata",
    # One of the widths that Wikimedia keeps ready. Originals are tens of megabytes, and TIFF may be among them.
    "iiurlwidth": "1920",
    "iiextmetadatafilter": "LicenseShortName|LicenseUrl|Artist",
    "iiextmetadatalanguage": "en",
}
_OFFSET_MAX = 10_000  # Wikimedia shows no more results
_BUSY = frozenset({"maxlag", "ratelimited", "readonly"})
_PHOTO_TYPES = frozenset({"image/jpeg", "image/png", "image/webp", "image/tiff", "image/gif"})


def openverse_query(query: str, settings: ParseSettings, page: int = 1) -> CrawlRequest:
    """Returns the request for a page of a query's results; Openverse reads 200 characters of the query."""
    parameters: dict[str, str | int] = {"q": query[:_QUERY_MAX], "page": page, "page_size": _PAGE_SIZE}
    if settings.licences != frozenset(CODES):
        parameters["license"] = ",".join(code for code in CODES if code in settings.licences)
    url = normalize(f"{settings.openverse}/v1/images/?{urlencode(parameters)}")
    return CrawlRequest(url, Kind.OPENVERSE, "openverse", query=one_line(query, _QUERY_MAX))


def parse_openverse(request: CrawlRequest, response: Response, settings: ParseSettings) -> list[CrawlRequest]:
    """Returns requests for the photos of a page of results, and for the next page. Raises ParseError if it is none."""
    document = parse_json_object(response, "Openverse")
    if not isinstance(document.get("results"), list):
        detail = one_line(text_of(document.get("detail")) or "none", 200)
        raise ParseError(f"expected Openverse's results, got {detail!r}")
    found = []
    for result in objects_of(document["results"]):
        texts = {name: text_of(value) for name, value in result.items()}
        url, code = resolve(response.url, texts.get("url", "")), texts.get("license", "").lower()
        if not url or code not in settings.licences:
            continue
        photo = CrawlRequest(
            url,
            Kind.PHOTO,
            request.source,
            page=resolve(response.url, texts.get("foreign_landing_url", "")),
            title=one_line(texts.get("title", "")),
            author=one_line(texts.get("creator", "")),
            licence=name_of(code, one_line(texts.get("license_version", ""), 10)),
            licence_url=resolve(response.url, texts.get("license_url", "")),
            query=request.query,
        )
        found.append(photo)
    asked = dict(parse_qsl(urlsplit(request.url).query, keep_blank_values=True))
    page, pages = int(asked["page"]), document.get("page_count")
    if isinstance(pages, int) and page < min(pages, _PAGES_MAX):
        found.append(openverse_query(asked["q"], settings, page + 1))
    return found


def wikimedia_query(query: str, settings: ParseSettings) -> CrawlRequest:
    """Returns the request for the first results of a query, in the search's own language (`incategory:…`)."""
    return _wikimedia_request(settings, {"gsrsearch": f"{query} filetype:bitmap"}, one_line(query, _QUERY_MAX))


def parse_wikimedia(request: CrawlRequest, response: Response, settings: ParseSettings) -> list[CrawlRequest]:
    """Returns requests for the photos of a page of results, at most 1920 pixels wide, and for the next page.

    Raises:
        BusyError: the servers lag behind, or requests are too frequent.
        ParseError: it is no page of results.
    """
    document = parse_json_object(response, "MediaWiki")
    if isinstance(document.get("error"), dict):
        code, explained = text_of(document["error"].get("code")), text_of(document["error"].get("info"))
        kind = BusyError if code in _BUSY else ParseError
        raise kind(f"Wikimedia Commons answered {one_line(f'{code}: {explained}', 200)}")
    query = document.get("query", {})
    if not isinstance(query, dict) or not ({"query", "continue", "batchcomplete"} & document.keys()):
        raise ParseError("expected Wikimedia Commons' results, got something else")
    # The pages are sorted by page number; `index` is the position among the results.
    pages = sorted(objects_of(query.get("pages")), key=lambda page: _integer(page.get("index")))
    found = [photo for page in pages if (photo := _wikimedia_photo(page, request, response.url, settings))]
    following = document.get("continue")
    if isinstance(following, dict) and _integer(following.get("gsroffset")) < _OFFSET_MAX:
        asked = dict(parse_qsl(urlsplit(request.url).query))
        again = {name: text_of(value) for name, value in following.items()}
        try:
            found.append(_wikimedia_request(settings, {"gsrsearch": asked.get("gsrsearch", "")} | again, request.query))
        except (AddressError, ValueError) as error:  # ValueError: half a surrogate pair
            raise ParseError("expected Wikimedia Commons' results, got a next page without an address") from error
    return found


def _wikimedia_request(settings: ParseSettings, parameters: dict[str, str], query: str) -> CrawlRequest:
    url = normalize(f"{settings.wikimedia}/w/api.php?{urlencode(_WIKIMEDIA_PARAMETERS | parameters)}")
    return CrawlRequest(url, Kind.WIKIMEDIA, "wikimedia", query=query)


def _wikimedia_photo(
    page: dict[str, Any], request: CrawlRequest, base: str, settings: ParseSettings
) -> CrawlRequest | None:
    """A result's photo; None if it is no photo, or its licence is not wanted."""
    info = next(iter(objects_of(page.get("imageinfo"))), {})
    url = resolve(base, text_of(info.get("thumburl")) or text_of(info.get("url")))
    licence, licence_url = _metadata(info, "LicenseShortName"), _metadata(info, "LicenseUrl")
    is_photo = url and text_of(info.get("mime")) in _PHOTO_TYPES
    if not is_photo or code_of(licence, licence_url) not in settings.licences:
        return None
    return CrawlRequest(
        url,
        Kind.PHOTO,
        request.source,
        page=resolve(base, text_of(info.get("descriptionurl"))),
        title=one_line(PurePosixPath(text_of(page.get("title")).removeprefix("File:")).stem),
        author=_metadata(info, "Artist"),
        licence=licence,
        licence_url=resolve(base, licence_url),
        query=request.query,
    )


def _metadata(info: dict[str, Any], name: str) -> str:
    """A field of `extmetadata`, which is HTML, as text."""
    metadata = info.get("extmetadata")
    found = metadata.get(name) if isinstance(metadata, dict) else None
    return html_to_line(text_of(found.get("value"))) if isinstance(found, dict) else ""


def _integer(value: Any) -> int:
    return value if isinstance(value, int) else 0
