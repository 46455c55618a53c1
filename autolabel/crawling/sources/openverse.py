"""Openverse's search for images under open licences: https://api.openverse.org/v1/"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode, urlsplit

from autolabel.crawling.requests import CrawlRequest, Kind
from autolabel.crawling.sources.licences import CODES, name_of
from autolabel.crawling.sources.parsing import (
    ParseError,
    ParseSettings,
    objects_of,
    one_line,
    parse_json_object,
    text_of,
)
from autolabel.crawling.sources.urls import normalize, resolve

if TYPE_CHECKING:
    from surfaces.io.http import Response

SOURCE = "openverse"

# What anybody may ask for: 20 results a page, and no more than 240 a query, with a token or without.
_PAGE_SIZE = 20
_MOST_PAGES = 12
_LONGEST_QUERY = 200


def openverse_query(query: str, settings: ParseSettings) -> CrawlRequest:
    """The first page of a query's results.

    Args:
        query: such as `dining room interior`; Openverse reads its first 200 characters.
        settings: the licences that are wanted, and the API's address.
    """
    return CrawlRequest(_address(settings.openverse, query, settings.licences, 1), Kind.OPENVERSE, SOURCE)


def parse_openverse(request: CrawlRequest, response: Response, settings: ParseSettings) -> list[CrawlRequest]:
    """Tells what a page of results leads to: its photos, and the next page.

    Raises:
        ParseError: it is none.
    """
    document = parse_json_object(response, "Openverse")
    if not isinstance(document.get("results"), list):
        raise ParseError(
            f"expected Openverse's results, got {one_line(text_of(document.get('detail')) or 'none', 200)!r}"
        )
    found = []
    for result in objects_of(document["results"]):
        url, code = resolve(response.url, text_of(result.get("url"))), text_of(result.get("license")).lower()
        if not url or code not in settings.licences:
            continue
        found.append(
            CrawlRequest(
                url,
                Kind.PHOTO,
                request.source,
                page=resolve(response.url, text_of(result.get("foreign_landing_url"))),
                title=one_line(text_of(result.get("title"))),
                author=one_line(text_of(result.get("creator"))),
                licence=name_of(code, one_line(text_of(result.get("license_version")), 10)),
                licence_url=resolve(response.url, text_of(result.get("license_url"))),
            )
        )
    asked = dict(parse_qsl(urlsplit(request.url).query, keep_blank_values=True))
    page, pages = int(asked["page"]), document.get("page_count")
    if isinstance(pages, int) and page < min(pages, _MOST_PAGES):
        next_page = _address(settings.openverse, asked["q"], settings.licences, page + 1)
        found.append(CrawlRequest(next_page, Kind.OPENVERSE, request.source))
    return found


def _address(api: str, query: str, licences: frozenset[str], page: int) -> str:
    parameters: dict[str, str | int] = {"q": query[:_LONGEST_QUERY], "page": page, "page_size": _PAGE_SIZE}
    if licences != frozenset(CODES):
        parameters["license"] = ",".join(code for code in CODES if code in licences)
    return normalize(f"{api}/v1/images/?{urlencode(parameters)}")
