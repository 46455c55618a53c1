"""An HTTP client that retries transient failures, follows no redirects and bounds response sizes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import httpx

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
    """`httpx.Client` with three retries, after half a second, one and two seconds.

    Responses are read up to 200 MB. Requests that could not be sent are always retried; those that may have arrived
    only where the method is idempotent. Redirects raise `RedirectedError`: a token or a photo is for this server alone.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(event_hooks={"response": [_bound]}, headers={"Accept-Encoding": "identity"}, **options)

    def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        """As `httpx.Client.send`.

        Raises:
            RedirectedError: the server redirects.
        """
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


class _BoundedStream(httpx.SyncByteStream):
    def __init__(self, stream: httpx.SyncByteStream) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        received = 0
        for chunk in self._stream:
            received += len(chunk)
            if received > _BODY_BYTES_MAX:
                raise _too_large()
            yield chunk

    def close(self) -> None:
        self._stream.close()


def _bound(response: httpx.Response) -> None:
    """Bounds a response's body before it is read, so that an endless one cannot fill the memory."""
    length = response.headers.get("Content-Length", "")
    if length.isdecimal() and int(length) > _BODY_BYTES_MAX and response.request.method != "HEAD":
        raise _too_large()
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise httpx.DecodingError("expected an uncompressed response, as requested")
    if isinstance(response.stream, httpx.SyncByteStream):
        response.stream = _BoundedStream(response.stream)


def _too_large() -> httpx.DecodingError:
    return httpx.DecodingError(f"expected a response of at most {_BODY_BYTES_MAX / 1e6:g} MB, got a larger one")
