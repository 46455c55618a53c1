"""Addresses that try to have us ask this machine or its network: refused, and nobody was asked."""

from __future__ import annotations

import dataclasses
import socket
from http.server import BaseHTTPRequestHandler

import pytest

from surfaces.errors import FetchError
from surfaces.io.http import FetchLimits, fetch
from surfaces.io.urls import AddressError, look_up
from tests.photo_servers import PhotoServer
from tests.surfaces.io.hostile_urls import HOSTILE_NAMES, HOSTILE_URLS, METADATA, NAMES, PORTS, SCHEMES, USERINFO
from tests.surfaces.io.watched_network import PUBLIC_HOST, PUBLIC_IP, WatchedNetwork, port_of, somebody_came

pytestmark = pytest.mark.security

LIMITS = FetchLimits(connect_s=2, read_s=2, total_s=5, attempts=2, pause_s=0.01)
BODY = b"photo" * 100
ALL = [pytest.param(url, id=f"{kind} {n}") for kind, urls in HOSTILE_URLS.items() for n, url in enumerate(urls)]


@pytest.fixture
def network(network: WatchedNetwork) -> WatchedNetwork:
    for host, addresses in HOSTILE_NAMES.items():
        network.name(host, addresses)
    return network


def test_number_of_hostile_urls() -> None:
    assert len({url for urls in HOSTILE_URLS.values() for url in urls}) == len(ALL) >= 150


def test_target_is_reachable(network: WatchedNetwork, target: socket.socket) -> None:
    place = ("127.0.0.1", int(port_of(target)))
    with socket.socket() as client:
        client.connect(place)
        assert somebody_came(target)
    assert network.connected == [place]


@pytest.mark.parametrize("url", ALL)
def test_hostile_urls_are_refused(network: WatchedNetwork, target: socket.socket, url: str) -> None:
    with pytest.raises(FetchError) as caught:
        fetch(url.replace("PORT", port_of(target)), LIMITS, network.resolve)
    known = url not in ("http://unknown.example:PORT/", "http://garbage.example:PORT/")
    assert isinstance(caught.value, AddressError) == known
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400
    assert "secret" not in str(caught.value)
    assert network.connected == []
    assert len(network.looked_up) <= 1
    assert not somebody_came(target)


@pytest.mark.parametrize("url", [u for u in ALL if str(u.values[0]).isprintable()])
def test_redirects_to_hostile_urls_are_refused(
    network: WatchedNetwork, target: socket.socket, photo_server: PhotoServer, url: str
) -> None:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(302)
        request.send_header("Location", url.replace("PORT", port_of(target)).encode().decode("latin-1"))
        request.end_headers()

    photo_server.answer("/photo", answer)
    with pytest.raises(FetchError) as caught:
        fetch(f"http://{PUBLIC_HOST}:{photo_server.server_port}/photo", LIMITS, network.resolve)
    assert str(caught.value).isprintable()
    assert "secret" not in str(caught.value)
    # What is no whole address belongs to the server that sent it, as in browsers.
    assert set(network.connected) == {(PUBLIC_IP, photo_server.server_port)}
    assert photo_server.asked[0] == "/photo"
    assert not somebody_came(target)


def test_each_redirect_is_checked(network: WatchedNetwork, target: socket.socket, photo_server: PhotoServer) -> None:
    here = f"http://{PUBLIC_HOST}:{photo_server.server_port}"
    for step in range(4):
        photo_server.serve(f"/{step}", b"", 302, Location=f"{here}/{step + 1}")
    photo_server.serve("/4", b"", 307, Location=f"http://127.0.0.1:{port_of(target)}/")
    with pytest.raises(AddressError, match=r"got 127\.0\.0\.1"):
        fetch(f"{here}/0", LIMITS, network.resolve)
    assert photo_server.asked == ["/0", "/1", "/2", "/3", "/4"]
    assert not somebody_came(target)


def test_allow_private_excludes_metadata(network: WatchedNetwork, photo_server: PhotoServer) -> None:
    limits = dataclasses.replace(LIMITS, allow_private=True)
    photo_server.serve("/photo", BODY)
    for host in ("127.0.0.1", "any.localhost", "localhost"):
        url = f"http://{host}:{photo_server.server_port}/photo"
        assert fetch(url, limits, look_up) == BODY
    network.connected.clear()
    names = [url for url in NAMES if "link-local" in url or "metadata" in url or "mapped" in url]
    for url in (*METADATA, *USERINFO, *SCHEMES, *PORTS, *names, "http://0.0.0.0/", "http://224.0.0.1/"):
        with pytest.raises(AddressError) as caught:
            fetch(url.replace("PORT", "8080"), limits, network.resolve)
        assert "--allow-private" not in str(caught.value)
    assert network.connected == []
