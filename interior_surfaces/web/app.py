"""The application of `interior-surfaces serve`: the page, `/v1/segment`, `/v1/recolor`, `/healthz`.

Nothing is kept: each request brings its photo, which is gone with the answer. Other sites' pages are refused by their
`Origin`, and by the host name that they use (against DNS rebinding).
"""

from __future__ import annotations

import asyncio
import base64
import io
import json
import threading
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Annotated, Any, TypeVar

from fastapi import Depends, FastAPI, File, Form, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.routing import Mount, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from interior_surfaces.recolor import NoSurfaceError, paint
from interior_surfaces.result import Result
from interior_surfaces.web.guard import Guard
from interior_surfaces.web.limits import BodyLimit, WebLimits, Workload, client_of
from interior_surfaces.web.request_log import RequestLog
from surfaces.classes import BY_NAME, CLASSES, SurfaceClass, parse_classes
from surfaces.detections import Image
from surfaces.drawing.recolour import parse_colour
from surfaces.errors import SurfacesError
from surfaces.images.encode import encode_jpeg
from surfaces.images.load import decode_image
from surfaces.io.http import fetch
from surfaces.messages import without_credentials
from surfaces.segmenting.pipeline import (
    Predictor,
    Segmented,
    cutout_files,
    describe,
    draw_jpeg,
    find_segments,
    mask_files,
)
from surfaces.serving.access import Access
from surfaces.serving.http_server import ERROR_HANDLERS, error_response
from surfaces.threads import call_in_thread
from surfaces.version import VERSION

SAVED = ("json", "overlay", "masks", "cutout")
_NAME_CHARACTERS_MAX = 200
_PIECE_BYTES = 1 << 16
_STATIC = {"page.js": "text/javascript", "masks.js": "text/javascript", "page.css": "text/css"}

R = TypeVar("R")
_Content = tuple[bytes, str]
"""What is answered, and its media type."""


def create_app(
    predictor: Predictor,
    access: Access | None = None,
    limits: WebLimits | None = None,
    mounts: Mapping[str, ASGIApp] | None = None,
    origins: Sequence[str] = (),
) -> ASGIApp:
    """The ASGI application.

    Args:
        predictor: the network; one photo at a time is given to it.
        access: who may use it.
        limits: what requests may cost.
        mounts: further applications by the path that they answer below, such as `/labelstudio`; they check access
            and limits themselves.
        origins: other sites whose pages may use `/v1`, such as `https://rooms.example.com`.
    """
    access, limits = access or Access(), limits or WebLimits()
    app = FastAPI(
        title="interior-surfaces",
        version=VERSION,
        description="Finds walls, floors and dining tables in photographs of interiors.",
        docs_url=None,  # its page loads scripts of another site
        redoc_url=None,
        exception_handlers=ERROR_HANDLERS | {RequestValidationError: _on_invalid_request},
    )
    endpoints = _Endpoints(predictor, limits)
    app.add_api_route("/", endpoints.page, response_class=HTMLResponse, include_in_schema=False)
    app.add_api_route("/static/{name}", _static, include_in_schema=False)
    for path, endpoint in (("/v1/segment", endpoints.segment), ("/v1/recolor", endpoints.recolor)):
        app.add_api_route(path, endpoint, methods=["POST"], response_class=Response, responses=_RESPONSES[path])
    app.add_api_route("/healthz", endpoints.healthz)
    app.add_middleware(BodyLimit, limits=limits)
    app.add_middleware(Guard, access=access, origins=origins)
    if origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=["POST"],
            allow_headers=["Authorization", "X-Request-ID"],
            expose_headers=["Retry-After", "X-Request-ID"],
        )
    routes = [Mount(path, other) for path, other in (mounts or {}).items()]
    return RequestLog(Router([*routes, Mount("/", app)], redirect_slashes=False))


