"""An HTTP client that tries again what may pass: a server that is being restarted, a break in the middle."""

from __future__ import annotations

import time
from typing import Any

import httpx

_PAUSES_S = (0.5, 1.0, 2.0)
_PASSING_STATUSES = frozenset({429, 502, 503, 504})
_REPEATABLE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE"})
"""Methods that do no more when they come twice; what was sent with another one may have arrived."""
_NOTHING_SENT = (httpx.ConnectError, httpx.ConnectTimeout)


class PatientClient(httpx.Client):
    """`httpx.Client` with three more tries, after half a second, one and two.

    Any request is sent again that could not be sent at all; one that may have arrived only where its method allows it.
    """

    def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        """As `httpx.Client.send`."""
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
