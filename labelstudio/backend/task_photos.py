"""The photos of Label Studio's tasks, as the browser shows them; and a memory of the last few."""

from __future__ import annotations

import io
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any, Generic, TypeVar
from urllib.parse import unquote, urljoin, urlsplit

import httpx

from labelstudio.errors import ServerUnavailableError
from labelstudio.project.labeling_config import IMAGE_FIELD
from labelstudio.server.connection import Server, server_errors
from labelstudio.server.retry import RedirectedError
from surfaces.detections import Image
from surfaces.errors import FetchError
from surfaces.images.load import decode_image, is_address
from surfaces.io.http import FetchLimits, fetch
from surfaces.messages import without_credentials

_BYTES_MAX = 100_000_000
_ADDRESS_MAX = 8192
_PHOTO_PATHS = ("/data/upload/", "/data/local-files/")

Made = TypeVar("Made")


class TaskPhotos:
    """Gets photos from where their tasks say they are.

    Args:
        server: the Label Studio whose tasks they are; its token goes to its own address and nowhere else, and there
            only to paths of photos (`is_data_path`). None where there is none: then addresses on the web alone are
            read.
        allow_private: whether photos elsewhere may lie on this machine and in private networks. Whoever may write tasks
            chooses what is asked there.
    """

    def __init__(self, server: Server | None, allow_private: bool = False) -> None:
        self._server = server
        self._limits = FetchLimits(bytes_max=_BYTES_MAX, allow_private=allow_private)

    def read(self, address: str) -> Image:
        """A photo, upright.

        Args:
            address: a path on the server (`/data/upload/…`, `/data/local-files/?d=…`), or an http or https address.

        Returns:
            uint8 HxWx3 RGB.

        Raises:
            FetchError, ServerAwayError, TokenError, ProjectError: it cannot be got.
            DecodeError: what came is no photo.
        """
        return decode_image(io.BytesIO(self.download(address)))

    def download(self, address: str) -> bytes:
        """The bytes of a photo's file, about which nothing is known yet; address and errors are those of `read`."""
        if len(address) > _ADDRESS_MAX or any(ord(sign) < 32 or ord(sign) == 127 for sign in address):
            raise FetchError(f"expected an address of at most {_ADDRESS_MAX} characters, none a control character")
        if not is_address(address) and not address.startswith("/"):
            raise FetchError(f"expected a photo's path on the server or an http address, got {address[:100]!r}")
        if self._server is None:
            if not is_address(address):
                raise ServerUnavailableError("the photo lies on a Label Studio server, and this backend knows none")
            return fetch(address, self._limits)
        try:
            place = urljoin(f"{self._server.url}/", address)
        except ValueError as error:
            raise FetchError(f"expected an http address, got {without_credentials(address)[:100]!r}") from error
        if _is_at(place, self._server) and not is_address(address) and not is_data_path(place, self._server.url):
            raise FetchError(f"expected a path below {' or '.join(_PHOTO_PATHS)}, got {address[:100]!r}")
        return self._download(self._server, place)

    def _download(self, server: Server, place: str) -> bytes:
        """What lies at an address: a file of the server, which may send us elsewhere, to object storage, or another's.

        The latter is read as any other address of a stranger.
        """
        with server_errors():
            for _ in range(self._limits.redirects_max + 1):
                if not (_is_at(place, server) and is_data_path(place, server.url)):
                    return fetch(place, self._limits)
                try:
                    return _read(server, place)
                except RedirectedError as error:
                    place = error.place
        raise FetchError(f"expected a photo after at most {self._limits.redirects_max} redirects, got one more")


def is_data_path(address: str, server_url: str) -> bool:
    """Whether an http address of a Label Studio can only be a photo of a task: nothing in it leads elsewhere."""
    parts = urlsplit(address)
    path = parts.path.removeprefix(urlsplit(server_url).path.rstrip("/"))
    plain = unquote(unquote(f"{path}?{parts.query}"))
    leads_elsewhere = "\\" in plain or not {".", ".."}.isdisjoint(re.split("[/?&=]", plain))
    return path.startswith(_PHOTO_PATHS) and not leads_elsewhere and "//" not in plain.partition("?")[0]


def address_of(task: Mapping[str, Any]) -> str:
    """Where a task says its photo is.

    Raises:
        FetchError: it says nothing.
    """
    data = task.get("data")
    address = data.get(IMAGE_FIELD) if isinstance(data, Mapping) else None
    if not isinstance(address, str):
        raise FetchError(f"expected a task whose data has `{IMAGE_FIELD}`, got none")
    return address


class Recent(Generic[Made]):
    """Keeps what was made of the last few keys; what several threads want at once is made once.

    Args:
        make: called with a key; when it raises, nothing is kept.
        size: how many are kept.
    """

    def __init__(self, make: Callable[[str], Made], size: int) -> None:
        self._make = make
        self._size = size
        self._kept: OrderedDict[str, Future[Made]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: str) -> Made:
        """What is made of a key."""
        with self._lock:
            known = self._kept.get(key)
            future = known or Future()
            self._kept[key] = future
            self._kept.move_to_end(key)
            while len(self._kept) > self._size:
                self._kept.popitem(last=False)
        if known is None:
            self._fulfil(key, future)
        return future.result()

    def _fulfil(self, key: str, future: Future[Made]) -> None:
        try:
            future.set_result(self._make(key))
        except BaseException as error:
            with self._lock:
                if self._kept.get(key) is future:
                    del self._kept[key]
            future.set_exception(error)


def _read(server: Server, place: str) -> bytes:
    """A file of the server."""
    body = bytearray()
    with server.session.stream("GET", place) as response:
        if response.is_error:
            response.read()
        response.raise_for_status()
        for chunk in response.iter_bytes():
            body += chunk
            if len(body) > _BYTES_MAX:
                raise FetchError(f"expected a photo of at most {_BYTES_MAX / 1e6:g} MB, this one has more")
    return bytes(body)


def _is_at(place: str, server: Server) -> bool:
    """Whether an address is one of the server's own: of its scheme, host and port."""
    try:
        httpx.URL(place)
        return _origin(place) == _origin(server.url)
    except (ValueError, httpx.InvalidURL) as error:
        raise FetchError(f"expected an http address, got {without_credentials(place)[:100]!r}") from error


def _origin(address: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(address)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)
