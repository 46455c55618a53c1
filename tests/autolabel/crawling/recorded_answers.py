"""Answers as pages and APIs give them, from the folder `recorded`."""

from __future__ import annotations

from pathlib import Path

from surfaces.io.http import Response

_RECORDED = Path(__file__).parent / "recorded"


def recorded(name: str) -> bytes:
    """A recorded answer's body."""
    return (_RECORDED / name).read_bytes()


def response(url: str, body: bytes, **headers: str) -> Response:
    """What a server answers with status 200, with headers such as `content_type`."""
    return Response(url, 200, {name.replace("_", "-"): value for name, value in headers.items()}, body, "192.0.2.1")
