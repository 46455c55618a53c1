"""Wikimedia Commons' search: the MediaWiki action API, https://commons.wikimedia.org/w/api.php"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from autolabel.crawling.requests import CrawlRequest, Kind
from autolabel.crawling.sources.licences import code_of
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
from surfaces.io.urls import AddressError

if TYPE_CHECKING:
    from surfaces.io.http import Response

SOURCE = "wikimedia"

_PARAMETERS = {
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
_LAST_OFFSET = 10_000  # the search shows no more results
_BUSY = frozenset({"maxlag", "ratelimited", "readonly"})
_PHOTO_TYPES = frozenset({"image/jpeg", "image/png", "image/webp", "image/tiff", "image/gif"})


def wikimedia_query(query: str, settings: ParseSettings) -> CrawlRequest:
    """The first page of a query's results.

    Args:
        query: such as `dining room interior`, in the search's own language (`incategory:…` and the like).
        settings: the API's address.
    """
    return _lead(settings, {"gsrsearch": f"{query} filetype:bitmap"})


def parse_wikimedia(request: CrawlRequest, response: Response, settings: ParseSettings) -> list[CrawlRequest]:
    """Tells what a page of results leads to: its photos, 1920 pixels wide where they are wider, and the next page.

    Raises:
        BusyError: the servers lag behind, or we ask too often.
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
    # The pages come in the order of their numbers; `index` is their place among the results.
    pages = sorted(objects_of(query.get("pages")), key=lambda page: _whole(page.get("index")))
    found = [photo for page in pages if (photo := _photo(page, request, response.url, settings))]
    following = document.get("continue")
    if isinstance(following, dict) and _whole(following.get("gsroffset")) < _LAST_OFFSET:
        asked = dict(parse_qsl(urlsplit(request.url).query))
        again = {name: text_of(value) for name, value in following.items()}
        try:
            found.append(_lead(settings, {"gsrsearch": asked.get("gsrsearch", "")} | again))
        except (AddressError, ValueError) as error:  # ValueError: half a surrogate pair
            raise ParseError("expected Wikimedia Commons' results, got a next page without an address") from error
    return found


def _lead(settings: ParseSettings, parameters: dict[str, str]) -> CrawlRequest:
    return CrawlRequest(
        normalize(f"{settings.wikimedia}/w/api.php?{urlencode(_PARAMETERS | parameters)}"), Kind.WIKIMEDIA, SOURCE
    )


def _photo(page: dict[str, Any], request: CrawlRequest, base: str, settings: ParseSettings) -> CrawlRequest | None:
    """A result's photo; None where it is no photo, or its licence is not wanted."""
    info = next(iter(objects_of(page.get("imageinfo"))), {})
    url = resolve(base, text_of(info.get("thumburl")) or text_of(info.get("url")))
    if not url or text_of(info.get("mime")) not in _PHOTO_TYPES:
        return None
    stats = info.get("extmetadata")
    licence, licence_url = _fact(stats, "LicenseShortName"), _fact(stats, "LicenseUrl")
    if code_of(licence, licence_url) not in settings.licences:
        return None
    return CrawlRequest(
        url,
        Kind.PHOTO,
        request.source,
        page=resolve(base, text_of(info.get("descriptionurl"))),
        title=one_line(PurePosixPath(text_of(page.get("title")).removeprefix("File:")).stem),
        author=_fact(stats, "Artist"),
        licence=licence,
        licence_url=resolve(base, licence_url),
    )


def _fact(stats: Any, name: str) -> str:
    """One of the file's `extmetadata`, which are HTML, as text."""
    fact = stats.get(name) if isinstance(stats, dict) else None
    return html_to_line(text_of(fact.get("value"))) if isinstance(fact, dict) else ""


def _whole(value: Any) -> int:
    return value if isinstance(value, int) else 0