_JSON_EXAMPLE = {
    "image": {"source": "room.jpg", "width": 640, "height": 427, "output": None},
    "model": {"name": "surfaces", "sha256": "…"},
    "segments": [
        {
            "class": "wall",
            "score": 0.97,
            "box_xyxy": [0.0, 12.0, 640.0, 300.0],
            "area_share": 0.41,
            "segmentation": {"size": [427, 640], "counts": "…"},
        }
    ],
}
_ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"description": words, "content": {"application/json": {"example": {"error": "one line"}}}}
    for status, words in {
        401: "the secret is missing or wrong",
        403: "another site's page sent the request",
        413: "the photo's file is too large",
        422: "the form is wrong, or the photo cannot be downloaded or used",
        429: "too many photos of this client are in progress",
        503: "too many photos are in progress",
    }.items()
}
_RESPONSES: dict[str, dict[int | str, dict[str, Any]]] = {
    "/v1/segment": {
        200: {
            "description": "the JSON of `segment.py --json`, masks as COCO's compressed RLE; or what `save` asked for",
            "content": {
                "application/json": {"example": _JSON_EXAMPLE},
                "image/jpeg": {},
                "application/zip": {},
            },
        },
        **_ERRORS,
    },
    "/v1/recolor": {200: {"description": "the photo", "content": {"image/jpeg": {}}}, **_ERRORS},
}

_File = Annotated[UploadFile | None, File(description="a photo's file; either this or `url`")]
_Url = Annotated[str | None, Form(description="a photo's http or https address")]
_Classes = Annotated[str, Form(description="what to return, separated by commas")]
_MinScore = Annotated[float, Form(ge=0, le=1, description="leave out segments below this score")]
_Alpha = Annotated[float, Form(ge=0, le=1, description="of `overlay`: opacity of the masks")]
_Save = Annotated[str, Form(pattern=f"^({'|'.join(SAVED)})$", description=f"one of {', '.join(SAVED)}")]
_Photo = Annotated[bool, Form(description="of `json`: also the photo, as a data URL in `image.data`")]
_Surfaces = Annotated[list[str], Form(description="what to paint; repeat it for several")]
_Colors = Annotated[list[str], Form(description="a colour for each surface: `#8fa3ad`, or a name of CSS")]

_ALL_CLASSES = ",".join(BY_NAME)


@dataclass(frozen=True, eq=False)
class _Source:
    """The photo that a form names, and the address of the client."""

    file: UploadFile | None
    url: str | None
    client: str


def _source(request: Request, file: _File = None, url: _Url = None) -> _Source:
    if (file is None) == (not url):
        raise HTTPException(422, "expected a file or a url, one of them")
    return _Source(file, url, client_of(request.scope))


_Asked = Annotated[_Source, Depends(_source)]


