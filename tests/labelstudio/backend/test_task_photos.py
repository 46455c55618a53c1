"""Where the photos of tasks are read: whoever may write tasks, and the server, choose that."""

from __future__ import annotations

import io
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler

import pytest
from PIL import Image as Pillow

from labelstudio.backend.task_photos import TaskPhotos
from labelstudio.server.connection import open_server
from surfaces.errors import FetchError, SurfacesError
from tests.photo_servers import PhotoServer

pytestmark = pytest.mark.security


def redirecting(place: str) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(302)
        request.send_header("Location", place)
        request.send_header("Content-Length", "0")
        request.end_headers()

    return answer


def png_bytes() -> bytes:
    file = io.BytesIO()
    Pillow.new("RGB", (64, 64)).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize("allow_private", [False, True])
def test_redirects_of_the_server_are_read_as_any_strangers(photo_server: PhotoServer, allow_private: bool) -> None:
    """As from object storage, to which Label Studio redirects; a server of ours that does is asked without end."""
    photo_server.serve("/api/current-user/whoami", b'{"email": "a@example.com"}')
    photo_server.serve("/data/upload/room.png", png_bytes())
    photo_server.answer(
        "/data/upload/elsewhere",
        redirecting(photo_server.url("/data/upload/room.png").replace("127.0.0.1", "localhost")),
    )
    photo_server.answer("/data/upload/here", redirecting("/data/upload/room.png"))
    photo_server.answer("/data/upload/round", redirecting("/data/upload/round"))
    photos = TaskPhotos(open_server(photo_server.url(""), "a-token"), allow_private)

    assert photos.read("/data/upload/here").shape == (64, 64, 3)
    with pytest.raises(FetchError, match="at most 5 redirects"):
        photos.read("/data/upload/round")
    if allow_private:
        assert photos.read("/data/upload/elsewhere").shape == (64, 64, 3)
    else:
        with pytest.raises(FetchError, match="expected a host on the public internet"):
            photos.read("/data/upload/elsewhere")


@pytest.mark.parametrize(
    "address",
    [
        "file:///etc/passwd",
        "s3://bucket/photo.jpg",
        "gs://bucket/photo.jpg",
        "etc/passwd",
        "//169.254.169.254/latest/meta-data/",
        "http://127.0.0.1:9/photo.jpg",
        "http://[::1/",
        "/data/local-files/?d=../../etc/passwd",
        "/\x1b[31m\r\nX: y",
        "",
    ],
)
def test_addresses_that_lead_elsewhere_are_reported(photo_server: PhotoServer, address: str) -> None:
    photo_server.serve("/api/current-user/whoami", b'{"email": "a@example.com"}')
    with pytest.raises(SurfacesError) as caught:
        TaskPhotos(open_server(photo_server.url(""), "a-token")).read(address)
    assert str(caught.value).isprintable()
