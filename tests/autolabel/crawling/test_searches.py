"""Searches of Openverse and Wikimedia Commons: recorded responses, and a loopback server that gives them."""

from __future__ import annotations

import json
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qsl, urlsplit

import pytest

from autolabel.crawling.fetching.fetcher import headers_for, parsers_by_kind
from autolabel.crawling.records import CrawlRequest, Kind
from autolabel.crawling.sources.licences import GROUPS
from autolabel.crawling.sources.parsing import BusyError, ParseError, ParseSettings
from autolabel.crawling.sources.searches import openverse_query, wikimedia_query
from surfaces.io.http import FetchLimits, ask
from tests.autolabel.crawling.sites import recorded, response
from tests.photo_servers import PhotoServer

_UPLOADS = "https://upload.wikimedia.org/wikipedia/commons/"
_QUERIES = {Kind.OPENVERSE: openverse_query, Kind.WIKIMEDIA: wikimedia_query}
_OPENVERSE = openverse_query("dining room", ParseSettings())
_WIKIMEDIA = wikimedia_query("dining room", ParseSettings())


def _query(request: CrawlRequest) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(request.url).query))


def _read(request: CrawlRequest, body: bytes, **given: frozenset[str]) -> list[CrawlRequest]:
    return parsers_by_kind(ParseSettings(**given))[request.kind](request, response(request.url, body))


def test_the_first_request_to_openverse() -> None:
    request = openverse_query("dining room  & küche", ParseSettings())
    assert request.url.startswith("https://api.openverse.org/v1/images/?")
    assert _query(request) == {"q": "dining room  & küche", "page": "1", "page_size": "20"}
    commercial = openverse_query("rooms", ParseSettings(licences=GROUPS["commercial"]))
    assert _query(commercial)["license"] == "cc0,pdm,by,by-sa"


def test_photos_of_openverse_with_their_provenance_and_the_next_page() -> None:
    *photos, following = _read(_OPENVERSE, recorded("openverse_page_1.json"))
    assert photos[0] == CrawlRequest(
        url="https://live.staticflickr.com/4065/4459771801_07595dc42e_b.jpg",
        kind=Kind.PHOTO,
        source="openverse",
        page="https://www.flickr.com/photos/18090920@N07/4459771801",
        title="Dining room 1",
        author="Sean MacEntee",
        licence="CC BY 2.0",
        licence_url="https://creativecommons.org/licenses/by/2.0/",
        query="dining room",
    )
    assert (photos[1].title, photos[1].author, photos[1].licence) == ("Tree table <b>room</b>", "", "CC0 1.0")
    assert photos[2].licence == "CC BY-NC-ND 2.0"
    assert following == replace(_OPENVERSE, url=_OPENVERSE.url.replace("page=1", "page=2"))
    last = _read(following, recorded("openverse_page_2.json"))
    kinds = [(photo.kind, photo.licence) for photo in last]
    assert kinds == [(Kind.PHOTO, "Public Domain Mark 1.0"), (Kind.PHOTO, "CC BY-SA 4.0")]
    empty = openverse_query("", ParseSettings())
    assert _read(empty, recorded("openverse_page_1.json"))[-1].url == empty.url.replace("page=1", "page=2")


@pytest.mark.parametrize(
    ("page", "pages", "continues"), [(1, 12, True), (11, 500, True), (12, 500, False), (3, 3, False)]
)
def test_no_more_pages_of_openverse_than_anybody_may_see(page: int, pages: int, continues: bool) -> None:
    request = replace(_OPENVERSE, url=_OPENVERSE.url.replace("page=1", f"page={page}"))
    body = json.dumps({"result_count": 9000, "page_count": pages, "page_size": 20, "page": page, "results": []})
    following = [_query(each)["page"] for each in _read(request, body.encode())]
    assert following == ([str(page + 1)] if continues else [])


