"""Addresses that try to have us ask this machine or its network: refused, and nobody was asked."""

# ruff: noqa: RUF001 (the strange digits are meant)

from __future__ import annotations

import dataclasses
import select
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from photo_servers import PhotoServer
from watched_network import PUBLIC_HOST, PUBLIC_IP, WatchedNetwork

from surfaces.addresses import AddressError, look_up
from surfaces.errors import FetchError
from surfaces.fetch import FetchLimits, ask, fetch

LIMITS = FetchLimits(connect_s=2, read_s=2, total_s=5, attempts=2, pause_s=0.01)
BODY = b"photo" * 100

# PORT stands for a port at which a server of this machine listens.
LOOPBACK = [
    "http://127.0.0.1:PORT/",
    "http://127.0.0.2:PORT/",
    "http://127.255.255.254:PORT/",
    "http://127.0.0.1.:PORT/",
    "http://0.0.0.0:PORT/",
    "http://localhost:PORT/",
    "http://LocalHost:PORT/",
    "http://localhost.:PORT/",
    "http://any.localhost:PORT/",
    "HTTP://127.0.0.1:PORT/",
    " http://127.0.0.1:PORT/",
    "http://127.0.0.1:PORT?http://photos.example/",
    "http://127.0.0.1:PORT#@photos.example/",
]
OTHER_NOTATIONS = [
    "http://127.1:PORT/",
    "http://127.0.1:PORT/",
    "http://2130706433:PORT/",
    "http://2130706433.:PORT/",
    "http://017700000001:PORT/",
    "http://0x7f000001:PORT/",
    "http://0x7F000001.:PORT/",
    "http://0x7f.0x0.0x0.0x1:PORT/",
    "http://0x7f.1:PORT/",
    "http://127.0.0.0x1:PORT/",
    "http://127.0.0.0x:PORT/",
    "http://0177.0.0.1:PORT/",
    "http://0177.0.0.0x1:PORT/",
    "http://127.0.0.01:PORT/",
    "http://0:PORT/",
    "http://00000000000000000000177.0.0.1:PORT/",
    "http://4294967296:PORT/",
    "http://127.0.0.1..:PORT/",
    "http://.127.0.0.1:PORT/",
    "http://127.0.0.1.1:PORT/",
]
UNICODE = [
    "http://１２７.０.０.１:PORT/",
    "http://127。0。0。1:PORT/",
    "http://①②⑦.⓪.⓪.①:PORT/",
    "http://𝟙𝟚𝟟.𝟘.𝟘.𝟙:PORT/",
    "http://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ:PORT/",
    "http://loc\u00adalhost:PORT/",
    "http://127.0.0.1\u200b:PORT/",
    "http://١٢٧.٠.٠.١:PORT/",
    "http://photos.example\u2044@127.0.0.1:PORT/",
    "http://127.0.0.1\uff0f:PORT/",
    "http://\udc80.example:PORT/",
]
IPV6 = [
    "http://[::1]:PORT/",
    "http://[0:0:0:0:0:0:0:1]:PORT/",
    "http://[::]:PORT/",
    "http://[::ffff:127.0.0.1]:PORT/",
    "http://[::ffff:7f00:1]:PORT/",
    "http://[0:0:0:0:0:FFFF:127.0.0.1]:PORT/",
    "http://[::127.0.0.1]:PORT/",
    "http://[::ffff:0:127.0.0.1]:PORT/",
    "http://[64:ff9b::127.0.0.1]:PORT/",
    "http://[64:ff9b::a9fe:a9fe]:PORT/",
    "http://[64:ff9b:1::127.0.0.1]:PORT/",
    "http://[2002:7f00:1::]:PORT/",
    "http://[2001:0:7f00:1::]:PORT/",
    "http://[2001:0:808:808::80ff:fffe]:PORT/",
    "http://[fe80::1%25lo]:PORT/",
    "http://[fe80::1%lo]:PORT/",
    "http://[::1%25lo]:PORT/",
    "http://[2606:4700::1%25lo]:PORT/",
    "http://[fec0::1]:PORT/",
    "http://[fc00::1]:PORT/",
    "http://[ff02::1]:PORT/",
    "http://[ff0e::1]:PORT/",
    "http://[v1.::1]:PORT/",
    "http://[127.0.0.1]:PORT/",
    "http://::1:PORT/",
    "http://[::1]photos.example:PORT/",
    "http://photos.example[::1]:PORT/",
    "http://[::1:PORT/",
]
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
OTHER_NETWORKS = [
    "http://10.0.0.1/",
    "http://172.16.0.1/",
    "http://172.31.255.255/",
    "http://192.168.0.1/",
    "http://100.64.0.1/",
    "http://100.127.255.255/",
    "http://0.1.2.3/",
    "http://192.0.2.1/",
    "http://192.88.99.1/",
    "http://198.18.0.1/",
    "http://198.51.100.1/",
    "http://203.0.113.1/",
    "http://224.0.0.1/",
    "http://239.255.255.250:1900/",
    "http://240.0.0.1/",
    "http://255.255.255.255/",
    "http://[100::1]/",
    "http://[2001:db8::1]/",
    "http://[3fff::1]/",
    "http://[4000::1]/",
    "http://[5f00::1]/",
]
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
NAMES = [
    "http://inside.example:PORT/",
    "http://127.0.0.1.nip.example:PORT/",
    "http://link-local.example:PORT/",
    "http://metadata.example:PORT/",
    "http://mapped.example:PORT/",
    "http://half.example:PORT/",
    "http://other-half.example:PORT/",
    "http://ipv6.example:PORT/",
    "http://nowhere.example:PORT/",
    "http://unknown.example:PORT/",
    "http://garbage.example:PORT/",
]
HOSTILE = {
    "loopback": LOOPBACK,
    "notations": OTHER_NOTATIONS,
    "unicode": UNICODE,
    "ipv6": IPV6,
    "metadata": METADATA,
    "networks": OTHER_NETWORKS,
    "userinfo": USERINFO,
    "confusing": CONFUSING,
    "schemes": SCHEMES,
    "ports": PORTS,
    "names": NAMES,
}
ALL = [pytest.param(url, id=f"{kind} {n}") for kind, urls in HOSTILE.items() for n, url in enumerate(urls)]


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> WatchedNetwork:
    network = WatchedNetwork(monkeypatch)
    network.name("metadata.google.internal", ["169.254.169.254"])
    network.name("inside.example", ["10.1.2.3"])
    network.name("127.0.0.1.nip.example", ["127.0.0.1"])
    network.name("link-local.example", ["fe80::1%lo"])
    network.name("metadata.example", ["169.254.169.254"])
    network.name("mapped.example", ["::ffff:127.0.0.1"])
    network.name("half.example", [PUBLIC_IP, "127.0.0.1"])
    network.name("other-half.example", ["127.0.0.1", PUBLIC_IP])
    network.name("ipv6.example", [PUBLIC_IP, "::1"])
    network.name("nowhere.example", [])
    network.name("garbage.example", ["not an address"])
    network.name("localhost", ["127.0.0.1"])
    network.name("any.localhost", ["127.0.0.1"])
    return network


