"""HTTP client for untrusted URLs: public hosts only, within limits of time and size."""

from __future__ import annotations

import functools
import http.client
import os
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin

import certifi
import urllib3
from urllib3.connection import HTTPConnection

from surfaces.errors import FetchError
from surfaces.io.http_response import BoundedResponse, unpacked
from surfaces.io.urls import IPAddress, ParsedUrl, Resolver, look_up, parse_url, resolve_public
from surfaces.version import VERSION

USER_AGENT = f"interior-surfaces/{VERSION}"
TRANSIENT_STATUSES = frozenset({429, 500, 502, 503, 504})
"""HTTP statuses after which a retry may succeed."""
WHOLE_STATUSES = frozenset({200, 203})
"""HTTP statuses of a complete response; 203 is that of a proxy that changed something."""
REDIRECT_STATUSES = frozenset({301, 302, 303, 307, 308})

_BUNDLE_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_HEADERS = {
    "User-Agent": USER_AGENT,
    "Accept": "image/jpeg, image/png, image/webp, image/*;q=0.8",
    # Photos are compressed already, and an uncoded body keeps the byte limit exact.
    "Accept-Encoding": "identity",
    "Connection": "close",
}
_CHUNK_BYTES = 1 << 16
_REASON_MAX = 200  # characters
_NETWORK_ERRORS = (OSError, http.client.HTTPException, urllib3.exceptions.HTTPError)
_BREAKS = (urllib3.exceptions.ProtocolError, http.client.IncompleteRead, ConnectionError, ssl.SSLEOFError)


@dataclass(frozen=True)
class FetchLimits:
    """Limits of a download; `bytes_max` counts both received and decoded bytes, `_s` is in seconds.

    Attributes:
        read_s: longest silence of the server.
        total_s: for everything: name resolution, redirects, retries, the body.
        attempts: in all, for transient errors (429, 5xx, a broken connection).
        pause_s: wait before the second attempt; doubled before each further one.
        allow_private: whether loopback and private networks are allowed.
    """

    bytes_max: int = 50_000_000
    connect_s: float = 10.0
    read_s: float = 15.0
    total_s: float = 60.0
    redirects_max: int = 5
    attempts: int = 3
    pause_s: float = 0.5
    allow_private: bool = False

    @classmethod
    def within(cls, total_s: float, allow_private: bool = False, bytes_max: int | None = None) -> FetchLimits:
        """The defaults with no wait longer than `total_s` seconds."""
        connect_s, read_s = min(cls.connect_s, total_s), min(cls.read_s, total_s)
        return cls(bytes_max or cls.bytes_max, connect_s, read_s, total_s, allow_private=allow_private)


class UnavailableError(FetchError):
    """No usable response, though one may come another day: no such host, no connection, silence."""


class TransientError(UnavailableError):
    """An error after which a retry may succeed: a broken connection, HTTP 429 or 5xx."""


@dataclass(frozen=True)
class Response:
    """The response to one request.

    Attributes:
        url: the requested URL, normalized.
        headers: values by lower-case name; repeated ones joined by commas.
        body: decoded; empty unless the status is 200 to 299.
        address: the server's IP address.
    """

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes
    address: str

    @property
    def redirect(self) -> str | None:
        """The absolute URL that the response redirects to; None without one. Raises FetchError where it is invalid."""
        place = self.headers.get("location")
        if self.status not in REDIRECT_STATUSES or place is None:
            return None
        with suppress(UnicodeError):
            place = place.encode("latin-1").decode("utf-8")
        try:
            return urljoin(self.url, place)
        except ValueError as error:
            raise FetchError("expected an address to be redirected to, got none that can be") from error


@dataclass(frozen=True)
class _Deadline:
    at: float
    total_s: float

    @classmethod
    def after(cls, total_s: float) -> _Deadline:
        return cls(time.monotonic() + total_s, total_s)

    def left(self) -> float:
        """The remaining seconds; raises UnavailableError where there are none."""
        left_s = self.at - time.monotonic()
        if left_s <= 0:
            raise UnavailableError(f"expected the whole answer within {self.total_s:g} s, it took longer")
        return left_s


