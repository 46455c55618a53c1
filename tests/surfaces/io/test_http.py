from __future__ import annotations

import dataclasses
import gzip
import socket
import threading
import time
import zlib
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler

import pytest

from surfaces.errors import FetchError
from surfaces.io.http import USER_AGENT, FetchLimits, Response, TransientError, UnavailableError, ask, fetch
from tests.photo_servers import PhotoServer

LIMITS = FetchLimits(
    bytes_max=100_000, connect_s=2, read_s=0.5, total_s=3, attempts=3, pause_s=0.01, allow_private=True
)
BODY = bytes(range(256)) * 100


def refused(url: str, limits: FetchLimits = LIMITS) -> str:
    with pytest.raises(FetchError) as caught:
        fetch(url, limits)
    assert "\n" not in str(caught.value)
    return str(caught.value)


Answer = Callable[[BaseHTTPRequestHandler], None]


def chunked(request: BaseHTTPRequestHandler) -> None:
    request.protocol_version = "HTTP/1.1"
    request.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for part in (BODY[:10_000], BODY[10_000:], b""):
        request.wfile.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")


def without_length(request: BaseHTTPRequestHandler) -> None:
    request.wfile.write(b"HTTP/1.0 200 OK\r\n\r\n" + BODY)


def test_whole_bodies(photo_server: PhotoServer) -> None:
    assert fetch(photo_server.serve("/photo", BODY), LIMITS) == BODY
    assert photo_server.agents == [USER_AGENT]
    assert USER_AGENT.startswith("interior-surfaces/")
    for answer in (chunked, without_length):
        assert fetch(photo_server.answer("/photo", answer), LIMITS) == BODY
    assert fetch(photo_server.serve("/small", gzip.compress(BODY), Content_Encoding="gzip"), LIMITS) == BODY


@pytest.mark.parametrize("coding", ["aws-chunked", "UTF-8", "none", "binary", "identity", "utf-8, aws-chunked", ""])
def test_unknown_codings_are_ignored(photo_server: PhotoServer, coding: str) -> None:
    assert fetch(photo_server.serve("/photo", BODY, Content_Encoding=coding), LIMITS) == BODY


@pytest.mark.parametrize("window_bits", [-15, 15, 31])
def test_forms_of_deflate(photo_server: PhotoServer, window_bits: int) -> None:
    packer = zlib.compressobj(wbits=window_bits)
    packed = packer.compress(BODY) + packer.flush()
    for name in ("deflate", "aws-chunked,deflate"):
        assert fetch(photo_server.serve(f"/{name[:3]}", packed, Content_Encoding=name), LIMITS) == BODY
    assert "not complete" in refused(photo_server.serve("/short", packed[:-9], Content_Encoding="deflate"))
    for name in ("deflate", "gzip"):
        assert fetch(photo_server.serve("/none", b"", Content_Encoding=name), LIMITS) == b""


@pytest.mark.parametrize("coding", ["br", "zstd", "compress", "gzip, br", "gzip, gzip"])
def test_other_codings_are_refused(photo_server: PhotoServer, coding: str) -> None:
    assert refused(photo_server.serve("/photo", BODY, Content_Encoding=coding)) == (
        "expected an answer that is not packed, or by one of gzip, x-gzip, deflate; got another"
    )


def raw(head: bytes) -> Answer:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.wfile.write(head + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY)

    return answer


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 103 Early Hints\r\nLink: </s.css>\r\n\r\nHTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 \r\n\r\nHTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: 1\r\n" % n for n in range(3000)),
        b"HTTP/1.1 203 Non-Authoritative Information\r\n",
        b"HTTP/1.1 200\r\nno header\r\n folded: on to nothing\r\n: nameless\r\nA: b\r\n c\r\n",
        b"HTTP/1.0 200 OK\nA:b\n",
    ],
    ids=["early hints", "two interim answers", "many headers", "203", "odd lines", "bare line feeds"],
)
def test_lenient_parsing(photo_server: PhotoServer, capfd: pytest.CaptureFixture[str], head: bytes) -> None:
    assert fetch(photo_server.answer("/photo", raw(head)), LIMITS) == BODY
    assert capfd.readouterr() == ("", "")


def test_headers_are_merged(photo_server: PhotoServer) -> None:
    head = b"HTTP/1.1 200 OK\r\nLink: <a>,\r\n\t <b>\r\nlink:<c>\r\nETag : caf\xe9:1\r\n"
    found = ask(photo_server.answer("/photo", raw(head)), LIMITS).headers
    assert (found["link"], found["etag"]) == ("<a>, <b>, <c>", "café:1")


