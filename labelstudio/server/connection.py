"""The connection to a Label Studio server: its address, the token, retries, and errors in one line."""

from __future__ import annotations

import argparse
import json
import logging
import os
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx
from label_studio_sdk import LabelStudio
from label_studio_sdk.core.api_error import ApiError

from labelstudio.errors import ProjectError, ServerUnavailableError, TokenError
from labelstudio.server.local_server import LocalServer, add_home_argument
from surfaces.messages import printable, without_credentials

_TIMEOUT = httpx.Timeout(60.0, connect=10.0)
_DETAIL_CHARACTERS_MAX = 300
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_PAUSES_S = (0.5, 1.0, 2.0)
_TRANSIENT_STATUSES = frozenset({429, 502, 503, 504})
_IDEMPOTENT_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE"})
_BODY_BYTES_MAX = 200_000_000
_NOTHING_SENT = (httpx.ConnectError, httpx.ConnectTimeout)


class RedirectedError(httpx.HTTPStatusError):
    """The server answered with a redirect, to `location`."""

    def __init__(self, response: httpx.Response) -> None:
        super().__init__("redirected", request=response.request, response=response)
        # httpx has parsed it, and raised an error where it is no URL.
        self.location = str(response.next_request.url if response.next_request else response.request.url)


class RetryClient(httpx.Client):
    """`httpx.Client` with three retries, and responses of at most 200 MB.

    Requests that may have arrived are only retried where the method is idempotent. Redirects raise `RedirectedError`: a
    token or a photo is for this server alone.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(event_hooks={"response": [_bound]}, headers={"Accept-Encoding": "identity"}, **options)

    def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        """As `httpx.Client.send`; raises a RedirectedError if the server redirects."""
        response = self._send(request, **(options | {"follow_redirects": False}))
        if response.has_redirect_location:
            response.close()
            raise RedirectedError(response)
        return response

    def _send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        idempotent = request.method in _IDEMPOTENT_METHODS
        for pause_s in _PAUSES_S:
            try:
                response = super().send(request, **options)
            except httpx.TransportError as error:
                if not idempotent and not isinstance(error, _NOTHING_SENT):
                    raise
            else:
                if not idempotent or response.status_code not in _TRANSIENT_STATUSES:
                    return response
                response.close()
            time.sleep(pause_s)
        return super().send(request, **options)


@dataclass(frozen=True)
class Server:
    """A Label Studio server, its URL without a trailing slash, that accepted our token.

    `session` is for API calls that Label Studio's own `client` lacks; the token is sent nowhere else.
    """

    url: str
    client: LabelStudio = field(repr=False)
    session: httpx.Client = field(repr=False)


def add_server_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options that name a server. There is none for the token: other users of a machine see arguments."""
    group = parser.add_argument_group(
        "server", "LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY name one; without them it is the one that `up` started"
    )
    group.add_argument("--url", default=None, help="the server's address, instead of LABEL_STUDIO_URL")
    add_home_argument(group)


def connect(args: argparse.Namespace) -> Server:
    """Connects to the server that the arguments of `add_server_arguments`, or the environment, name."""
    local = LocalServer(args.home)
    running = local.running()
    named = args.url or os.environ.get("LABEL_STUDIO_URL")
    url = named or (running.url if running else None)
    if not url:
        raise ServerUnavailableError(
            "no Label Studio is configured, and none was started here; set LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY, "
            "or start one with `python -m labelstudio up`"
        )
    # A token that is meant for a named server is sent to no other one.
    token = os.environ.get("LABEL_STUDIO_API_KEY") if named else None
    if not token and running and running.url == url.rstrip("/"):
        account = local.account_at(running)
        if account is None:
            words = f"Label Studio at {url} is not up yet; `python -m labelstudio up` waits for it"
            raise ServerUnavailableError(words)
        token = account.token
    if not token:
        raise TokenError(f"no token for {url}; set LABEL_STUDIO_API_KEY to one of the server's Account & Settings page")
    return open_server(url, token)


def open_server(url: str, token: str) -> Server:
    """Connects to a server with a legacy token, or a personal access token, which is exchanged for short-lived ones.

    Raises:
        ServerUnavailableError: it does not answer, or is no Label Studio.
        TokenError: it rejects the token.
    """
    url, token = _checked_url(url), _checked_token(token)
    # httpx logs every request at level INFO, and proxies of the environment do not exclude loopback.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    options: dict[str, Any] = {"timeout": _TIMEOUT, "trust_env": urlsplit(url).hostname not in _LOOPBACK}
    with server_errors():
        client = LabelStudio(  # type: ignore[no-untyped-call]
            base_url=f"{url}/", api_key=token, httpx_client=RetryClient(**options), timeout=60, max_retries=0
        )
        session = RetryClient(base_url=url, auth=_ClientToken(url, client), **options)
        user = session.get("/api/current-user/whoami").raise_for_status().json()
    if not isinstance(user, Mapping) or "email" not in user:
        raise ServerUnavailableError(f"the server at {url} is no Label Studio")
    return Server(url, client, session)


