"""Asks web addresses: http and https only, the public internet only, within limits of time and size."""

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

_BUNDLE_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


def open_connection(target: ParsedUrl, address: IPAddress, wait_s: float) -> HTTPConnection:
    """Connects to one of a target's addresses; for https, the certificate must be the host's.

    Nothing here knows how to look a name up, and proxies of the environment are ignored: a proxy would look the name
    up again, and in another network.

    Args:
        target: what is asked.
        address: of its host; checked by whoever calls.
        wait_s: longest wait for the connection, and then for the handshake, seconds.

    Returns:
        An open connection; its `sock` stands.

    Raises:
        OSError: no connection, or not a trustworthy one.
    """
    sock = socket.socket(socket.AF_INET if address.version == 4 else socket.AF_INET6, socket.SOCK_STREAM)
    try:
        sock.settimeout(wait_s)
        sock.connect((str(address), target.port))
        if target.scheme == "https":
            sock = _trust(_authorities()).wrap_socket(sock, server_hostname=target.host)
        # Of its own it could only connect to the same address again.
        connection = HTTPConnection(str(address), target.port)
        connection.sock = sock
        connection.response_class = BoundedResponse
    except BaseException:
        sock.close()
        raise
    return connection


def _authorities() -> str:
    """The file or folder of certificate authorities: the environment's, as requests and curl know it, or certifi's."""
    return next(filter(None, map(os.environ.get, _BUNDLE_VARIABLES)), None) or certifi.where()


@functools.cache
def _trust(authorities: str) -> ssl.SSLContext:
    if Path(authorities).is_dir():
        return ssl.create_default_context(capath=authorities)
    return ssl.create_default_context(cafile=authorities)


USER_AGENT = f"interior-surfaces/{VERSION}"
_HEADERS = {
    "User-Agent": USER_AGENT,
    "Accept": "image/jpeg, image/png, image/webp, image/*;q=0.8",
    # Photos are compressed already; an unpacked answer keeps the byte limit honest.
    "Accept-Encoding": "identity",
    "Connection": "close",
}
_CHUNK_BYTES = 1 << 16
_WORDS_MAX = 200
TRANSIENT_STATUSES = frozenset({429, 500, 502, 503, 504})
"""HTTP statuses that may be gone at the next attempt."""
_NETWORK_ERRORS = (OSError, http.client.HTTPException, urllib3.exceptions.HTTPError)
_BREAKS = (urllib3.exceptions.ProtocolError, http.client.IncompleteRead, ConnectionError, ssl.SSLEOFError)
WHOLE_STATUSES = frozenset({200, 203})
"""HTTP statuses of an answer that is all that was asked for; 203 comes through a proxy that changed something."""
REDIRECT_STATUSES = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True)
class FetchLimits:
    """How long and how large a download may become, and where it may come from.

    Attributes:
        bytes_max: most bytes of an answer's body, as it comes and unpacked.
        connect_s: longest wait for a connection, seconds.
        read_s: longest silence of a server, seconds.
        total_s: longest time for everything together: name look-up, redirects, retries, all bytes; seconds.
        redirects_max: most redirects that are followed.
        attempts: how often an error that may pass (429, 5xx, a connection that breaks) is tried in all.
        pause_s: wait before the second attempt, seconds; doubled before each further one.
        allow_private: whether loopback and private networks may be asked too.
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
        """The defaults, with no wait longer than `total_s` seconds, and with `bytes_max` where it is given."""
        connect_s, read_s = min(cls.connect_s, total_s), min(cls.read_s, total_s)
        return cls(bytes_max or cls.bytes_max, connect_s, read_s, total_s, allow_private=allow_private)


class UnavailableError(FetchError):
    """No answer that can be used, though another day may bring one: no such host, no connection, silence."""


class TransientError(UnavailableError):
    """An error that may be gone at the next attempt: a connection that breaks off, HTTP 429 or 5xx."""


@dataclass(frozen=True)
class Response:
    """What a server answered to one request.

    Attributes:
        url: what was asked, in its normal form.
        status: HTTP's.
        headers: values by lower-case name; of one that came several times, joined by commas.
        body: unpacked; empty unless the status is 200 to 299.
        address: the IP address that answered.
    """

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes
    address: str

    @property
    def redirect(self) -> str | None:
        """The whole address at which the server says to ask instead; None where it says nothing of that.

        Raises:
            FetchError: it is no address.
        """
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
        """Seconds that are left; raises UnavailableError where none are."""
        left_s = self.at - time.monotonic()
        if left_s <= 0:
            raise UnavailableError(f"expected the whole answer within {self.total_s:g} s, it took longer")
        return left_s


def fetch(url: str, limits: FetchLimits | None = None, resolve: Resolver = look_up) -> bytes:
    """Downloads what lies behind an address; redirects are followed, each checked like the address itself.

    Args:
        url: an http or https address.
        limits: of time and size; the defaults of `FetchLimits` where None.
        resolve: looks names up.

    Returns:
        The bytes of the answer's body; nothing is known about them yet.

    Raises:
        AddressError: the address, or one it redirects to, may not be asked (`surfaces.io.urls`).
        FetchError: no answer in time, an HTTP status other than 200 and 203, too many bytes, too many redirects.
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
    """Sends one GET request; neither redirects nor retries.

    The host is looked up once, all of its addresses must be permitted, and the connection goes to one of them. Neither
    cookies nor proxies nor passwords of the environment take part.

    Args:
        url: an http or https address.
        limits: of time and size; the defaults of `FetchLimits` where None.
        headers: to be sent too, or instead of ours of that name.
        resolve: looks names up.

    Raises:
        AddressError: the address may not be asked; no connection was made.
        PassingError: the connection broke off, or the name server is busy.
        UnavailableError: no such host, no connection, no answer in time, or nothing that is HTTP.
        FetchError: too many bytes.
    """
    limits = limits or FetchLimits()
    return _ask(url, limits, headers or {}, resolve, _Deadline.after(limits.total_s))


