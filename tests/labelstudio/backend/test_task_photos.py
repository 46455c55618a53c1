"""Where the photos of tasks are read: whoever may write tasks, and the server, choose that."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import httpx
import pytest

from labelstudio.backend.task_photos import SingleFlightCache, TaskPhotos, is_photo_url
from labelstudio.server.connection import RetryClient, Server, open_server
from surfaces.errors import FetchError, SurfacesError
from tests.labelstudio.impostors import WHO, Impostor, impostor_at, redirects, says
from tests.labelstudio.servers import TestServer
from tests.photo_servers import PhotoServer

pytestmark = pytest.mark.security

PHOTO = b"a photo"


def sesame(request: httpx.Request) -> httpx.Request:
    request.headers["Authorization"] = "Token sesame"
    return request


def server_at(url: str) -> Server:
    session = RetryClient(base_url=url, auth=sesame, trust_env=False)
    return Server(url, cast(Any, None), session)


@pytest.fixture
def server() -> Iterator[Impostor]:
    with impostor_at(says(200, PHOTO)) as server:
        yield server


@pytest.mark.parametrize("allow_private", [False, True])
def test_redirects_of_the_server_are_read_as_any_strangers(photo_server: PhotoServer, allow_private: bool) -> None:
    """As from object storage, to which Label Studio redirects; a server of ours that does is asked without end."""
    photo_server.answer("/api/current-user/whoami", WHO)
    elsewhere = photo_server.serve("/data/upload/room.png", PHOTO).replace("127.0.0.1", "localhost")
    photo_server.answer("/data/upload/elsewhere", redirects(elsewhere))
    photo_server.answer("/data/upload/here", redirects("/data/upload/room.png"))
    photo_server.answer("/data/upload/round", redirects("/data/upload/round"))
    photos = TaskPhotos(open_server(photo_server.url(""), "a-token"), allow_private)

    assert photos.download("/data/upload/here") == PHOTO
    with pytest.raises(FetchError, match="at most 5 redirects"):
        photos.download("/data/upload/round")
    if allow_private:
        assert photos.download("/data/upload/elsewhere") == PHOTO
    else:
        with pytest.raises(FetchError, match="expected a host on the public internet"):
            photos.download("/data/upload/elsewhere")


STRANGERS = [
    "file:///etc/passwd",
    "s3://bucket/photo.jpg",
    "gs://bucket/photo.jpg",
    "//169.254.169.254/latest/meta-data/",
    "http://127.0.0.1:9/photo.jpg",
    "http://{host}/api/projects",
    "http://user:pw@{host}/api/projects",
]
PATHS = [
    "etc/passwd",
    "http://[::1/",
    "/\x1b[31m\r\nX: y",
    "",
    "/api/projects",
    "/data/export/1.json",
    "/data/upload/../../api/projects",
    "/data/upload/%2e%2e/%2E%2e/api/projects",
    "/data/upload/%252e%252e/api/projects",
    "/data/upload/..%2f..%2fapi/projects",
    "/data/upload/..\\..\\api/projects",
    "/data/upload/..%5c..%5capi/projects",
    "/data/upload//evil.example/a.jpg",
    "/data/local-files/?d=../../etc/passwd",
    "/data/local-files/?d=%2e%2e%2f%2e%2e%2fetc/passwd",
    "/\\evil.example/a.jpg",
    "//{host}/api/projects",
]


@pytest.mark.parametrize("address", STRANGERS + PATHS)
def test_addresses_that_lead_elsewhere_are_reported_and_asked_for_nothing(server: Impostor, address: str) -> None:
    photos = TaskPhotos(server_at(server.url), allow_private=address in PATHS)
    with pytest.raises(SurfacesError) as caught:
        photos.download(address.replace("{host}", server.url.removeprefix("http://")))
    assert str(caught.value).isprintable()
    assert server.seen == []


def test_the_token_goes_to_paths_of_photos_alone(server: Impostor) -> None:
    photos = TaskPhotos(server_at(server.url), allow_private=True)
    for address in (
        "/data/upload/1/a.jpg",
        "/data/local-files/?d=rooms/a%26b.jpg",
        f"{server.url}/data/upload/b%20c.jpg",
    ):
        assert photos.download(address) == PHOTO
    assert {token for _, _, token in server.seen} == {"Token sesame"}
    server.seen.clear()

    server.answers = [redirects("/api/current-user/whoami"), says(200, PHOTO)]
    photos.download("/data/upload/1/away.jpg")
    photos.download(f"{server.url}/api/projects")
    assert [(path, token) for _, path, token in server.seen] == [
        ("/data/upload/1/away.jpg", "Token sesame"),
        ("/api/current-user/whoami", None),
        ("/api/projects", None),
    ]


def test_the_token_goes_to_label_studio_alone(label_studio: TestServer, server: Impostor) -> None:
    photos = TaskPhotos(label_studio, allow_private=True)
    for address in (f"{server.url}/room.jpg", f"{server.url}/room.jpg".removeprefix("http:")):
        assert photos.download(address) == PHOTO
    assert [token for _, _, token in server.seen] == [None, None]


def test_photos_that_the_server_does_not_give_are_reported(label_studio: TestServer) -> None:
    photos = TaskPhotos(label_studio)
    for address in ("/data/upload/99/none.jpg", "/data/local-files/?d=none/none.jpg", "/nowhere", "http://[", "/../.."):
        with pytest.raises(SurfacesError) as caught:
            photos.download(address)
        assert "\n" not in str(caught.value)
        assert label_studio.account.token not in str(caught.value)
    with pytest.raises(FetchError, match="public internet"):
        photos.download(f"{label_studio.url}/user/login/")


def test_paths_of_a_label_studio_that_has_a_prefix() -> None:
    base = "https://tools.example.com/label/"
    assert is_photo_url("https://tools.example.com/label/data/upload/1/a.jpg", base)
    assert is_photo_url("https://tools.example.com/data/upload/1/a.jpg", base)
    assert not is_photo_url("https://tools.example.com/label/api/data/upload/1", base)


def test_the_cache_drops_the_oldest_and_keeps_no_failures() -> None:
    computed: list[str] = []

    def compute(key: str) -> str:
        computed.append(key)
        if key == "X":
            raise FetchError("away")
        return key.upper()

    cache = SingleFlightCache(compute, 2)
    assert [cache.get(key) for key in "abab"] == list("ABAB")
    assert [cache.get(key) for key in "cba"] == list("CBA")
    assert computed == list("abca")
    for _ in range(2):
        with pytest.raises(FetchError, match="away"):
            cache.get("X")
    assert computed[-2:] == ["X", "X"]
