"""Downloads a photo: http and https only, within limits of time and size."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

import requests
import urllib3

from surfaces.errors import FetchError
from surfaces.version import VERSION

USER_AGENT = f"interior-surfaces/{VERSION}"
_HEADERS = {
    "User-Agent": USER_AGENT,
    "Accept": "image/jpeg, image/png, image/webp, image/*;q=0.8",
    # Photos are compressed already; an unpacked answer keeps the byte limit honest.
    "Accept-Encoding": "identity",
}
_CHUNK_BYTES = 1 << 16
PASSING_STATUSES = frozenset({429, 500, 502, 503, 504})
"""HTTP statuses that may be gone at the next attempt."""


@dataclass(frozen=True)
class FetchLimits:
    """How long and how large a download may become.

    Attributes:
        bytes_max: most bytes of a photo.
        connect_s: longest wait for a connection, seconds.
        read_s: longest silence of a server, seconds.
        total_s: longest time for everything together: name look-up, redirects, retries, all bytes; seconds.
        redirects_max: most redirects that are followed.
        attempts: how often an error that may pass (429, 5xx, a connection that breaks) is tried in all.
        pause_s: wait before the second attempt, seconds; doubled before each further one.
    """

    bytes_max: int = 20_000_000
    connect_s: float = 10.0
    read_s: float = 15.0
    total_s: float = 60.0
    redirects_max: int = 5
    attempts: int = 3
    pause_s: float = 0.5

    @classmethod
    def within(cls, total_s: float) -> FetchLimits:
        """The defaults, with no wait longer than `total_s` seconds."""
        return cls(connect_s=min(cls.connect_s, total_s), read_s=min(cls.read_s, total_s), total_s=total_s)


class _PassingError(FetchError):
    """An error that may be gone at the next attempt."""


def fetch(url: str, limits: FetchLimits | None = None) -> bytes:
    """Downloads what lies behind an address.

    Args:
        url: an http or https address.
        limits: of time and size; the defaults of `FetchLimits` where None.

    Returns:
        The bytes of the answer's body; nothing is known about them yet.

    Raises:
        FetchError: not http(s), no answer in time, an HTTP status other than 200, too many bytes, too many redirects.
    """
    limits = limits or FetchLimits()
    deadline = time.monotonic() + limits.total_s
    return _call_within(limits.total_s, lambda: _with_retries(url, limits, deadline))


def _call_within(seconds: float, work: Callable[[], bytes]) -> bytes:
    """Calls `work` in a thread and stops waiting for it after some seconds.

    Neither the look-up of a name nor headers that come byte by byte obey a socket's time limit; this does.
    """
    future: Future[bytes] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    try:
        return future.result(timeout=seconds)
    except TimeoutError:
        raise _too_slow(seconds) from None


def _with_retries(url: str, limits: FetchLimits, deadline: float) -> bytes:
    pause_s = limits.pause_s
    for _ in range(limits.attempts - 1):
        try:
            return _download(url, limits, deadline)
        except _PassingError:
            time.sleep(pause_s)
            pause_s *= 2
    return _download(url, limits, deadline)


def _download(url: str, limits: FetchLimits, deadline: float) -> bytes:
    try:
        with requests.Session() as session:
            session.headers.update(_HEADERS)
            with _open(session, url, limits) as response:
                return _read_body(response, limits, deadline)
    except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError) as error:
        raise _explained(error, limits) from error


def _open(session: requests.Session, url: str, limits: FetchLimits) -> requests.Response:
    """Follows redirects to an answer with status 200; its body is not yet read."""
    for _ in range(limits.redirects_max + 1):
        _check_address(url)
        response = session.get(url, stream=True, timeout=(limits.connect_s, limits.read_s), allow_redirects=False)
        if response.status_code == requests.codes.ok:
            return response
        response.close()
        target = session.get_redirect_target(response)
        if target is None:
            kind = _PassingError if response.status_code in PASSING_STATUSES else FetchError
            raise kind(f"expected a photo, the server answered {response.status_code} {response.reason}".rstrip())
        url = urljoin(url, target)
    raise FetchError(f"expected a photo after at most {limits.redirects_max} redirects, got one more")


def _check_address(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https"):
        raise FetchError(f"expected an http or https address, got {url!r}")
    if not parts.hostname:
        raise FetchError(f"expected an address with a host name, got {url!r}")


def _read_body(response: requests.Response, limits: FetchLimits, deadline: float) -> bytes:
    announced = response.headers.get("Content-Length", "")
    if announced.isdecimal() and int(announced) > limits.bytes_max:
        raise _too_large(limits)
    body = bytearray()
    # read1 returns what has come so far, so that a slow drip of bytes can't hold up the check of the clock.
    while chunk := response.raw.read1(_CHUNK_BYTES, decode_content=True):
        body += chunk
        if len(body) > limits.bytes_max:
            raise _too_large(limits)
        if time.monotonic() > deadline:
            raise _too_slow(limits.total_s)
    return bytes(body)


def _too_large(limits: FetchLimits) -> FetchError:
    return FetchError(f"expected at most {limits.bytes_max / 1e6:g} MB, the photo is larger")


def _too_slow(seconds: float) -> FetchError:
    return FetchError(f"expected the whole photo within {seconds:g} s, it took longer")


def _explained(error: Exception, limits: FetchLimits) -> FetchError:
    """One line for what requests and urllib3 wrap in several exceptions."""
    if isinstance(error, requests.ConnectTimeout):
        return FetchError(f"no connection within {limits.connect_s:g} s")
    if isinstance(error, (requests.ReadTimeout, urllib3.exceptions.ReadTimeoutError)):
        return FetchError(f"the server was silent for {limits.read_s:g} s")
    reason = first_cause(error)
    if broke_off(error):
        return _PassingError(f"the connection broke off: {reason}")
    return FetchError(f"could not be downloaded: {reason}")


def broke_off(error: Exception) -> bool:
    """Whether an error of requests or urllib3 tells of a connection that stood and broke off."""
    return any(isinstance(e, urllib3.exceptions.ProtocolError) for e in (error, *error.args[:1]))


def first_cause(error: BaseException) -> str:
    """What lies at the bottom of the exceptions that requests and urllib3 wrap into each other, in words."""
    while cause := error.__cause__ or error.__context__:
        error = cause
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