@pytest.mark.parametrize(
    ("kind", "url", "carried"),
    [
        (Kind.OPENVERSE, "https://api.openverse.org/v1/images/?q=a", True),
        (Kind.OPENVERSE, "http://api.openverse.org/v1/images/?q=a", False),
        (Kind.OPENVERSE, "https://api.openverse.org.evil.example/v1/", False),
        (Kind.OPENVERSE, "https://evil.example/https://api.openverse.org/", False),
        (Kind.WIKIMEDIA, "https://commons.wikimedia.org/w/api.php", False),
        (Kind.PHOTO, "https://api.openverse.org/v1/images/1/thumb/", False),
    ],
)
def test_the_token_is_sent_to_openverse_alone(
    kind: Kind, url: str, carried: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENVERSE_TOKEN", "sesame")
    assert headers_for(kind, url, ParseSettings()) == ({"Authorization": "Bearer sesame"} if carried else {})
    monkeypatch.delenv("OPENVERSE_TOKEN")
    assert headers_for(kind, url, ParseSettings()) == {}


def test_the_first_request_to_wikimedia() -> None:
    request = wikimedia_query("dining room interior", ParseSettings())
    assert request.url.startswith("https://commons.wikimedia.org/w/api.php?action=query&")
    assert _query(request).items() >= {
        ("gsrsearch", "dining room interior filetype:bitmap"),
        ("gsrnamespace", "6"),
        ("formatversion", "2"),
        ("maxlag", "5"),
        ("iiurlwidth", "1920"),
    }


def test_photos_of_wikimedia_with_their_provenance_in_the_order_of_the_results() -> None:
    *photos, following = _read(_WIKIMEDIA, recorded("wikimedia_page_1.json"))
    assert photos == [
        CrawlRequest(
            url=_UPLOADS + "thumb/7/7e/Dining_room,_Hill_House.jpg/1920px-Dining_room,_Hill_House.jpg",
            kind=Kind.PHOTO,
            source="wikimedia",
            page="https://commons.wikimedia.org/wiki/File:Dining_room,_Hill_House.jpg",
            title="Dining room, Hill House",
            author="Jane & John (own work)",
            licence="CC BY-SA 3.0",
            licence_url="https://creativecommons.org/licenses/by-sa/3.0",
            query="dining room",
        ),
        CrawlRequest(
            url=_UPLOADS + "thumb/7/7e/White_House_dining_room.tif/lossy-page1-1920px-White_House_dining_room.tif.jpg",
            kind=Kind.PHOTO,
            source="wikimedia",
            page="https://commons.wikimedia.org/wiki/File:White_House_dining_room.tif",
            title="White House dining room",
            author="Unknown author",
            licence="Public domain",
            query="dining room",
        ),
        CrawlRequest(
            url=_UPLOADS + "7/7e/Comedor_Casa_Museo.png",
            kind=Kind.PHOTO,
            source="wikimedia",
            page="https://commons.wikimedia.org/wiki/File:Comedor_Casa_Museo.png",
            title="Comedor Casa Museo",
            author="Ana Pérez",
            licence="CC0",
            licence_url="http://creativecommons.org/publicdomain/zero/1.0/deed.en",
            query="dining room",
        ),
    ]
    assert following.kind is Kind.WIKIMEDIA
    assert _query(following) == _query(_WIKIMEDIA) | {"gsroffset": "50", "continue": "gsroffset||"}
    assert _read(_WIKIMEDIA, recorded("wikimedia_none.json")) == []


@pytest.mark.parametrize(
    ("request_", "page", "licences", "names"),
    [
        (_OPENVERSE, "openverse_page_1.json", {"by"}, ["CC BY 2.0"]),
        (_WIKIMEDIA, "wikimedia_page_1.json", {"cc0"}, ["CC0"]),
        (_WIKIMEDIA, "wikimedia_page_1.json", {"pdm", "by-sa"}, ["CC BY-SA 3.0", "Public domain"]),
        (_WIKIMEDIA, "wikimedia_page_1.json", {"by-nc"}, []),
    ],
)
def test_licences_are_checked_in_the_response(
    request_: CrawlRequest, page: str, licences: set[str], names: list[str]
) -> None:
    photos = _read(request_, recorded(page), licences=frozenset(licences))[:-1]
    assert [photo.licence for photo in photos] == names


def test_continuing_wikimedia_replaces_an_earlier_continuation() -> None:
    request = _WIKIMEDIA
    for offset in (50, 100):
        body = json.dumps({"query": {"pages": []}, "continue": {"gsroffset": offset, "continue": "gsroffset||"}})
        (request,) = _read(request, body.encode())
    (request,) = _read(request, b'{"query": {}, "continue": {"iicontinue": "A.jpg|1", "continue": "||"}}')
    query = _query(request)
    continuation = {name: text for name, text in query.items() if "continue" in name or "offset" in name}
    assert continuation == {"iicontinue": "A.jpg|1", "continue": "||"}
    assert query["gsrsearch"] == "dining room filetype:bitmap"
    assert not _read(request, b'{"query": {}, "continue": {"gsroffset": 10000, "continue": "gsroffset||"}}')


@pytest.mark.parametrize("kind", _QUERIES, ids=str)
def test_a_search_from_a_server(kind: Kind, photo_server: PhotoServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENVERSE_TOKEN", "sesame")
    settings = ParseSettings(openverse=photo_server.url(""), wikimedia=photo_server.url(""))
    carried, photos = [], []
    waiting = [_QUERIES[kind]("dining room", settings)]
    for number in (1, 2):

        def send(request: BaseHTTPRequestHandler, name: str = f"{kind}_page_{number}.json") -> None:
            carried.append(request.headers["Authorization"])
            request.send_response(200)
            request.end_headers()
            request.wfile.write(recorded(name))

        request = waiting.pop()
        photo_server.answer(request.url.removeprefix(photo_server.url("")), send)
        headers = headers_for(request.kind, request.url, settings)
        found = parsers_by_kind(settings)[kind](request, ask(request.url, FetchLimits(allow_private=True), headers))
        photos += [each for each in found if each.kind is Kind.PHOTO]
        waiting += [each for each in found if each.kind is kind]
    assert not waiting
    assert len({photo.url for photo in photos}) == (5 if kind is Kind.OPENVERSE else 4)
    assert carried == ["Bearer sesame" if kind is Kind.OPENVERSE else None] * 2
    assert "sesame" not in repr((settings, photos))


@pytest.mark.parametrize(
    ("request_", "body", "error", "words"),
    [
        *((_OPENVERSE, body, ParseError, "expected Openverse's") for body in (b"", b"<html>", b"[]", b"\xff\xfe")),
        *((_OPENVERSE, body, ParseError, "expected Openverse's") for body in (b"[" * 100_000, b'{"results": 1}')),
        (_OPENVERSE, recorded("openverse_too_deep.json"), ParseError, "depth of 240 exceeded"),
        *((_WIKIMEDIA, body, ParseError, "expected MediaWiki's") for body in (b"", b"<html>", b"[1]")),
        *((_WIKIMEDIA, body, ParseError, "expected Wikimedia Commons'") for body in (b"{}", b'{"query": 1}')),
        (_WIKIMEDIA, b'{"error": {"code": "badvalue", "info": "Unrecognized"}}', ParseError, "badvalue: Unrecognized"),
        (_WIKIMEDIA, recorded("wikimedia_maxlag.json"), BusyError, r"maxlag: Waiting for 10\.64\.16\.7: 6\.2 seconds"),
        *((request, b'{"results": [' + b"[]," * 1_700_000, ParseError, "5 MB") for request in (_OPENVERSE, _WIKIMEDIA)),
    ],
)
def test_what_is_no_page_of_results(request_: CrawlRequest, body: bytes, error: type[ParseError], words: str) -> None:
    with pytest.raises(ParseError, match=words) as caught:
        _read(request_, body)
    assert type(caught.value) is error