@pytest.fixture
def target() -> Iterator[socket.socket]:
    """A server that listens on all addresses of this machine; nobody is to come."""
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as listening:
        yield listening


def port_of(target: socket.socket) -> str:
    return str(target.getsockname()[1])


def somebody_came(target: socket.socket) -> bool:
    return bool(select.select([target], [], [], 0)[0])


def test_there_are_enough_forms() -> None:
    assert len({url for urls in HOSTILE.values() for url in urls}) == len(ALL) >= 150


def test_the_target_can_be_reached(network: WatchedNetwork, target: socket.socket) -> None:
    place = ("127.0.0.1", int(port_of(target)))
    with socket.socket() as client:
        client.connect(place)
        assert somebody_came(target)
    assert network.connected == [place]


@pytest.mark.parametrize("url", ALL)
def test_a_hostile_address_is_refused(network: WatchedNetwork, target: socket.socket, url: str) -> None:
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
def test_a_redirect_to_a_hostile_address_is_refused(
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


def test_a_public_photo_is_fetched(network: WatchedNetwork, photo_server: PhotoServer) -> None:
    photo_server.serve("/a%20b?c=%C3%A9", BODY)
    url = f"http://Photos.Example.:{photo_server.server_port}/a b?c=é#fragment"
    answer = ask(url, LIMITS, resolve=network.resolve)
    assert (answer.status, answer.body, answer.address) == (200, BODY, PUBLIC_IP)
    assert answer.url == f"http://photos.example:{photo_server.server_port}/a%20b?c=%C3%A9"
    assert (network.looked_up, network.connected) == ([PUBLIC_HOST], [(PUBLIC_IP, photo_server.server_port)])


def test_a_name_that_changes_after_the_check_changes_nothing(
    network: WatchedNetwork, photo_server: PhotoServer
) -> None:
    hosts: list[str] = []

    def answer(request: BaseHTTPRequestHandler) -> None:
        hosts.append(request.headers["Host"])
        photo_server.answers["/good"](request)

    photo_server.serve("/good", BODY)
    photo_server.answer("/photo", answer)
    network.name("rebinding.example", [PUBLIC_IP], ["127.0.0.1"])
    place = f"rebinding.example:{photo_server.server_port}"
    assert ask(f"http://{place}/photo", LIMITS, resolve=network.resolve).body == BODY
    assert network.looked_up == ["rebinding.example"]
    assert network.connected == [(PUBLIC_IP, photo_server.server_port)]
    assert hosts == [place]


@pytest.mark.parametrize("again", ["redirect", "retry"])
def test_a_name_that_changes_before_the_next_request_is_refused(
    network: WatchedNetwork, photo_server: PhotoServer, again: str
) -> None:
    network.name("rebinding.example", [PUBLIC_IP], ["127.0.0.1"])
    if again == "redirect":
        photo_server.serve("/photo", b"", 302, Location="/next")
    else:
        photo_server.serve("/photo", b"", 503)
    with pytest.raises(AddressError, match=r"got rebinding\.example at 127\.0\.0\.1"):
        fetch(f"http://rebinding.example:{photo_server.server_port}/photo", LIMITS, network.resolve)
    assert network.looked_up == ["rebinding.example"] * 2
    assert photo_server.asked == ["/photo"]


def test_addresses_are_tried_in_turn(network: WatchedNetwork, photo_server: PhotoServer) -> None:
    port = photo_server.server_port
    photo_server.serve("/photo", BODY)
    network.name("many.example", ["2606:4700::1111", "8.8.8.8", PUBLIC_IP, "9.9.9.9"])
    answer = ask(f"http://many.example:{port}/photo", LIMITS, resolve=network.resolve)
    assert (answer.body, answer.address) == (BODY, PUBLIC_IP)
    assert network.connected == [("2606:4700::1111", port), ("8.8.8.8", port), (PUBLIC_IP, port)]


def test_private_networks_are_asked_with_leave_but_no_metadata(
    network: WatchedNetwork, photo_server: PhotoServer
) -> None:
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


def test_a_look_up_that_hangs_is_left(network: WatchedNetwork) -> None:
    free = threading.Event()

    def hang(host: str, port: int) -> list[str]:
        assert (host, port) == (PUBLIC_HOST, 80)
        free.wait(10)
        return [PUBLIC_IP]

    start = time.monotonic()
    with pytest.raises(FetchError, match=r"within 0\.3 s"):
        fetch(f"http://{PUBLIC_HOST}/", dataclasses.replace(LIMITS, total_s=0.3), hang)
    assert time.monotonic() - start < 1.5
    free.set()
    assert network.connected == []


@pytest.mark.parametrize(("error", "attempts"), [(socket.EAI_AGAIN, 2), (socket.EAI_NONAME, 1)])
def test_a_busy_name_server_is_asked_again(error: int, attempts: int) -> None:
    asked = []

    def fail(host: str, _: int) -> list[str]:
        asked.append(host)
        raise socket.gaierror(error, "Temporary failure\nin name resolution")

    with pytest.raises(FetchError, match=r"could not find photos\.example: Temporary failure in name resolution"):
        fetch("http://photos.example/", LIMITS, fail)
    assert asked == ["photos.example"] * attempts


# What the environment holds is nobody's business


def test_neither_proxies_nor_passwords_nor_cookies_take_part(
    network: WatchedNetwork,
    photo_server: PhotoServer,
    target: socket.socket,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine {PUBLIC_HOST} login mary password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.delenv("NO_PROXY")
    for variable in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(variable, f"http://127.0.0.1:{port_of(target)}")
    seen: list[dict[str, str]] = []

    def answer(request: BaseHTTPRequestHandler) -> None:
        seen.append({name.lower(): value for name, value in request.headers.items()})
        photo_server.answers["/good"](request)

    photo_server.serve("/good", BODY)
    photo_server.serve("/first", b"", 302, Location="/photo", Set_Cookie="a=b")
    photo_server.answer("/photo", answer)
    assert fetch(f"http://{PUBLIC_HOST}:{photo_server.server_port}/first", LIMITS, network.resolve) == BODY
    assert set(seen[0]) == {"host", "user-agent", "accept", "accept-encoding", "connection"}
    assert not somebody_came(target)


# TLS: the connection goes to an address, the certificate must be the name's


@pytest.fixture
def tls_server(photo_server: PhotoServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PhotoServer:
    """Speaks TLS, with a certificate for `photos.example` of an authority that the environment names."""
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days"]
    words += ["2", "-subj", "/CN=photos", "-addext", f"subjectAltName=DNS:{PUBLIC_HOST}"]
    subprocess.run([*words, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    asked_for: list[str | None] = []
    context.sni_callback = lambda _socket, name, _context: asked_for.append(name)
    photo_server.socket = context.wrap_socket(photo_server.socket, server_side=True)
    photo_server.names = asked_for  # type: ignore[attr-defined]
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    photo_server.serve("/photo", BODY)
    return photo_server


def test_the_certificate_is_the_names(network: WatchedNetwork, tls_server: PhotoServer) -> None:
    port = tls_server.server_port
    answer = ask(f"https://Photos.Example.:{port}/photo", LIMITS, resolve=network.resolve)
    assert (answer.body, answer.address) == (BODY, PUBLIC_IP)
    assert tls_server.names == [PUBLIC_HOST]  # type: ignore[attr-defined]
    network.name("other.example", [PUBLIC_IP])
    for host in ("other.example", PUBLIC_IP):
        with pytest.raises(FetchError, match="certificate") as caught:
            ask(f"https://{host}:{port}/photo", LIMITS, resolve=network.resolve)
        assert str(caught.value).isprintable()
    assert tls_server.asked == ["/photo"]


def test_an_authority_that_nobody_trusts_is_refused(
    network: WatchedNetwork, tls_server: PhotoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    with pytest.raises(FetchError, match="self-signed certificate"):
        ask(f"https://{PUBLIC_HOST}:{tls_server.server_port}/photo", LIMITS, resolve=network.resolve)
    assert tls_server.asked == []
