"""Openverse's search, against recorded answers and a loopback server that gives them."""

from __future__ import annotations

import json
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autolabel.crawling.requests import CrawlRequest, Kind
from autolabel.crawling.sources.licences import GROUPS
from autolabel.crawling.sources.openverse import openverse_query, parse_openverse
from autolabel.crawling.sources.parsers import headers_for, parsers_by_kind
from autolabel.crawling.sources.parsing import ParseError, ParseSettings
from surfaces.io.http import FetchLimits, ask
from tests.autolabel.crawling.recorded_answers import recorded, response
from tests.photo_servers import PhotoServer

_LOOPBACK = FetchLimits(allow_private=True)


def _query(request: CrawlRequest) -> dict[str, list[str]]:
    return parse_qs(urlsplit(request.url).query)


def test_the_first_request() -> None:
    request = openverse_query("dining room  & küche", ParseSettings())
    assert request.url.startswith("https://api.openverse.org/v1/images/?")
    assert _query(request) == {"q": ["dining room  & küche"], "page": ["1"], "page_size": ["20"]}
    commercial = openverse_query("rooms", ParseSettings(licences=GROUPS["commercial"]))
    assert _query(commercial)["license"] == ["cc0,pdm,by,by-sa,by-nd"]


def test_photos_with_their_provenance_and_the_next_page() -> None:
    request = openverse_query("dining room", ParseSettings())
    *photos, following = parse_openverse(
        request, response(request.url, recorded("openverse_page_1.json")), ParseSettings()
    )
    assert photos[0] == CrawlRequest(
        url="https://live.staticflickr.com/4065/4459771801_07595dc42e_b.jpg",
        kind=Kind.PHOTO,
        source="openverse",
        page="https://www.flickr.com/photos/18090920@N07/4459771801",
        title="Dining room 1",
        author="Sean MacEntee",
        licence="CC BY 2.0",
        licence_url="https://creativecommons.org/licenses/by/2.0/",
    )
    assert (photos[1].title, photos[1].author, photos[1].licence) == ("Tree table <b>room</b>", "", "CC0 1.0")
    assert photos[2].licence == "CC BY-NC-ND 2.0"
    assert following == replace(request, url=request.url.replace("page=1", "page=2"))
    last = parse_openverse(following, response(following.url, recorded("openverse_page_2.json")), ParseSettings())
    assert [(photo.kind, photo.licence) for photo in last] == [
        (Kind.PHOTO, "Public Domain Mark 1.0"),
        (Kind.PHOTO, "CC BY-SA 4.0"),
    ]


def test_an_empty_query_goes_on_too() -> None:
    request = openverse_query("", ParseSettings())
    following = parse_openverse(request, response(request.url, recorded("openverse_page_1.json")), ParseSettings())[-1]
    assert following.url == request.url.replace("page=1", "page=2")


def test_licences_are_checked_in_the_answer_too() -> None:
    wanted = ParseSettings(licences=frozenset({"by"}))
    request = openverse_query("dining room", wanted)
    photos = parse_openverse(request, response(request.url, recorded("openverse_page_1.json")), wanted)[:-1]
    assert [photo.licence for photo in photos] == ["CC BY 2.0"]


@pytest.mark.parametrize(
    ("page", "pages", "goes_on"), [(1, 12, True), (11, 500, True), (12, 500, False), (3, 3, False)]
)
def test_no_more_pages_than_anybody_may_see(page: int, pages: int, goes_on: bool) -> None:
    request = openverse_query("rooms", ParseSettings())
    request = replace(request, url=request.url.replace("page=1", f"page={page}"))
    body = json.dumps({"result_count": 9000, "page_count": pages, "page_size": 20, "page": page, "results": []})
    leads = parse_openverse(request, response(request.url, body.encode()), ParseSettings())
    assert [_query(request)["page"] for request in leads] == ([[str(page + 1)]] if goes_on else [])


def test_a_search_from_a_server_with_the_token_only_where_it_belongs(
    photo_server: PhotoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    carried = []

    def reply(name: str) -> str:
        def send(request: BaseHTTPRequestHandler) -> None:
            carried.append(request.headers["Authorization"])
            request.send_response(200)
            request.send_header("Content-Type", "application/json")
            request.end_headers()
            request.wfile.write(recorded(name))

        page = name[len("openverse_page_") :][0]
        return photo_server.answer(f"/v1/images/?q=dining+room&page={page}&page_size=20", send)

    reply("openverse_page_1.json"), reply("openverse_page_2.json")
    monkeypatch.setenv("OPENVERSE_TOKEN", "sesame")
    settings = ParseSettings(openverse=photo_server.url(""))
    waiting, photos = [openverse_query("dining room", settings)], []
    while waiting:
        request = waiting.pop()
        got = ask(request.url, _LOOPBACK, headers_for(request.kind, request.url, settings))
        leads = parsers_by_kind(settings)[request.kind](request, got)
        photos += [request for request in leads if request.kind is Kind.PHOTO]
        waiting += [request for request in leads if request.kind is Kind.OPENVERSE]
    assert len({photo.url for photo in photos}) == 5
    assert carried == ["Bearer sesame"] * 2
    assert "sesame" not in repr((settings, photos))


@pytest.mark.parametrize(
    ("kind", "address", "carried"),
    [
        (Kind.OPENVERSE, "https://api.openverse.org/v1/images/?q=a", True),
        (Kind.OPENVERSE, "http://api.openverse.org/v1/images/?q=a", False),
        (Kind.OPENVERSE, "https://api.openverse.org.evil.example/v1/", False),
        (Kind.OPENVERSE, "https://evil.example/https://api.openverse.org/", False),
        (Kind.WIKIMEDIA, "https://commons.wikimedia.org/w/api.php", False),
        (Kind.PHOTO, "https://api.openverse.org/v1/images/1/thumb/", False),
    ],
)
def test_where_the_token_goes(kind: Kind, address: str, carried: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENVERSE_TOKEN", "sesame")
    assert headers_for(kind, address, ParseSettings()) == ({"Authorization": "Bearer sesame"} if carried else {})
    monkeypatch.delenv("OPENVERSE_TOKEN")
    assert headers_for(kind, address, ParseSettings()) == {}


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"[" * 100_000, b'{"results": 1}', b"\xff\xfe"])
def test_what_is_no_page_of_results(body: bytes) -> None:
    request = openverse_query("rooms", ParseSettings())
    with pytest.raises(ParseError, match="expected Openverse's"):
        parse_openverse(request, response(request.url, body), ParseSettings())


def test_an_api_s_own_words_are_told() -> None:
    request = openverse_query("rooms", ParseSettings())
    with pytest.raises(ParseError, match="depth of 240 exceeded"):
        parse_openverse(request, response(request.url, recorded("openverse_too_deep.json")), ParseSettings())


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["by", "//["]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
_results = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("url", "license", "license_version", "license_url", "creator", "title"), _json)
)


@given(
    st.fixed_dictionaries(
        {"results": st.lists(_results | _json, max_size=3) | _json, "page": _json, "page_count": _json}
    )
)
def test_any_json_is_read_or_told_not_to_be_results(document: object) -> None:
    request = openverse_query("rooms", ParseSettings())
    try:
        leads = parse_openverse(request, response(request.url, json.dumps(document).encode()), ParseSettings())
    except ParseError:
        return
    assert all(request.url.startswith("http") for request in leads)
