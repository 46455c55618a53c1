"""`python -m labelstudio backend`: answers clicks and boxes in the browser with masks.

A click (KeyPointLabels, Alt for "not this") or a box (RectangleLabels) becomes a brush region of the same label, drawn
by SAM with `--sam`, else by our own network. A request without clicks, by which Label Studio pre-annotates tasks on
demand, is answered with all segments that our network finds.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from label_studio_sdk import LabelStudio
from label_studio_sdk.core.api_error import ApiError

from labelstudio.backend.model import InteractiveModel
from labelstudio.backend.segmenters import InteractiveSegmenter, StudentSegmenter
from labelstudio.backend.server import MlServer, report
from labelstudio.backend.task_photos import TaskPhotos
from labelstudio.errors import ProjectError, ServerUnavailableError, TokenError
from labelstudio.project.labeling_config import Project, add_project_argument, find_project
from labelstudio.server.connection import Server, add_server_arguments, connect, server_errors
from models.inference.segmenter import Segmenter
from surfaces.cli.arguments import local_path
from surfaces.cli.commands import missing_package_reported
from surfaces.errors import AccessError
from surfaces.messages import brief
from surfaces.serving.access import USER, access_for, add_listen_arguments, bracket, stop_signals, url_of, wait_until

TITLE = "interior-surfaces"
"""Of the backend's entry in a project; there is one."""

_SAM_SIZES = ("vit_b", "vit_l", "vit_h")
_BLOCKED = "reserved network address"
_SECRET = "INTERIOR_SURFACES_ML_SECRET"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    add_listen_arguments(parser, 9090, _SECRET)
    parser.add_argument(
        "--address", metavar="URL", help="address by which Label Studio reaches this, if it runs on another machine"
    )
    parser.add_argument("--sam", type=local_path, metavar="CHECKPOINT", help="official weights of SAM")
    parser.add_argument("--sam-size", choices=_SAM_SIZES, default="vit_b", help="size of that network (%(default)s)")
    parser.add_argument("--device", help="of SAM, as torch names it; by default a GPU if there is one")
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads of our network; by default one per core")
    parser.add_argument(
        "--allow-private",
        action="store_true",
        help="also fetch photos from this machine and private networks; the Label Studio itself is always allowed",
    )
    parser.add_argument(
        "--connect",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="register this backend in the project, or not; by default if possible",
    )
    add_project_argument(parser)
    add_server_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Runs the command until SIGINT or SIGTERM; returns its exit code."""
    access = access_for(args.host, [*_hosts_of(args.address), *args.allowed_host], _SECRET)
    server = _connect(args)
    model = InteractiveModel(open_segmenter(args), TaskPhotos(server, args.allow_private))
    with stop_signals() as stopped, MlServer(args.host, args.port, model, access) as backend:
        url = args.address or url_of(args.host, backend.port)
        if server and args.connect is not False:
            _register(args, server, url, access.secret)
        print(url, flush=True)
        wait_until(stopped)
    return 0


def open_segmenter(args: argparse.Namespace) -> InteractiveSegmenter:
    """SAM if `args.sam` names its weights, else the student."""
    if args.sam is None:
        return StudentSegmenter(Segmenter(threads=args.threads))
    with missing_package_reported("backend --sam", "autolabel"):
        from labelstudio.backend.sam import SamSegmenter  # imports torch
        from models.teachers.sam.segmenter import Sam

        sam = Sam.load(args.sam_size, args.sam, args.device)
    return SamSegmenter(sam, StudentSegmenter(Segmenter(threads=args.threads)))


def register_backend(server: Server, project: Project, url: str, secret: str | None = None) -> None:
    """Registers a running backend, at the URL by which Label Studio reaches it, in a project for clicks and boxes.

    Changes nothing if it is registered already; an entry of ours with another URL is updated. Label Studio also makes
    the backend's model version the shown one if none was chosen, and adds a webhook for all changes of the project;
    both are undone.
    """
    client = server.client
    wanted: dict[str, Any] = {"project": project.id, "url": url, "title": TITLE, "is_interactive": True}
    if secret is None:
        wanted |= {"auth_method": "NONE", "basic_auth_user": ""}
    else:
        wanted |= {"auth_method": "BASIC_AUTH", "basic_auth_user": USER, "basic_auth_pass": secret}
    with server_errors():
        entries = client.ml.list(project=project.id)
        known = next((entry for entry in entries if entry.title == TITLE or entry.url == url), None)
        with _blocked_address_reported(url):
            if known is None:
                _create(client, wanted)
            else:
                current = (known.url, known.title, known.is_interactive, known.basic_auth_user or "")
                if secret or current != (url, TITLE, True, ""):
                    client.ml.update(known.id, **wanted)
        if client.projects.get(project.id).model_version == TITLE:
            client.projects.update(project.id, model_version=project.model_version)
        for webhook in client.webhooks.list(project=project.id):
            if webhook.url == f"{url.rstrip('/')}/webhook":
                client.webhooks.delete(webhook.id)


def _hosts_of(address: str | None) -> tuple[str, ...]:
    try:
        host = urlsplit(address or "").hostname
    except ValueError:
        host = None
    if address and not host:
        raise AccessError(f"expected --address such as http://gpu.example.com:9090, got {brief(address)}")
    return (bracket(host),) if host else ()


def _connect(args: argparse.Namespace) -> Server | None:
    try:
        return connect(args)
    except (ServerUnavailableError, TokenError) as error:
        if args.connect:
            raise
        report(f"{error}; photos on the web are read nevertheless")
        return None


def _register(args: argparse.Namespace, server: Server, url: str, secret: str | None) -> None:
    try:
        project = find_project(server, args.project)
        register_backend(server, project, url, secret)
    except (ProjectError, TokenError) as error:
        if args.connect:
            raise
        report(f"not registered in a project: {error}")
        return
    print(f"clicks and boxes are answered in {project.title!r}, {project.url}", file=sys.stderr)


def _create(client: LabelStudio, wanted: dict[str, Any]) -> None:
    try:
        client.ml.create(**wanted)
    except ApiError:
        # Label Studio 1.23 saves the entry before it finds that its webhook, of the same address, is blocked.
        if not any(entry.url == wanted["url"] for entry in client.ml.list(project=wanted["project"])):
            raise


@contextmanager
def _blocked_address_reported(url: str) -> Iterator[None]:
    """Explains why Label Studio rejects addresses of its own network, with the status of a wrong token."""
    try:
        yield
    except ApiError as error:
        if _BLOCKED not in str(error.body):
            raise
        raise ProjectError(
            f"Label Studio takes no backend at {url}, an address of its own network; start it with"
            " ML_BLOCK_LOCAL_IP=false in its environment"
        ) from error
