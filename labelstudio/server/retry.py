"""An HTTP client that tries again what may pass: a server that is being restarted, a break in the middle."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import httpx

_PAUSES_S = (0.5, 1.0, 2.0)
_PASSING_STATUSES = frozenset({429, 502, 503, 504})
_REPEATABLE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE"})
"""Methods that do no more when they come twice; what was sent with another one may have arrived."""
_BODY_BYTES = 200_000_000
_NOTHING_SENT = (httpx.ConnectError, httpx.ConnectTimeout)


class _Bounded(httpx.SyncByteStream):
    """A body that is broken off where it becomes too large."""

    def __init__(self, stream: httpx.SyncByteStream) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        received = 0
        for piece in self._stream:
            received += len(piece)
            if received > _BODY_BYTES:
                raise _too_large()
            yield piece

    def close(self) -> None:
        self._stream.close()


class RedirectedError(httpx.HTTPStatusError):
    """A server says to ask elsewhere.

    Attributes:
        place: where, as it says.
    """

    def __init__(self, response: httpx.Response) -> None:
        super().__init__("redirected", request=response.request, response=response)
        # httpx has read it; what is no address is an error there.
        self.place = str(response.next_request.url if response.next_request else response.request.url)


class RetryClient(httpx.Client):
    """`httpx.Client` with three more tries, after half a second, one and two, that follows no redirect.

    An answer is read up to 200 MB. Any request is sent again that could not be sent at all; one that may have arrived
    only where its method allows it.
    """

    def __init__(self, **options: Any) -> None:
        """As `httpx.Client`."""
        super().__init__(event_hooks={"response": [_bound]}, headers={"Accept-Encoding": "identity"}, **options)

    def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        """As `httpx.Client.send`.

        Raises:
            RedirectedError: the server says to ask elsewhere.
        """
        response = self._send(request, **options)
        if response.has_redirect_location:
            response.close()
            raise RedirectedError(response)
        return response

    def _send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        # What was sent, a token or a photo, is meant for this server, and what comes is taken for its word.
        options["follow_redirects"] = False
        for pause_s in _PAUSES_S:
            try:
                response = super().send(request, **options)
            except httpx.TransportError as error:
                if not isinstance(error, _NOTHING_SENT) and request.method not in _REPEATABLE_METHODS:
                    raise
            else:
                if response.status_code not in _PASSING_STATUSES or request.method not in _REPEATABLE_METHODS:
                    return response
                response.close()
            time.sleep(pause_s)
        return super().send(request, **options)


def _bound(response: httpx.Response) -> None:
    """Sets a bound to an answer's body before it is read: what a server sends without end would fill the memory."""
    announced = response.headers.get("Content-Length", "")
    if announced.isdecimal() and int(announced) > _BODY_BYTES and response.request.method != "HEAD":
        raise _too_large()
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise httpx.DecodingError("expected an answer that is not compressed, as was asked")
    if isinstance(response.stream, httpx.SyncByteStream):
        response.stream = _Bounded(response.stream)


def _too_large() -> httpx.DecodingError:
    return httpx.DecodingError(f"expected at most {_BODY_BYTES / 1e6:g} MB, the answer is larger")
