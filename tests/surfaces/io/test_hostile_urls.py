"""Addresses that try to have us ask this machine or its network: refused, and nobody was asked."""

# ruff: noqa: RUF001 (the strange digits are meant)

from __future__ import annotations

import dataclasses
import socket
from http.server import BaseHTTPRequestHandler

import pytest

from surfaces.errors import FetchError
from surfaces.io.http import FetchLimits, fetch
from surfaces.io.urls import AddressError, look_up
from tests.photo_servers import PhotoServer
from tests.surfaces.io.watched_network import PUBLIC_HOST, PUBLIC_IP, WatchedNetwork, port_of, somebody_came

pytestmark = pytest.mark.security

LIMITS = FetchLimits(connect_s=2, read_s=2, total_s=5, attempts=2, pause_s=0.01)
BODY = b"photo" * 100


def at_port(hosts: str) -> list[str]:
    """PORT stands for a port at which a server of this machine listens."""
    return [f"http://{host}:PORT/" for host in hosts.split()]


LOOPBACK = [
    *at_port("127.0.0.1 127.0.0.2 127.255.255.254 127.0.0.1. 0.0.0.0 localhost LocalHost localhost. any.localhost"),
    "HTTP://127.0.0.1:PORT/",
    " http://127.0.0.1:PORT/",
    "http://127.0.0.1:PORT?http://photos.example/",
    "http://127.0.0.1:PORT#@photos.example/",
]
OTHER_NOTATIONS = at_port("""
    127.1 127.0.1 2130706433 2130706433. 017700000001 0x7f000001 0x7F000001. 0x7f.0x0.0x0.0x1 0x7f.1 127.0.0.0x1
    127.0.0.0x 0177.0.0.1 0177.0.0.0x1 127.0.0.01 0 00000000000000000000177.0.0.1 4294967296 127.0.0.1.. .127.0.0.1
    127.0.0.1.1
""")
UNICODE = at_port("""
    １２７.０.０.１ 127。0。0。1 ①②⑦.⓪.⓪.① 𝟙𝟚𝟟.𝟘.𝟘.𝟙 ⓛⓞⓒⓐⓛⓗⓞⓢⓣ loc\u00adalhost 127.0.0.1\u200b ١٢٧.٠.٠.١
    photos.example\u2044@127.0.0.1 127.0.0.1\uff0f \udc80.example
""")
IPV6 = at_port("""
    [::1] [0:0:0:0:0:0:0:1] [::] [::ffff:127.0.0.1] [::ffff:7f00:1] [0:0:0:0:0:FFFF:127.0.0.1] [::127.0.0.1]
    [::ffff:0:127.0.0.1] [64:ff9b::127.0.0.1] [64:ff9b::a9fe:a9fe] [64:ff9b:1::127.0.0.1] [2002:7f00:1::]
    [2001:0:7f00:1::] [2001:0:808:808::80ff:fffe] [fe80::1%25lo] [fe80::1%lo] [::1%25lo] [2606:4700::1%25lo] [fec0::1]
    [fc00::1] [ff02::1] [ff0e::1] [v1.::1] [127.0.0.1] ::1 [::1]photos.example photos.example[::1] [::1
""")
METADATA = [
    "http://169.254.169.254/latest/meta-data/iam/security-credentials/",
    "http://2852039166/latest/meta-data/",
    "http://0xA9FEA9FE/latest/meta-data/",
    "http://0251.0376.0251.0376/latest/meta-data/",
    "http://169.254.43518/latest/meta-data/",
    "http://[::ffff:169.254.169.254]/latest/meta-data/",
    "http://[fd00:ec2::254]/latest/meta-data/",
    "http://[fd20:ce::254]/computeMetadata/v1/",
    "http://metadata.google.internal/computeMetadata/v1/",
    "http://169.254.170.2/v2/credentials",
    "http://100.100.100.200/latest/meta-data/",
    "http://168.63.129.16/machine?comp=goalstate",
    "http://192.0.0.192/opc/v1/instance/",
]
OTHER_NETWORKS = """
    10.0.0.1 172.16.0.1 172.31.255.255 192.168.0.1 100.64.0.1 100.127.255.255 0.1.2.3 192.0.2.1 192.88.99.1 198.18.0.1
    198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.250:1900 240.0.0.1 255.255.255.255 [100::1] [2001:db8::1] [3fff::1]
    [4000::1] [5f00::1]
"""
USERINFO = [
    "http://photos.example@127.0.0.1:PORT/",
    "http://127.0.0.1:PORT@photos.example/",
    "http://photos.example:80@127.0.0.1:PORT/",
    "http://photos.example:80@127.0.0.1:PORT@photos.example/",
    "http://@127.0.0.1:PORT/",
    "http://:@127.0.0.1:PORT/",
    "http://photos.example\\@127.0.0.1:PORT/",
    "http://photos.example%40127.0.0.1:PORT/",
    "http://photos.example%2f@127.0.0.1:PORT/",
    "http://mary:secret@photos.example/",
]
CONFUSING = [
    "http:\\\\127.0.0.1:PORT\\",
    "http://127.0.0.1:PORT\\.photos.example/",
    "http:///127.0.0.1:PORT/",
    "http:127.0.0.1:PORT",
    "http:/127.0.0.1:PORT/",
    "//127.0.0.1:PORT/",
    "127.0.0.1:PORT",
    "http://",
    "http://?127.0.0.1",
    "http://127.0.0.1:port/",
    "http://*.example./a b",
    "http://" + "a" * 300 + "/",
    "http://127.0.0.1 :PORT/",
    "http://127.0.0.1:PORT:80/",
    "http://127.0.0.1:/",
    "http://127.0.0.1:-1/",
    "http://127.0.0.1:+PORT/",
    "http://127.0.0.1:0xPORT/",
    "http://%31%32%37.0.0.1:PORT/",
    "http://%6cocalhost:PORT/",
    "http://lo\tcalhost:PORT/",
    "http://127.0.0.1\x00.photos.example:PORT/",
    "http://photos.example:PORT/\r\nHost: 127.0.0.1",
    "http://photos.example:PORT/a\nb",
    "ht\ttp://127.0.0.1:PORT/",
    "\x01http://127.0.0.1:PORT/",
    "http://*.photos.example/",
    "http://" + "a" * 64 + ".example/",
    "http://" + "a." * 127 + "example/",
    "http://" + "é" * 5000 + "/",
    "http://photos.example/" + "a" * 10_000,
]
SCHEMES = [
    "file:///etc/passwd",
    "file://127.0.0.1:PORT/etc/passwd",
    "ftp://127.0.0.1:PORT/photo.jpg",
    "gopher://127.0.0.1:PORT/_GET%20/",
    "dict://127.0.0.1:PORT/d:photo",
    "ldap://127.0.0.1:PORT/",
    "tftp://127.0.0.1:PORT/photo.jpg",
    "ws://127.0.0.1:PORT/",
    "jar:http://127.0.0.1:PORT/a!/b",
    "url:http://127.0.0.1:PORT/",
    "view-source:http://127.0.0.1:PORT/",
    "blob:http://127.0.0.1:PORT/",
    "data:image/gif;base64,R0lGODlhAQABAAAAACw=",
    "javascript:alert(1)",
    "unix:///var/run/docker.sock",
    "http+unix://%2Fvar%2Frun%2Fdocker.sock/",
]
PORTS = [f"http://photos.example:{port}/" for port in (0, 1, 22, 25, 53, 81, 445, 2049, 5060, 6000, 6667, 10080, 65536)]
PORTS += ["https://photos.example:99999/", "http://photos.example:٨٠/"]
NAMES = at_port("""
    inside.example 127.0.0.1.nip.example link-local.example metadata.example mapped.example half.example
    other-half.example ipv6.example nowhere.example unknown.example garbage.example
""")
HOSTILE_URLS = {"loopback": LOOPBACK, "notations": OTHER_NOTATIONS, "unicode": UNICODE, "ipv6": IPV6, "names": NAMES}
HOSTILE_URLS |= {"networks": [f"http://{host}/" for host in OTHER_NETWORKS.split()], "metadata": METADATA}
HOSTILE_URLS |= {"userinfo": USERINFO, "confusing": CONFUSING, "schemes": SCHEMES, "ports": PORTS}
HOSTILE_NAMES = {
    "metadata.google.internal": ["169.254.169.254"],
    "inside.example": ["10.1.2.3"],
    "127.0.0.1.nip.example": ["127.0.0.1"],
    "link-local.example": ["fe80::1%lo"],
    "metadata.example": ["169.254.169.254"],
    "mapped.example": ["::ffff:127.0.0.1"],
    "half.example": [PUBLIC_IP, "127.0.0.1"],
    "other-half.example": ["127.0.0.1", PUBLIC_IP],
    "ipv6.example": [PUBLIC_IP, "::1"],
    "nowhere.example": [],
    "garbage.example": ["not an address"],
    "localhost": ["127.0.0.1"],
    "any.localhost": ["127.0.0.1"],
}
"""What the names resolve to."""
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