class _Endpoints:
    def __init__(self, predictor: Predictor, limits: WebLimits) -> None:
        self._predictor, self._limits = predictor, limits
        self._workload = Workload(limits)
        self._processing = asyncio.Semaphore(limits.at_once)
        self._downloads = asyncio.Semaphore(limits.uploads_max)
        self._network = threading.Lock()
        self._page = _render_page(limits)

    async def page(self) -> HTMLResponse:
        return HTMLResponse(self._page)

    async def healthz(self) -> dict[str, Any]:
        """Whether the server runs, which network it has, and how many photos are in progress."""
        model = {"name": self._predictor.name, "sha256": self._predictor.sha256}
        return {"status": "ok", "version": VERSION, "model": model, "photos_in_progress": self._workload.photos}

    async def segment(
        self,
        source: _Asked,
        classes: _Classes = _ALL_CLASSES,
        min_score: _MinScore = 0.0,
        alpha: _Alpha = 0.4,
        save: _Save = "json",
        photo: _Photo = False,
    ) -> Response:
        """Finds walls, floors and dining tables in a photo.

        The answer is the JSON of `segment.py --json`, or with `save` the picture (`overlay`, a JPEG file) or a ZIP
        file of a PNG file a segment (`masks`, `cutout`).
        """
        chosen = _read(parse_classes, classes)

        def answer(image: Image, name: str) -> _Content:
            segmented = self._find(image, chosen, min_score)
            if save == "overlay":
                return draw_jpeg(segmented, alpha), "image/jpeg"
            if save == "masks":
                return _zipped(mask_files(segmented.detections)), "application/zip"
            if save == "cutout":
                return _zipped(cutout_files(segmented)), "application/zip"
            height, width = image.shape[:2]
            document = describe(name, None, (height, width), segmented.detections, self._predictor)
            if photo:
                data = base64.b64encode(encode_jpeg(image)).decode()
                document["image"]["data"] = f"data:image/jpeg;base64,{data}"
            return json.dumps(document, ensure_ascii=False).encode(), "application/json"

        return await self._answered(source, answer)

    async def recolor(self, source: _Asked, surface: _Surfaces, color: _Colors, min_score: _MinScore = 0.0) -> Response:
        """Paints surfaces of a photo in other colours; shading, texture and edges stay. The answer is a JPEG file."""
        if len(surface) != len(color):
            raise HTTPException(422, f"expected a color for each surface, got {len(color)} for {len(surface)}")
        named = [found.name for name in surface for found in _read(parse_classes, name)]
        if len(set(named)) < len(named) or len(named) != len(color):
            raise HTTPException(422, "expected one surface in each field, and each once")
        paints = list(zip(named, [_read(parse_colour, text) for text in color], strict=True))

        def answer(image: Image, _: str) -> _Content:
            found = self._find(image, CLASSES, min_score)
            try:
                return encode_jpeg(paint(Result(image, tuple(found.detections)), paints)), "image/jpeg"
            except NoSurfaceError as error:
                raise HTTPException(422, str(error)) from error

        return await self._answered(source, answer)

    async def _answered(self, source: _Source, answer: Callable[[Image, str], _Content]) -> Response:
        """The answer about a photo and its name, once it is its turn; the photo is in progress until it is read."""
        release = self._workload.admit(source.client)
        try:
            if source.file is not None:
                name = (source.file.filename or "")[:_NAME_CHARACTERS_MAX]
                body, kind = await self._processed(await source.file.read(), name, answer)
            else:
                url = source.url or ""
                async with self._downloads:  # until it is processed, since a download that waits takes memory too
                    content = await _in_thread(lambda: fetch(url, self._limits.fetching))
                    body, kind = await self._processed(content, without_credentials(url), answer)
        except BaseException:
            release()
            raise
        return _Answer(body, kind, release)

    async def _processed(self, content: bytes, name: str, answer: Callable[[Image, str], _Content]) -> _Content:
        async with self._processing:
            return await _in_thread(lambda: answer(decode_image(io.BytesIO(content), self._limits.images), name))

    def _find(self, image: Image, classes: tuple[SurfaceClass, ...], min_score: float) -> Segmented:
        with self._network:
            return find_segments(image, self._predictor, classes, min_score)


class _Answer(Response):
    """Sent in pieces, so that the server waits for slow readers; calls `release` at the end."""

    def __init__(self, body: bytes, media_type: str, release: Callable[[], None]) -> None:
        super().__init__(body, media_type=media_type)
        self._release = release

    async def __call__(self, _: Scope, __: Receive, send: Send) -> None:
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            for start in range(0, len(self.body), _PIECE_BYTES):
                piece = bytes(self.body[start : start + _PIECE_BYTES])
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            self._release()


def _read(parse: Callable[[str], R], text: str) -> R:
    """A field's value; HTTPException 422 where it has none."""
    try:
        return parse(text)
    except SurfacesError as error:
        raise HTTPException(422, str(error)) from error


def _zipped(contents: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:  # PNG is compressed already
        for name, content in contents.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return buffer.getvalue()


async def _in_thread(work: Callable[[], R]) -> R:
    return await asyncio.wrap_future(call_in_thread(work))


async def _static(name: str) -> Response:
    if name not in _STATIC:
        raise HTTPException(404)
    return Response(files(__package__).joinpath("static", name).read_bytes(), media_type=_STATIC[name])


def _render_page(limits: WebLimits) -> str:
    environment = Environment(
        loader=PackageLoader(__package__),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html").render(classes=CLASSES, version=VERSION, bytes_max=limits.bytes_max)


async def _on_invalid_request(_: Request, error: RequestValidationError) -> JSONResponse:
    faults = [f"{'.'.join(map(str, fault['loc'][1:]))}: {fault['msg']}" for fault in error.errors()]
    return error_response(422, "; ".join(faults))