@pytest.mark.parametrize("status", [204, 206, 304, 400, 401, 403, 404, 410])
def test_other_statuses_are_not_retried(photo_server: PhotoServer, status: int) -> None:
    url = photo_server.serve("/photo", b"" if status < 400 else b"no", status=status)
    assert refused(url).startswith(f"expected a photo, the server answered {status}")
    assert len(photo_server.asked) == 1


def test_switching_protocols_is_refused(photo_server: PhotoServer) -> None:
    assert "answered 101" in refused(photo_server.answer("/photo", raw(b"HTTP/1.1 101 Switching Protocols\r\n")))


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_transient_statuses_are_retried(photo_server: PhotoServer, status: int) -> None:
    def answer(request: BaseHTTPRequestHandler) -> None:
        if len(photo_server.asked) < 3:
            request.send_error(status)
        else:
            photo_server.answers["/good"](request)

    photo_server.serve("/good", BODY)
    assert fetch(photo_server.answer("/photo", answer), LIMITS) == BODY
    photo_server.asked.clear()
    assert f"answered {status}" in refused(photo_server.serve("/photo", b"", status=status))
    assert len(photo_server.asked) == 3


def hang_up(request: BaseHTTPRequestHandler) -> None:
    request.connection.shutdown(socket.SHUT_RDWR)


def promise_too_much(request: BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    request.send_header("Content-Length", str(2 * len(BODY)))
    request.end_headers()
    request.wfile.write(BODY)


@pytest.mark.parametrize("broken", [hang_up, promise_too_much])
def test_broken_connections_are_retried(photo_server: PhotoServer, broken: Answer) -> None:
    def answer(request: BaseHTTPRequestHandler) -> None:
        photo_server.answers["/good" if len(photo_server.asked) == 3 else "/broken"](request)

    photo_server.serve("/good", BODY)
    broken_url = photo_server.answer("/broken", broken)
    assert fetch(photo_server.answer("/photo", answer), LIMITS) == BODY
    assert refused(broken_url).startswith("the connection broke off: ")


def test_refused_connection() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    assert refused(f"http://127.0.0.1:{port}/") == "could not be downloaded: Connection refused"


def dripping(first: bytes, drop: bytes) -> Answer:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.wfile.write(first)
        for _ in range(200):
            request.wfile.write(drop)
            time.sleep(0.05)

    return answer


SLOW, LARGE = "expected the whole answer within 0.6 s, it took longer", "expected at most 0.1 MB, the answer is larger"
BOMB = gzip.compress(bytes(50_000_000))


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda _: time.sleep(5), "the server was silent for 0.5 s"),
        (dripping(b"HTTP/1.1 200 OK\r\n\r\n", b"x"), SLOW),
        (dripping(b"HTTP/1.1 200 OK\r\n", b"A: b\r\n"), SLOW),
        (dripping(b"HTTP/1.1 200 OK\r\nA: ", b"x"), SLOW),
        (lambda request: request.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100001\r\n\r\n"), LARGE),
        (lambda request: request.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + BOMB), LARGE),
    ],
    ids=["silence", "slow body", "slow headers", "slow header", "announced size", "decoded bytes"],
)
def test_limits(photo_server: PhotoServer, answer: Answer, reason: str) -> None:
    assert refused(photo_server.answer("/photo", answer), dataclasses.replace(LIMITS, total_s=0.6)) == reason


def test_slow_drip_closes_the_connection(photo_server: PhotoServer) -> None:
    stopped = threading.Event()
    drip = dripping(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 1000)

    def answer(request: BaseHTTPRequestHandler) -> None:
        try:
            drip(request)
        except OSError:
            stopped.set()

    refused(photo_server.answer("/drip", answer), dataclasses.replace(LIMITS, total_s=0.3))
    assert stopped.wait(3)


def test_endless_body(photo_server: PhotoServer) -> None:
    sent = 0

    def answer(request: BaseHTTPRequestHandler) -> None:
        nonlocal sent
        request.send_response(200)
        request.end_headers()
        while sent < 100_000_000:
            sent += request.wfile.write(bytes(10_000))

    assert refused(photo_server.answer("/photo", answer)) == LARGE
    assert sent < 20_000_000


def redirect(server: PhotoServer, path: str, target: str, status: int = 302) -> str:
    return server.serve(path, b"", status=status, Location=target)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed(photo_server: PhotoServer, status: int) -> None:
    photo_server.serve("/photo", BODY)
    assert fetch(redirect(photo_server, "/old", "photo", status), LIMITS) == BODY


