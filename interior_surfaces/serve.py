"""`interior-surfaces serve`: a page in the browser and an HTTP interface."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from models import Segmenter
from surfaces.cli.arguments import add_version, given, local_path, megabytes, megapixels, positive
from surfaces.cli.commands import escaped_terminal, exit_code_of, missing_package_reported
from surfaces.images.load import ImageLimits
from surfaces.io.http import FetchLimits

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from surfaces.serving.access import Access

SECRET = "INTERIOR_SURFACES_SECRET"
"""The environment's variable that has the secret."""
_FETCH_S = 20.0
_RESPONSE_S = 120.0
_CONNECTIONS_MAX = 256

_EPILOG = f"""\
examples:
  interior-surfaces serve
  {SECRET}=correct-horse-battery interior-surfaces serve --host 0.0.0.0 --allowed-host gpu.example.com
  curl -F file=@room.jpg http://127.0.0.1:8000/v1/segment

The page is for one machine or a team; it keeps no photo. /openapi.json describes the interface. It ends on SIGINT.
"""


@escaped_terminal()
def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command with these arguments, or the process's own, until SIGINT or SIGTERM; returns the exit code."""

    def run() -> int:
        with missing_package_reported("interior-surfaces serve", "web"):
            return _run(_parser().parse_args(arguments))

    return exit_code_of("serve", run)


def _run(options: argparse.Namespace) -> int:
    from interior_surfaces.web.app import create_app
    from interior_surfaces.web.limits import WebLimits
    from surfaces.serving.access import access_for, stop_signals, url_of, wait_until
    from surfaces.serving.http_server import ConnectionLimits, HttpServer

    access = access_for(options.host, options.allowed_host, SECRET)
    limits = WebLimits(
        **given(bytes_max=options.max_megabytes, photos_max=options.queue),
        images=ImageLimits(**given(pixels_max=options.max_megapixels, bytes_max=options.max_megabytes)),
        fetching=FetchLimits.within(_FETCH_S, options.allow_private, options.max_megabytes),
    )
    segmenter = Segmenter(options.weights, options.threads, options.accurate)
    mounts = (
        {"/labelstudio": _label_studio_backend(segmenter, access, options.allow_private)} if options.labelstudio else {}
    )
    # Label Studio waits for the predictions of many tasks.
    response_s = ConnectionLimits.response_s if mounts else _RESPONSE_S
    connections = ConnectionLimits(response_s=response_s, connections_max=_CONNECTIONS_MAX)
    app = create_app(segmenter, access, limits, mounts, options.allowed_origin)
    with (
        stop_signals() as stopped,
        HttpServer(options.host, options.port, app, connections) as server,
    ):
        print(url_of(options.host, server.port), flush=True)
        wait_until(stopped)
    return 0


def _label_studio_backend(segmenter: Segmenter, access: Access, allow_private: bool) -> ASGIApp:
    with missing_package_reported("interior-surfaces serve --labelstudio", "labelstudio"):
        from labelstudio.backend.model import InteractiveModel
        from labelstudio.backend.segmenters import StudentSegmenter
        from labelstudio.backend.server import ServerLimits, create_application
        from labelstudio.backend.task_photos import TaskPhotos
    model = InteractiveModel(StudentSegmenter(segmenter), TaskPhotos(None, allow_private))
    return create_application(model, access, ServerLimits())


def _parser() -> argparse.ArgumentParser:
    from surfaces.serving.access import add_listen_arguments

    parser = argparse.ArgumentParser(
        prog="interior-surfaces serve",
        description="Serves a page that segments and recolours photos, and an HTTP interface for programs.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_listen_arguments(parser, 8000, SECRET)
    add = parser.add_argument
    add("--weights", type=local_path, metavar="FILE", help="network to use (default: the one that ships)")
    add("--accurate", action="store_true", help="as of segment.py: average with the mirror image")
    add("--threads", type=positive, metavar="N", help="CPU threads of the network (default: one per core)")
    add("--max-megabytes", type=megabytes, metavar="MB", help="largest upload and download (default: 50)")
    add("--max-megapixels", type=megapixels, metavar="MP", help="largest photo, up to 178 (default: 50)")
    add("--queue", type=positive, metavar="N", help="photos in progress, beyond which clients get a 503 (default: 32)")
    add(
        "--allowed-origin",
        action="append",
        default=[],
        type=_origin,
        metavar="ORIGIN",
        help="another site whose pages may use /v1 (CORS), such as https://rooms.example.com",
    )
    add("--allow-private", action="store_true", help="also addresses of this machine and of private networks")
    add("--labelstudio", action="store_true", help="also answer Label Studio as its ML backend, at /labelstudio")
    add_version(parser)
    return parser


def _origin(text: str) -> str:
    parts = urlsplit(text)
    default_port = parts.netloc.endswith({"http": ":80", "https": ":443"}.get(parts.scheme, "@"))
    plain = text == f"{parts.scheme}://{parts.netloc}".lower() and bool(parts.hostname) and "@" not in text
    if parts.scheme not in ("http", "https") or not plain or default_port:
        raise argparse.ArgumentTypeError(f"expected an origin such as https://rooms.example.com, got {text!r}")
    return text
