"""Reads what strangers send to the ML backend: who they are, so many bytes, and JSON of bounded size."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request

from labelstudio.listening import ServerLimits

USER = "interior-surfaces"
"""The user name that goes with the secret."""
LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]")


@dataclass(frozen=True)
class Access:
    """Who is answered.

    Attributes:
        hosts: host names and IP addresses, without port, IPv6 in brackets, that a request's Host header may have.
        secret: the password of HTTP basic authentication, the user is `USER`; None asks for none.
    """

    hosts: tuple[str, ...] = LOOPBACK_HOSTS
    secret: str | None = field(default=None, repr=False)

    def check(self, request: Request) -> None:
        """Lets a request pass.

        Raises:
            HTTPException: 401, it has not the secret.
        """
        if self.secret is None:
            return
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        expected = base64.b64encode(f"{USER}:{self.secret}".encode())
        if scheme.lower() != "basic" or not hmac.compare_digest(given.strip().encode(), expected):
            words = f"expected HTTP basic authentication: the user {USER} and the backend's secret"
            raise HTTPException(401, words, {"WWW-Authenticate": "Basic"})


class Bodies:
    """Reads bodies; all that are being worked on together stay within the limit of one.

    Args:
        limits: of bytes.
    """

    def __init__(self, limits: ServerLimits) -> None:
        self._bytes_max, self._held_bytes = limits.body_bytes_max, 0

    @asynccontextmanager
    async def reading(self, request: Request) -> AsyncIterator[bytearray]:
        """A request's body, which counts while the context is entered.

        Raises:
            HTTPException: it is no JSON, too long, or there are too many others.
        """
        if request.headers.get("Content-Type", "").partition(";")[0].strip().lower() != "application/json":
            raise HTTPException(415, "expected Content-Type application/json")
        stated, body = request.headers.get("Content-Length", ""), bytearray()
        if not (stated.isascii() and stated.isdecimal()):
            raise HTTPException(411, "expected a Content-Length")
        if int(stated[:18]) > self._bytes_max:
            raise HTTPException(413, f"expected at most {self._bytes_max} bytes, got {stated[:18]}")
        try:
            async for chunk in request.stream():
                body += chunk
                self._held_bytes += len(chunk)
                if self._held_bytes > self._bytes_max:
                    raise HTTPException(503, "busy with other requests; try again later", {"Retry-After": "10"})
            yield body
        finally:
            self._held_bytes -= len(body)


def parsed(body: bytearray, limits: ServerLimits) -> dict[str, Any]:
    """A request's JSON object; what would need many times its bytes once it is parsed is refused before.

    Raises:
        HTTPException: it is none, or has too many parts.
    """
    if body.count(b"{") + body.count(b"[") > limits.containers_max or body.count(b'"') > 2 * limits.strings_max:
        words = f"expected at most {limits.containers_max} objects and lists and {limits.strings_max} texts, got more"
        raise HTTPException(413, words)
    try:
        request = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, f"expected JSON: {error}") from error
    if not isinstance(request, dict):
        raise HTTPException(400, f"expected a JSON object, got {type(request).__name__}")
    return request