def fetch(url: str, limits: FetchLimits | None = None, resolve: Resolver = look_up) -> bytes:
    """Downloads a URL. Redirects are followed, each checked like the URL itself; transient errors are retried.

    Raises:
        AddressError: the URL, or one it redirects to, is not allowed (`surfaces.io.urls`).
        FetchError: no response in time, an HTTP status other than 200 and 203, too many bytes, too many redirects.
    """
    limits = limits or FetchLimits()
    deadline = _Deadline.after(limits.total_s)
    pause_s = limits.pause_s
    for _ in range(limits.attempts - 1):
        try:
            return _follow(url, limits, resolve, deadline)
        except TransientError:
            time.sleep(min(pause_s, deadline.left()))
            pause_s *= 2
    return _follow(url, limits, resolve, deadline)


def ask(
    url: str, limits: FetchLimits | None = None, headers: Mapping[str, str] | None = None, resolve: Resolver = look_up
) -> Response:
    """Sends one GET request, without redirects, retries, cookies, proxies or credentials of the environment.

    The host is resolved once, all of its addresses must be allowed, and the connection goes to one of them. `headers`
    are added to the default ones or replace them.

    Raises:
        AddressError: the URL is not allowed; no connection was made.
        TransientError: the connection broke, or the name server is busy.
        UnavailableError: no such host, no connection, no response in time, or no HTTP.
        FetchError: too many bytes.
    """
    limits = limits or FetchLimits()
    return _ask(url, limits, headers or {}, resolve, _Deadline.after(limits.total_s))


def _follow(url: str, limits: FetchLimits, resolve: Resolver, deadline: _Deadline) -> bytes:
    for _ in range(limits.redirects_max + 1):
        response = _ask(url, limits, {}, resolve, deadline)
        if response.status in WHOLE_STATUSES:
            return response.body
        if response.redirect is None:
            kind = TransientError if response.status in TRANSIENT_STATUSES else FetchError
            phrase = http.client.responses.get(response.status, "")
            raise kind(f"expected a photo, the server answered {response.status} {phrase}".rstrip())
        url = response.redirect
    raise FetchError(f"expected a photo after at most {limits.redirects_max} redirects, got one more")


def _ask(url: str, limits: FetchLimits, headers: Mapping[str, str], resolve: Resolver, deadline: _Deadline) -> Response:
    target = parse_url(url)
    addresses = _resolve(target, limits, resolve, deadline)
    connection, address = _connect(target, addresses, limits, deadline)
    with closing(connection), _close_at(connection.sock, deadline):
        try:
            sent = urllib3.HTTPHeaderDict(_HEADERS)
            sent.update(headers)
            sent["Host"] = target.authority
            connection.timeout = limits.read_s
            connection.request("GET", target.path, headers=sent, preload_content=False, decode_content=False)
            with closing(connection.getresponse()) as response:
                merged = {name.lower(): value for name, value in response.headers.itermerged()}
                body = _read_body(response, limits, deadline) if 200 <= response.status < 300 else b""
                deadline.left()
                return Response(target.url, response.status, merged, body, str(address))
        except (*_NETWORK_ERRORS, ValueError) as error:
            deadline.left()
            raise _fetch_error(error, limits) from error


def _resolve(target: ParsedUrl, limits: FetchLimits, resolve: Resolver, deadline: _Deadline) -> Sequence[IPAddress]:
    try:
        return resolve_public(target, limits.allow_private, resolve, deadline.left())
    except TimeoutError:
        deadline.left()
        raise TransientError(f"the look-up of {target.host} took too long") from None
    except (OSError, ValueError) as error:
        kind = TransientError if getattr(error, "errno", None) == socket.EAI_AGAIN else _kind(error)
        raise kind(f"could not find {target.host}: {_reason(error)}") from error


def _connect(
    target: ParsedUrl, addresses: Sequence[IPAddress], limits: FetchLimits, deadline: _Deadline
) -> tuple[HTTPConnection, IPAddress]:
    """Tries the addresses in turn; where all fail, raises the error of the first."""
    errors: list[OSError] = []
    for address in addresses:
        try:
            return _open_connection(target, address, min(limits.connect_s, deadline.left())), address
        except OSError as error:
            errors.append(error)
    deadline.left()
    if isinstance(errors[0], TimeoutError):
        raise UnavailableError(f"no connection within {limits.connect_s:g} s")
    raise UnavailableError(f"could not be downloaded: {_reason(errors[0])}") from errors[0]


