"""What clients may ask of the server: bytes of a request, photos in progress."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from surfaces.images.load import ImageLimits
from surfaces.io.http import FetchLimits
from surfaces.serving.http_server import error_response

_FIELDS_BYTES = 1 << 16
"""What a form may have besides its photo."""


@dataclass(frozen=True)
class WebLimits:
    """What requests may cost.

    Attributes:
        bytes_max: of an uploaded photo.
        uploads_max: so many times `bytes_max` may be in memory and on disk for all uploads together, half of it for
            those of one address; as many downloads run at once.
        photos_max: photos in progress, those that wait included.
        client_photos_max: photos in progress of one address.
        at_once: photos that are decoded and segmented at once.
    """

    bytes_max: int = 50_000_000
    uploads_max: int = 4
    photos_max: int = 32
    client_photos_max: int = 8
    at_once: int = 2
    images: ImageLimits = field(default_factory=ImageLimits)
    fetching: FetchLimits = field(default_factory=lambda: FetchLimits.within(20.0))


class BodyLimit:
    """ASGI middleware that ends requests with too large a body (413), or while too many others send theirs (503).

    It counts the bytes of requests in progress, those of one address (429) too.
    """

    def __init__(self, app: ASGIApp, limits: WebLimits) -> None:
        self._app = app
        self._bytes_max = limits.bytes_max + _FIELDS_BYTES
        self._total_max = limits.uploads_max * self._bytes_max
        self._client_max = self._total_max // 2
        self._by_client: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if not length.isdigit() or int(length[:18]) > self._bytes_max:
            await error_response(413, self._too_large())(scope, receive, send)
            return
        received, client = 0, client_of(scope)

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            size = len(message.get("body", b""))
            received += size
            self._by_client[client] += size
            if received > self._bytes_max:
                raise HTTPException(413, self._too_large(), {"Connection": "close"})
            if self._by_client.total() > self._total_max:
                raise busy("other uploads")
            if self._by_client[client] > self._client_max:
                raise too_many("bytes of uploads")
            return message

        try:
            await self._app(scope, counted, send)
        finally:
            self._by_client[client] -= received
            if not self._by_client[client]:
                del self._by_client[client]

    def _too_large(self) -> str:
        return f"expected at most {self._bytes_max - _FIELDS_BYTES} bytes in a photo, got more"


class Workload:
    """Counts photos in progress, by the address of their client."""

    def __init__(self, limits: WebLimits) -> None:
        self._limits = limits
        self._by_client: Counter[str] = Counter()

    @property
    def photos(self) -> int:
        """Photos in progress."""
        return self._by_client.total()

    def admit(self, client: str) -> Callable[[], None]:
        """Counts a photo until the returned function is called.

        Raises HTTPException: 429 where the client has too many photos in progress, 503 where all together have.
        """
        if self.photos >= self._limits.photos_max:
            raise busy("other photos")
        if self._by_client[client] >= self._limits.client_photos_max:
            raise too_many("photos")
        self._by_client[client] += 1

        def release() -> None:
            self._by_client[client] -= 1
            if not self._by_client[client]:
                del self._by_client[client]

        return release


def client_of(scope: Scope) -> str:
    """The address of a request's client; empty where it is not known."""
    return str((scope.get("client") or ("",))[0])


def too_many(what: str) -> HTTPException:
    """The 429 of a client that asks for too much at once."""
    return HTTPException(
        429, f"too many {what} of this address at once; wait for those in progress", {"Retry-After": "1"}
    )


def busy(what: str) -> HTTPException:
    """The 503 of a server that is busy with something."""
    return HTTPException(503, f"busy with {what}; try again later", {"Retry-After": "2"})
