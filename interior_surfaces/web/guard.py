"""Who is answered: checked before anything of a request's body is read."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from surfaces.serving.access import Access
from surfaces.serving.http_server import error_response

OPEN_PATHS = ("/healthz",)
"""Answered without a secret."""
_OTHER_SITES = ("cross-site", "same-site")


class Guard:
    """ASGI middleware that refuses other host names (400), other sites' pages (403), and who lacks the secret (401).

    Args:
        app: what is guarded.
        access: host names and secret.
        origins: other sites whose pages are answered.
    """

    def __init__(self, app: ASGIApp, access: Access, origins: Sequence[str]) -> None:
        self._app, self._access, self._origins = app, access, origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request."""
        if scope["type"] == "http":
            try:
                self._check(Request(scope))
            except HTTPException as error:
                await error_response(error.status_code, error.detail, error.headers)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _check(self, request: Request) -> None:
        if not self._access.permits_host(request):
            raise HTTPException(400, f"expected a host name among {', '.join(self._access.hosts)}")
        origin, host = request.headers.get("Origin"), request.headers.get("Host", "")
        if origin is None or origin not in self._origins:
            foreign = origin is not None and origin.partition("://")[2] != host
            other_site = request.headers.get("Sec-Fetch-Site") in _OTHER_SITES and request.method != "GET"
            if foreign or other_site:
                raise HTTPException(403, "expected a request of this server's own page, or of no page")
        if request.url.path not in OPEN_PATHS:
            self._access.check(request)
