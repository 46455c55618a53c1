"""Connections go to the address that was checked, whatever names, proxies and certificates say afterwards."""

from __future__ import annotations

import dataclasses
import socket
import ssl
import subprocess
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from surfaces.errors import FetchError
from surfaces.io.http import FetchLimits, ask, fetch
from surfaces.io.urls import AddressError
from tests.photo_servers import PhotoServer
from tests.surfaces.io.watched_network import PUBLIC_HOST, PUBLIC_IP, WatchedNetwork, port_of, somebody_came

LIMITS = FetchLimits(connect_s=2, read_s=2, total_s=5, attempts=2, pause_s=0.01)
BODY = b"photo" * 100


def test_public_photo(network: WatchedNetwork, photo_server: PhotoServer) -> None:
    photo_server.serve("/a%20b?c=%C3%A9", BODY)
    url = f"http://Photos.Example.:{photo_server.server_port}/a b?c=é#fragment"
    answer = ask(url, LIMITS, resolve=network.resolve)
    assert (answer.status, answer.body, answer.address) == (200, BODY, PUBLIC_IP)
    assert answer.url == f"http://photos.example:{photo_server.server_port}/a%20b?c=%C3%A9"
    assert (network.looked_up, network.connected) == ([PUBLIC_HOST], [(PUBLIC_IP, photo_server.server_port)])


def test_dns_rebinding_after_the_check(network: WatchedNetwork, photo_server: PhotoServer) -> None:
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
def test_dns_rebinding_before_the_next_request(network: WatchedNetwork, photo_server: PhotoServer, again: str) -> None:
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


def test_name_resolution_is_bounded(network: WatchedNetwork) -> None:
    free = threading.Event()

    def hang(host: str, port: int) -> list[str]:
        assert (host, port) == (PUBLIC_HOST, 80)
        free.wait()
        return [PUBLIC_IP]

    with pytest.raises(FetchError, match=r"within 0\.3 s"):
        fetch(f"http://{PUBLIC_HOST}/", dataclasses.replace(LIMITS, total_s=0.3), hang)
    free.set()
    assert network.connected == []


@pytest.mark.parametrize(("error", "attempts"), [(socket.EAI_AGAIN, 2), (socket.EAI_NONAME, 1)])
def test_temporary_dns_failures_are_retried(error: int, attempts: int) -> None:
    asked = []

    def fail(host: str, _: int) -> list[str]:
        asked.append(host)
        raise socket.gaierror(error, "Temporary failure\nin name resolution")

    with pytest.raises(FetchError, match=r"could not find photos\.example: Temporary failure in name resolution"):
        fetch("http://photos.example/", LIMITS, fail)
    assert asked == ["photos.example"] * attempts


# What the environment holds is nobody's business


def test_proxies_credentials_and_cookies_are_ignored(
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


def test_certificate_is_checked_by_name(network: WatchedNetwork, tls_server: PhotoServer) -> None:
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


def test_untrusted_authority(network: WatchedNetwork, tls_server: PhotoServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    with pytest.raises(FetchError, match="self-signed certificate"):
        ask(f"https://{PUBLIC_HOST}:{tls_server.server_port}/photo", LIMITS, resolve=network.resolve)
    assert tls_server.asked == []
