"""Wikimedia Commons' search, against recorded answers and a loopback server that gives them."""

from __future__ import annotations

import json
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autolabel.crawling.requests import CrawlRequest, Kind
from autolabel.crawling.sources.parsers import parsers_by_kind
from autolabel.crawling.sources.parsing import BusyError, ParseError, ParseSettings
from autolabel.crawling.sources.wikimedia import parse_wikimedia, wikimedia_query
from surfaces.io.http import FetchLimits, ask
from tests.autolabel.crawling.recorded_answers import recorded, response
from tests.photo_servers import PhotoServer

_UPLOADS = "https://upload.wikimedia.org/wikipedia/commons/"


def _query(request: CrawlRequest) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(request.url).query))


def _read(body: bytes, request: CrawlRequest | None = None, **given: frozenset[str]) -> list[CrawlRequest]:
    settings = ParseSettings(**given)
    request = request or wikimedia_query("dining room", settings)
    return parse_wikimedia(request, response(request.url, body), settings)


def test_the_first_request() -> None:
    request = wikimedia_query("dining room interior", ParseSettings())
    assert request.url.startswith("https://commons.wikimedia.org/w/api.php?action=query&")
    assert _query(request).items() >= {
        ("gsrsearch", "dining room interior filetype:bitmap"),
        ("gsrnamespace", "6"),
        ("formatversion", "2"),
        ("maxlag", "5"),
        ("iiurlwidth", "1920"),
    }


def test_photos_with_their_provenance_in_the_order_of_the_results() -> None:
    *photos, following = _read(recorded("wikimedia_page_1.json"))
    zero = "http://creativecommons.org/publicdomain/zero/1.0/deed.en"
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
        ),
        CrawlRequest(
            url=_UPLOADS + "thumb/7/7e/White_House_dining_room.tif/lossy-page1-1920px-White_House_dining_room.tif.jpg",
            kind=Kind.PHOTO,
            source="wikimedia",
            page="https://commons.wikimedia.org/wiki/File:White_House_dining_room.tif",
            title="White House dining room",
            author="Unknown author",
            licence="Public domain",
        ),
        CrawlRequest(
            url=_UPLOADS + "7/7e/Comedor_Casa_Museo.png",
            kind=Kind.PHOTO,
            source="wikimedia",
            page="https://commons.wikimedia.org/wiki/File:Comedor_Casa_Museo.png",
            title="Comedor Casa Museo",
            author="Ana Pérez",
            licence="CC0",
            licence_url=zero,
        ),
    ]
    first = _query(wikimedia_query("dining room", ParseSettings()))
    assert following.kind is Kind.WIKIMEDIA
    assert _query(following) == first | {"gsroffset": "50", "continue": "gsroffset||"}


@pytest.mark.parametrize(
    ("licences", "names"),
    [({"cc0"}, ["CC0"]), ({"pdm", "by-sa"}, ["CC BY-SA 3.0", "Public domain"]), ({"by-nc"}, [])],
)
def test_licences(licences: set[str], names: list[str]) -> None:
    photos = _read(recorded("wikimedia_page_1.json"), licences=frozenset(licences))[:-1]
    assert [photo.licence for photo in photos] == names


def test_continuing_replaces_what_an_earlier_continuation_said() -> None:
    request = wikimedia_query("dining room", ParseSettings())
    for offset in (50, 100):
        body = json.dumps({"query": {"pages": []}, "continue": {"gsroffset": offset, "continue": "gsroffset||"}})
        (request,) = _read(body.encode(), request)
    (request,) = _read(b'{"query": {}, "continue": {"iicontinue": "A.jpg|1", "continue": "||"}}', request)
    assert {name: text for name, text in _query(request).items() if "continue" in name or "offset" in name} == {
        "iicontinue": "A.jpg|1",
        "continue": "||",
    }
    assert _query(request)["gsrsearch"] == "dining room filetype:bitmap"
    assert not _read(b'{"query": {}, "continue": {"gsroffset": 10000, "continue": "gsroffset||"}}', request)


def test_a_search_from_a_server(photo_server: PhotoServer) -> None:
    settings = ParseSettings(wikimedia=photo_server.url(""))
    waiting, photos = [wikimedia_query("dining room", settings)], []
    for name in ("wikimedia_page_1.json", "wikimedia_page_2.json"):
        request = waiting.pop()
        photo_server.serve(
            request.url.removeprefix(settings.wikimedia), recorded(name), Content_Type="application/json"
        )
        leads = parsers_by_kind(settings)[request.kind](request, ask(request.url, FetchLimits(allow_private=True)))
        photos += [request for request in leads if request.kind is Kind.PHOTO]
        waiting += [request for request in leads if request.kind is Kind.WIKIMEDIA]
    assert not waiting
    assert [photo.author for photo in photos] == ["Jane & John (own work)", "Unknown author", "Ana Pérez", "Max Muster"]


def test_no_results() -> None:
    assert _read(recorded("wikimedia_none.json")) == []


def test_lagging_servers_are_asked_again_later() -> None:
    with pytest.raises(BusyError, match=r"maxlag: Waiting for 10\.64\.16\.7: 6\.2 seconds lagged"):
        _read(recorded("wikimedia_maxlag.json"))


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[1]", b"{}", b'{"query": 1}', b'{"error": {"code": "badvalue", "info": "Unrecognized value"}}'],
)
def test_what_is_no_page_of_results(body: bytes) -> None:
    with pytest.raises(ParseError) as caught:
        _read(body)
    assert not isinstance(caught.value, BusyError)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just("image/jpeg"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
_facts = st.dictionaries(
    st.sampled_from(["Artist", "LicenseUrl", "LicenseShortName"]), st.fixed_dictionaries({"value": _json}) | _json
)
_infos = st.fixed_dictionaries(
    {"url": st.just("//a.example/b.jpg") | _json, "mime": st.just("image/jpeg"), "extmetadata": _facts | _json},
    optional={"thumburl": _json, "descriptionurl": _json},
)
_pages = st.fixed_dictionaries({"imageinfo": st.lists(_infos, max_size=2) | _json, "index": _json, "title": _json})


@given(
    st.fixed_dictionaries(
        {"query": st.fixed_dictionaries({"pages": st.lists(_pages, max_size=3) | _json}) | _json},
        optional={"continue": st.dictionaries(st.text(max_size=9), _json) | _json, "error": _json},
    )
)
def test_any_json_is_read_or_told_not_to_be_results(document: object) -> None:
    try:
        leads = _read(json.dumps(document).encode())
    except ParseError:
        return
    assert all(request.url.startswith("http") for request in leads)
