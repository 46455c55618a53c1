"""Wikimedia Commons' search: the MediaWiki action API, https://commons.wikimedia.org/w/api.php"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from autolabel.crawling.lead import Kind, Lead
from autolabel.crawling.licences import code_of
from autolabel.crawling.markup import one_line, text_of
from autolabel.crawling.reading import BusyError, ReadError, ReadSettings
from autolabel.crawling.search_api import json_object, objects, text
from autolabel.crawling.urls import normalised, resolved
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


def wikimedia_query(query: str, settings: ReadSettings) -> Lead:
    """The first page of a query's results.

    Args:
        query: such as `dining room interior`, in the search's own language (`incategory:…` and the like).
        settings: the API's address.
    """
    return _lead(settings, {"gsrsearch": f"{query} filetype:bitmap"})


def read_wikimedia(lead: Lead, answer: Response, settings: ReadSettings) -> list[Lead]:
    """Tells what a page of results leads to: its photos, 1920 pixels wide where they are wider, and the next page.

    Raises:
        BusyError: the servers lag behind, or we ask too often.
        ReadError: it is no page of results.
    """
    document = json_object(answer, "MediaWiki")
    if isinstance(document.get("error"), dict):
        code, explained = text(document["error"].get("code")), text(document["error"].get("info"))
        kind = BusyError if code in _BUSY else ReadError
        raise kind(f"Wikimedia Commons answered {one_line(f'{code}: {explained}', 200)}")
    query = document.get("query", {})
    if not isinstance(query, dict) or not ({"query", "continue", "batchcomplete"} & document.keys()):
        raise ReadError("expected Wikimedia Commons' results, got something else")
    # The pages come in the order of their numbers; `index` is their place among the results.
    pages = sorted(objects(query.get("pages")), key=lambda page: _whole(page.get("index")))
    found = [photo for page in pages if (photo := _photo(page, lead, answer.url, settings))]
    following = document.get("continue")
    if isinstance(following, dict) and _whole(following.get("gsroffset")) < _LAST_OFFSET:
        asked = dict(parse_qsl(urlsplit(lead.url).query))
        again = {name: text(value) for name, value in following.items()}
        try:
            found.append(_lead(settings, {"gsrsearch": asked.get("gsrsearch", "")} | again))
        except (AddressError, ValueError) as error:  # ValueError: half a surrogate pair
            raise ReadError("expected Wikimedia Commons' results, got a next page without an address") from error
    return found


def _lead(settings: ReadSettings, parameters: dict[str, str]) -> Lead:
    return Lead(
        normalised(f"{settings.wikimedia}/w/api.php?{urlencode(_PARAMETERS | parameters)}"), Kind.WIKIMEDIA, SOURCE
    )


def _photo(page: dict[str, Any], lead: Lead, base: str, settings: ReadSettings) -> Lead | None:
    """A result's photo; None where it is no photo, or its licence is not wanted."""
    info = next(iter(objects(page.get("imageinfo"))), {})
    url = resolved(base, text(info.get("thumburl")) or text(info.get("url")))
    if not url or text(info.get("mime")) not in _PHOTO_TYPES:
        return None
    facts = info.get("extmetadata")
    licence, licence_url = _fact(facts, "LicenseShortName"), _fact(facts, "LicenseUrl")
    if code_of(licence, licence_url) not in settings.licences:
        return None
    return Lead(
        url,
        Kind.PHOTO,
        lead.source,
        page=resolved(base, text(info.get("descriptionurl"))),
        title=one_line(PurePosixPath(text(page.get("title")).removeprefix("File:")).stem),
        author=_fact(facts, "Artist"),
        licence=licence,
        licence_url=resolved(base, licence_url),
    )


def _fact(facts: Any, name: str) -> str:
    """One of the file's `extmetadata`, which are HTML, as text."""
    fact = facts.get(name) if isinstance(facts, dict) else None
    return text_of(text(fact.get("value"))) if isinstance(fact, dict) else ""


def _whole(value: Any) -> int:
    return value if isinstance(value, int) else 0