def _follow(url: str, limits: FetchLimits, resolve: Resolver, deadline: _Deadline) -> bytes:
    for _ in range(limits.redirects_max + 1):
        answer = _ask(url, limits, {}, resolve, deadline)
        if answer.status in WHOLE_STATUSES:
            return answer.body
        if answer.redirect is None:
            kind = TransientError if answer.status in TRANSIENT_STATUSES else FetchError
            phrase = http.client.responses.get(answer.status, "")
            raise kind(f"expected a photo, the server answered {answer.status} {phrase}".rstrip())
        url = answer.redirect
    raise FetchError(f"expected a photo after at most {limits.redirects_max} redirects, got one more")


def _ask(url: str, limits: FetchLimits, headers: Mapping[str, str], resolve: Resolver, deadline: _Deadline) -> Response:
    target = parse_url(url)
    addresses = _look_up(target, limits, resolve, deadline)
    connection, address = _connect(target, addresses, limits, deadline)
    with closing(connection), _cut_off(connection.sock, deadline):
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
            raise _explained(error, limits) from error


def _look_up(target: ParsedUrl, limits: FetchLimits, resolve: Resolver, deadline: _Deadline) -> Sequence[IPAddress]:
    try:
        return resolve_public(target, limits.allow_private, resolve, deadline.left())
    except TimeoutError:
        deadline.left()
        raise TransientError(f"the look-up of {target.host} took too long") from None
    except (OSError, ValueError) as error:
        kind = TransientError if getattr(error, "errno", None) == socket.EAI_AGAIN else _kind(error)
        raise kind(f"could not find {target.host}: {_in_words(error)}") from error


def _connect(
    target: ParsedUrl, addresses: Sequence[IPAddress], limits: FetchLimits, deadline: _Deadline
) -> tuple[urllib3.connection.HTTPConnection, IPAddress]:
    """Tries the addresses in turn; the error of the first is the one that is told."""
    errors: list[OSError] = []
    for address in addresses:
        try:
            return open_connection(target, address, min(limits.connect_s, deadline.left())), address
        except OSError as error:
            errors.append(error)
    deadline.left()
    if isinstance(errors[0], TimeoutError):
        raise UnavailableError(f"no connection within {limits.connect_s:g} s")
    raise UnavailableError(f"could not be downloaded: {_in_words(errors[0])}") from errors[0]


@contextmanager
def _cut_off(sock: socket.socket | None, deadline: _Deadline) -> Iterator[None]:
    """Ends a connection at the deadline: neither headers nor trailers that come byte by byte obey a socket's limit."""

    def cut() -> None:
        with suppress(OSError):
            if sock is not None:
                sock.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(deadline.left(), cut)
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
    # read1 returns what has come so far, so that a slow drip of bytes can't hold up the check of the clock.
    while chunk := response.read1(_CHUNK_BYTES, decode_content=False):
        received += len(chunk)
        if received > limits.bytes_max:
            raise _too_large(limits)
        yield chunk


def _too_large(limits: FetchLimits) -> FetchError:
    return FetchError(f"expected at most {limits.bytes_max / 1e6:g} MB, the answer is larger")


def _explained(error: Exception, limits: FetchLimits) -> FetchError:
    """One line for what may go wrong while a server answers."""
    if isinstance(error, (TimeoutError, urllib3.exceptions.ReadTimeoutError)):
        return UnavailableError(f"the server was silent for {limits.read_s:g} s")
    if broke_off(error):
        return TransientError(f"the connection broke off: {_in_words(error)}")
    return _kind(error)(f"could not be downloaded: {_in_words(error)}")


def _kind(error: Exception) -> type[FetchError]:
    """Another day the network may be better; a value that is wrong stays so."""
    return UnavailableError if isinstance(error, _NETWORK_ERRORS) else FetchError


def _in_words(error: Exception) -> str:
    """The reason of an error. Some repeat what the server sent, of any length and with any control characters."""
    return "".join(sign if sign.isprintable() else " " for sign in first_cause(error)[:_WORDS_MAX])


def broke_off(error: Exception) -> bool:
    """Whether an error of requests, urllib3 or a socket tells of a connection that stood and broke off."""
    return any(isinstance(e, _BREAKS) for e in (error, *error.args[:1]))


def first_cause(error: BaseException) -> str:
    """What lies at the bottom of the exceptions that requests and urllib3 wrap into each other, in words."""
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
