"""The photos of Label Studio's tasks, and a cache for results on them."""

from __future__ import annotations

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
from labelstudio.server.connection import RedirectedError, Server, same_origin, server_errors
from surfaces.errors import FetchError
from surfaces.images.load import is_address
from surfaces.io.http import FetchLimits, fetch
from surfaces.messages import without_credentials

_BYTES_MAX = 100_000_000
_URL_CHARACTERS_MAX = 8192
_PHOTO_PATHS = ("/data/upload/", "/data/local-files/")

Value = TypeVar("Value")


class TaskPhotos:
    """Fetches photos from the URLs in their tasks.

    The token of `server` is sent to its own origin only, and there only to paths of photos (`is_photo_url`); without a
    server only absolute URLs are fetched. With `allow_private` photos elsewhere may be on this machine and in private
    networks, which whoever may write tasks could then send requests to.
    """

    def __init__(self, server: Server | None, allow_private: bool = False) -> None:
        self._server = server
        self._limits = FetchLimits(bytes_max=_BYTES_MAX, allow_private=allow_private)

    def download(self, url: str) -> bytes:
        """Fetches a photo's file, which is not checked.

        Args:
            url: a path on the server (`/data/upload/…`, `/data/local-files/?d=…`), or an http or https URL.
        """
        if len(url) > _URL_CHARACTERS_MAX or any(ord(character) < 32 or ord(character) == 127 for character in url):
            words = f"expected an address of at most {_URL_CHARACTERS_MAX} characters, none a control character"
            raise FetchError(words)
        if not is_address(url) and not url.startswith("/"):
            raise FetchError(f"expected a photo's path on the server or an http address, got {url[:100]!r}")
        if self._server is None:
            if not is_address(url):
                raise ServerUnavailableError("the photo is on a Label Studio server, and this backend knows none")
            return fetch(url, self._limits)
        try:
            absolute = urljoin(f"{self._server.url}/", url)
        except ValueError as error:
            raise _not_http(url) from error
        is_path = _is_at(absolute, self._server) and not is_address(url)
        if is_path and not is_photo_url(absolute, self._server.url):
            raise FetchError(f"expected a path below {' or '.join(_PHOTO_PATHS)}, got {url[:100]!r}")
        return self._download(self._server, absolute)

    def _download(self, server: Server, url: str) -> bytes:
        """Follows the server's redirects, such as to object storage; other hosts are fetched as any untrusted URL."""
        with server_errors():
            for _ in range(self._limits.redirects_max + 1):
                if not (_is_at(url, server) and is_photo_url(url, server.url)):
                    return fetch(url, self._limits)
                try:
                    return _read(server, url)
                except RedirectedError as error:
                    url = error.location
        raise FetchError(f"expected a photo after at most {self._limits.redirects_max} redirects, got one more")


class SingleFlightCache(Generic[Value]):
    """Caches the `size` newest results of a function, but no exceptions; concurrent calls with one key compute once."""

    def __init__(self, compute: Callable[[str], Value], size: int) -> None:
        self._compute, self._size = compute, size
        self._futures: OrderedDict[str, Future[Value]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: str) -> Value:
        """The result for a key."""
        with self._lock:
            known = self._futures.get(key)
            future = self._futures[key] = known or Future()
            self._futures.move_to_end(key)
            while len(self._futures) > self._size:
                self._futures.popitem(last=False)
        if known is None:
            try:
                future.set_result(self._compute(key))
            except BaseException as error:
                with self._lock:
                    if self._futures.get(key) is future:
                        del self._futures[key]
                future.set_exception(error)
        return future.result()


def is_photo_url(url: str, server_url: str) -> bool:
    """Whether a URL of a Label Studio can only be a task's photo: nothing in it leads to another path."""
    parts = urlsplit(url)
    path = parts.path.removeprefix(urlsplit(server_url).path.rstrip("/"))
    plain = unquote(unquote(f"{path}?{parts.query}"))
    leads_elsewhere = "\\" in plain or not {".", ".."}.isdisjoint(re.split("[/?&=]", plain))
    return path.startswith(_PHOTO_PATHS) and not leads_elsewhere and "//" not in plain.partition("?")[0]


def photo_url(task: Mapping[str, Any]) -> str:
    """The URL of a task's photo; raises a FetchError if it has none."""
    data = task.get("data")
    url = data.get(IMAGE_FIELD) if isinstance(data, Mapping) else None
    if not isinstance(url, str):
        raise FetchError(f"expected a task whose data has `{IMAGE_FIELD}`, got none")
    return url


def _read(server: Server, url: str) -> bytes:
    body = bytearray()
    with server.session.stream("GET", url) as response:
        if response.is_error:
            response.read()
        response.raise_for_status()
        for chunk in response.iter_bytes():
            body += chunk
            if len(body) > _BYTES_MAX:
                raise FetchError(f"expected a photo of at most {_BYTES_MAX / 1e6:g} MB, this one has more")
    return bytes(body)


def _is_at(url: str, server: Server) -> bool:
    try:
        return same_origin(httpx.URL(url), httpx.URL(server.url))
    except (ValueError, httpx.InvalidURL) as error:
        raise _not_http(url) from error


def _not_http(url: str) -> FetchError:
    return FetchError(f"expected an http address, got {without_credentials(url)[:100]!r}")