def test_redirects_are_limited(photo_server: PhotoServer) -> None:
    photo_server.serve("/0", BODY)
    urls = [redirect(photo_server, f"/{n}", f"/{n - 1}") for n in range(1, 7)]
    assert fetch(urls[4], LIMITS) == BODY
    assert refused(urls[5]) == "expected a photo after at most 5 redirects, got one more"


@pytest.mark.parametrize("target", ["ftp://127.0.0.1/a", "file:///etc/passwd", "http://[::1"])
def test_redirects_to_other_schemes_are_refused(photo_server: PhotoServer, target: str) -> None:
    refused(redirect(photo_server, "/old", target))
    assert photo_server.asked == ["/old"]


def test_server_without_tls(photo_server: PhotoServer) -> None:
    refused(photo_server.url("/").replace("http:", "https:"))


# One request by itself


def test_response(photo_server: PhotoServer) -> None:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        for value in ("noai", "noindex"):
            request.send_header("X-Robots-Tag", value)
        request.send_header("Content-Encoding", "gzip")
        request.end_headers()
        request.wfile.write(gzip.compress(BODY[:1000]) + gzip.compress(BODY[1000:]))

    url = photo_server.answer("/a?b=c", answer)
    found = ask(f"{url}#d", LIMITS)
    assert (found.url, found.status, found.body, found.address) == (url, 200, BODY, "127.0.0.1")
    assert found.headers["x-robots-tag"] == "noai, noindex"
    assert found.redirect is None


def test_failures_have_no_body(photo_server: PhotoServer) -> None:
    found = ask(photo_server.serve("/busy", b"x" * 200_000, 503, Retry_After="120"), LIMITS)
    assert (found.status, found.body, found.headers["retry-after"]) == (503, b"", "120")
    assert len(photo_server.asked) == 1


def test_request_headers(photo_server: PhotoServer) -> None:
    seen: dict[str, str] = {}

    def answer(request: BaseHTTPRequestHandler) -> None:
        seen.update((name.lower(), value) for name, value in request.headers.items())
        request.send_error(404)

    given = {"accept": "text/html", "user-agent": "me", "Authorization": "Bearer key", "host": "b.example"}
    ask(photo_server.answer("/page", answer), LIMITS, given)
    assert (seen["accept"], seen["user-agent"], seen["authorization"]) == ("text/html", "me", "Bearer key")
    assert seen["host"] == f"127.0.0.1:{photo_server.server_port}"
    with pytest.raises(FetchError):
        ask(photo_server.url("/page"), LIMITS, {"Accept": "a\r\nX: b"})


def test_kinds_of_errors(photo_server: PhotoServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    large = photo_server.serve("/large", b"", Content_Length="100001")
    kinds = {
        f"http://127.0.0.1:{port}/": UnavailableError,
        "http://nowhere.invalid/": UnavailableError,
        photo_server.answer("/silent", lambda _: time.sleep(1)): UnavailableError,
        photo_server.answer("/broken", hang_up): TransientError,
        large: FetchError,
    }
    for url, kind in kinds.items():
        with pytest.raises(FetchError) as caught:
            ask(url, LIMITS)
        assert type(caught.value) is kind, caught.value
    with pytest.raises(FetchError) as caught:
        ask(large, LIMITS, {"Accept": "a\r\nX: b"})
    assert type(caught.value) is FetchError
    assert photo_server.asked.count("/broken") == 1


@pytest.mark.parametrize(
    ("status", "place", "whole"),
    [
        (301, "/b", "http://a.example/b"),
        (302, "//b.example/c", "http://b.example/c"),
        (303, "?d", "http://a.example/x/y?d"),
        (307, "https://b.example", "https://b.example"),
        (308, "/\xc3\xa9", "http://a.example/é"),
        (302, "/\xe9", "http://a.example/é"),
        (304, "/b", None),
        (200, "/b", None),
        (302, None, None),
    ],
)
def test_redirect_url(status: int, place: str | None, whole: str | None) -> None:
    headers = {} if place is None else {"location": place}
    assert Response("http://a.example/x/y", status, headers, b"", "8.8.8.8").redirect == whole


def test_invalid_redirect() -> None:
    with pytest.raises(FetchError, match="to be redirected to"):
        Response("http://a.example/", 302, {"location": "http://[::1"}, b"", "8.8.8.8").redirect  # noqa: B018