def _open_connection(target: ParsedUrl, address: IPAddress, wait_s: float) -> HTTPConnection:
    """Connects to a checked address; for https, the certificate must be the host's.

    Proxies of the environment are ignored: a proxy would resolve the name again, and in another network.
    """
    sock = socket.socket(socket.AF_INET if address.version == 4 else socket.AF_INET6, socket.SOCK_STREAM)
    try:
        sock.settimeout(wait_s)
        sock.connect((str(address), target.port))
        if target.scheme == "https":
            sock = _ssl_context(_authorities()).wrap_socket(sock, server_hostname=target.host)
        # On its own, the connection could only connect to the same address again.
        connection = HTTPConnection(str(address), target.port)
        connection.sock = sock
        connection.response_class = BoundedResponse
    except BaseException:
        sock.close()
        raise
    return connection


def _authorities() -> str:
    """The file or folder of certificate authorities: that of the environment, as in requests and curl, or certifi's."""
    return next(filter(None, map(os.environ.get, _BUNDLE_VARIABLES)), None) or certifi.where()


@functools.cache
def _ssl_context(authorities: str) -> ssl.SSLContext:
    if Path(authorities).is_dir():
        return ssl.create_default_context(capath=authorities)
    return ssl.create_default_context(cafile=authorities)


@contextmanager
def _close_at(sock: socket.socket | None, deadline: _Deadline) -> Iterator[None]:
    """Shuts a connection down at the deadline: a socket's timeout does not bound headers that come byte by byte."""

    def shut_down() -> None:
        with suppress(OSError):
            if sock is not None:
                sock.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(deadline.left(), shut_down)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _read_body(response: urllib3.BaseHTTPResponse, limits: FetchLimits, deadline: _Deadline) -> bytes:
    announced = response.headers.get("Content-Length", "")
    if announced.isdecimal() and int(announced) > limits.bytes_max:
        raise _too_large(limits)
    body = bytearray()
    for piece in unpacked(_received(response, limits), response.headers.get("Content-Encoding", "")):
        body += piece
        if len(body) > limits.bytes_max:
            raise _too_large(limits)
        deadline.left()
    return bytes(body)


def _received(response: urllib3.BaseHTTPResponse, limits: FetchLimits) -> Iterator[bytes]:
    received = 0
    # read1 returns the bytes that have arrived, so that a slow server cannot delay the check of the deadline.
    while chunk := response.read1(_CHUNK_BYTES, decode_content=False):
        received += len(chunk)
        if received > limits.bytes_max:
            raise _too_large(limits)
        yield chunk


def _too_large(limits: FetchLimits) -> FetchError:
    return FetchError(f"expected at most {limits.bytes_max / 1e6:g} MB, the answer is larger")


def _fetch_error(error: Exception, limits: FetchLimits) -> FetchError:
    if isinstance(error, (TimeoutError, urllib3.exceptions.ReadTimeoutError)):
        return UnavailableError(f"the server was silent for {limits.read_s:g} s")
    if broke_off(error):
        return TransientError(f"the connection broke off: {_reason(error)}")
    return _kind(error)(f"could not be downloaded: {_reason(error)}")


def _kind(error: Exception) -> type[FetchError]:
    return UnavailableError if isinstance(error, _NETWORK_ERRORS) else FetchError


def _reason(error: Exception) -> str:
    """The reason of an error. Some repeat what the server sent, of any length and with any control characters."""
    return "".join(sign if sign.isprintable() else " " for sign in first_cause(error)[:_REASON_MAX])


def broke_off(error: Exception) -> bool:
    """Whether an error of requests, urllib3 or a socket is that of an established connection that broke."""
    return any(isinstance(e, _BREAKS) for e in (error, *error.args[:1]))


def first_cause(error: BaseException) -> str:
    """The message of the innermost of the exceptions that requests and urllib3 wrap into each other."""
    while True:
        if isinstance(error, http.client.IncompleteRead):
            return "the answer ended early"
        if type(error) is http.client.BadStatusLine:
            return "the answer is not HTTP"
        cause = error.__cause__ or error.__context__
        if cause is None:
            break
        error = cause
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
