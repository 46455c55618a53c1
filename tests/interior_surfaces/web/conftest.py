"""A server of the page with the shipped network, on a free loopback port."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from interior_surfaces.web.app import create_app
from interior_surfaces.web.limits import WebLimits
from models import Segmenter
from surfaces.images.load import ImageLimits
from surfaces.io.http import FetchLimits
from surfaces.serving.http_server import ConnectionLimits, HttpServer

ROOMS = Path(__file__).parents[2] / "data" / "rooms" / "images"
ROOM = ROOMS / "room_01.jpg"
LIMITS = WebLimits(
    bytes_max=2_000_000,
    images=ImageLimits(pixels_max=2_000_000),
    fetching=FetchLimits(bytes_max=2_000_000, total_s=10.0, attempts=1, allow_private=True),
)


@pytest.fixture(scope="session")
def segmenter() -> Segmenter:
    return Segmenter(threads=1)


@pytest.fixture(scope="module")
def url(segmenter: Segmenter) -> Iterator[str]:
    with HttpServer("127.0.0.1", 0, create_app(segmenter, limits=LIMITS), ConnectionLimits(request_s=2.0)) as server:
        yield f"http://127.0.0.1:{server.port}"