def same_origin(one: httpx.URL, other: httpx.URL) -> bool:
    """Whether two URLs have the same scheme, host and port; httpx drops default ports."""
    return (one.scheme, one.host, one.port) == (other.scheme, other.host, other.port)


@contextmanager
def server_errors() -> Iterator[None]:
    """Turns errors of the client and the session into one-line errors that contain no token.

    Raises:
        ServerUnavailableError: the server does not answer, breaks off, is overloaded, redirects, or is no Label Studio.
        TokenError: it rejects the token, or the token's owner lacks a permission.
        ProjectError: it rejects the request; with its own words.
    """
    try:
        yield
    except ApiError as error:
        raise _error_of_status(error.status_code or 0, error.body) from None
    except RedirectedError as error:
        location = printable(without_credentials(error.location))[:_DETAIL_CHARACTERS_MAX]
        raise ServerUnavailableError(
            f"Label Studio{_at_url(error)} redirects to {location}, which is not followed; "
            "if that is the server, name its address with --url"
        ) from None
    except httpx.HTTPStatusError as error:
        raise _error_of_status(error.response.status_code, _json_body(error.response)) from None
    except httpx.TimeoutException as error:
        raise ServerUnavailableError(f"Label Studio{_at_url(error)} did not answer in time") from None
    except httpx.HTTPError as error:
        reason = printable(str(error) or type(error).__name__)[:_DETAIL_CHARACTERS_MAX]
        raise ServerUnavailableError(f"Label Studio{_at_url(error)} does not answer: {reason}") from None
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError):
        raise ServerUnavailableError("the server is no Label Studio") from None


class _ClientToken(httpx.Auth):
    def __init__(self, url: str, client: LabelStudio) -> None:
        self._url, self._client = httpx.URL(url), client

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        if same_origin(request.url, self._url):
            request.headers["Authorization"] = self._client._client_wrapper.get_headers()["Authorization"]
        yield request


class _BoundedStream(httpx.SyncByteStream):
    def __init__(self, stream: httpx.SyncByteStream) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        received = 0
        for chunk in self._stream:
            received += len(chunk)
            _check_length(received)
            yield chunk

    def close(self) -> None:
        self._stream.close()


def _bound(response: httpx.Response) -> None:
    """Bounds a response's body before it is read, so that an endless one cannot fill the memory."""
    length = response.headers.get("Content-Length", "")
    if length.isdecimal() and response.request.method != "HEAD":
        _check_length(int(length))
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise httpx.DecodingError("expected an uncompressed response, as requested")
    if isinstance(response.stream, httpx.SyncByteStream):
        response.stream = _BoundedStream(response.stream)


def _check_length(length: int) -> None:
    if length > _BODY_BYTES_MAX:
        raise httpx.DecodingError(f"expected a response of at most {_BODY_BYTES_MAX / 1e6:g} MB, got a larger one")


def _checked_url(url: str) -> str:
    url = url.strip()
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        words = "the server's address cannot be read; expected such as http://localhost:8080"
        raise ServerUnavailableError(words) from None
    if parts.username or parts.password:
        words = "the server's address has a user name or password in it; expected none, but a token"
        raise ServerUnavailableError(words)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ServerUnavailableError(f"expected an address such as http://localhost:8080, got {url!r}")
    return url.rstrip("/")


def _checked_token(token: str) -> str:
    stripped = token.strip()
    if not stripped or not stripped.isascii() or not stripped.isprintable() or " " in stripped:
        raise TokenError("LABEL_STUDIO_API_KEY is no token: it is empty or has characters that no token has")
    return stripped


def _error_of_status(status: int, body: Any) -> ServerUnavailableError | TokenError | ProjectError:
    detail = _detail(body)
    if status in (401, 403):
        return TokenError(f"Label Studio rejects the token (HTTP {status}){detail}")
    if status == 404:
        return ProjectError(f"Label Studio has no such resource (HTTP 404){detail}")
    if status < 400:
        return ServerUnavailableError("the server is no Label Studio")
    if status >= 500 or status in (408, 429):
        return ServerUnavailableError(f"Label Studio failed (HTTP {status}){detail}; try again later")
    return ProjectError(f"Label Studio rejects the request (HTTP {status}){detail}")


def _detail(body: Any) -> str:
    if not isinstance(body, Mapping):
        return ""
    detail: Any = body.get("validation_errors") or body.get("detail") or body
    words = detail if isinstance(detail, str) else json.dumps(detail, ensure_ascii=False)
    words = printable(" ".join(words.split()))
    return f": {words[:_DETAIL_CHARACTERS_MAX]}" if words else ""


def _json_body(response: httpx.Response) -> Any:
    try:
        return response.json()
    except (ValueError, RecursionError, httpx.ResponseNotRead):
        return None


def _at_url(error: httpx.HTTPError) -> str:
    try:
        url = error.request.url
    except RuntimeError:
        return ""
    return f" at {url.scheme}://{url.netloc.decode('ascii', 'replace')}"
