"""`python -m labelstudio backend`: proposes masks in the browser, where a person clicks or draws a box.

A click (KeyPointLabels, Alt for "not this") or a box (RectangleLabels) becomes a brush region of the same label. With
`--sam` SAM draws it, else our own network. Asked without clicks, as Label Studio does to pre-annotate tasks on demand,
it answers with all that our network finds.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from label_studio_sdk import LabelStudio
from label_studio_sdk.core.api_error import ApiError

from labelstudio.backend.model import InteractiveModel
from labelstudio.backend.segmenters import Proposer, StudentProposer
from labelstudio.backend.server import LOOPBACK_HOSTS, USER, Access, MlServer, tell
from labelstudio.backend.task_photos import TaskPhotos
from labelstudio.errors import AccessError, ProjectError, ServerUnavailableError, TokenError
from labelstudio.project.labeling_config import Project, add_project_argument, find_project
from labelstudio.server.connection import Server, add_server_arguments, connect, server_errors
from models.inference.segmenter import Segmenter
from surfaces.cli.arguments import local_path
from surfaces.cli.commands import missing_package_reported
from surfaces.messages import brief

TITLE = "interior-surfaces"
"""Of the backend's entry in a project; there is one."""

_SAM_SIZES = ("vit_b", "vit_l", "vit_h")
_BLOCKED = "reserved network address"
_EVERYWHERE = ("0.0.0.0", "::", "")
_SECRET = "INTERIOR_SURFACES_ML_SECRET"
_SECRET_MIN = 12


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help=f"the address to listen on (%(default)s); others than this machine's own need a secret, in {_SECRET}",
    )
    parser.add_argument("--port", type=int, default=9090, help="0 takes a free one (%(default)s)")
    parser.add_argument(
        "--address", metavar="URL", help="where Label Studio reaches this; needed where it runs elsewhere"
    )
    parser.add_argument(
        "--allowed-host",
        action="append",
        type=_host_name,
        default=[],
        metavar="NAME",
        help="a further name under which requests may reach this, beside those of --host, --address and this machine",
    )
    parser.add_argument("--sam", type=local_path, metavar="CHECKPOINT", help="official weights of SAM")
    parser.add_argument("--sam-size", choices=_SAM_SIZES, default="vit_b", help="whose they are (%(default)s)")
    parser.add_argument("--device", help="where SAM computes, as torch names it; a GPU where there is one")
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads of our network; one a core if not given")
    parser.add_argument(
        "--allow-private",
        action="store_true",
        help="also photos at addresses of this machine and of private networks; the Label Studio itself needs no leave",
    )
    parser.add_argument(
        "--connect",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="enter this backend in the project, or don't; if neither is given, it is done where it can be",
    )
    add_project_argument(parser)
    add_server_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Runs the command until SIGINT or SIGTERM; returns its exit code."""
    access = _access(args)
    server = _server(args)
    model = InteractiveModel(open_proposer(args), TaskPhotos(server, args.allow_private))
    with _stop_signals() as stopped, MlServer(args.host, args.port, model, access) as backend:
        host = "127.0.0.1" if args.host in _EVERYWHERE else _bracketed(args.host)
        address = args.address or f"http://{host}:{backend.port}"
        if server and args.connect is not False:
            _enter(args, server, address, access.secret)
        print(address, flush=True)
        stopped.wait()
    return 0


def open_proposer(args: argparse.Namespace) -> Proposer:
    """What proposes: SAM where `args.sam` names its weights, else the student.

    Raises:
        WeightsError: they are missing or are other ones.
        MissingExtraError: SAM needs a package that is not installed.
        DeviceError: `args.device` is not there.
    """
    if args.sam is None:
        return StudentProposer(Segmenter(threads=args.threads))
    with missing_package_reported("backend --sam", "autolabel"):
        from labelstudio.backend.sam import SamProposer  # brings torch
        from models.teachers.sam.segmenter import Sam

        sam = Sam.load(args.sam_size, args.sam, args.device)
    return SamProposer(sam, StudentProposer(Segmenter(threads=args.threads)))


def enter_backend(server: Server, project: Project, address: str, secret: str | None = None) -> None:
    """Enters a running backend in a project, as the one that answers clicks; changes nothing where it is entered.

    An entry of ours with another address is moved. Label Studio then also has tasks open with the predictions of the
    backend (there are none) where no model version was chosen, and reports every change of the project to it; both is
    undone.

    Args:
        server: the Label Studio.
        project: one of its projects.
        address: where it reaches the backend.
        secret: the backend's, which Label Studio then sends; None where it has none.

    Raises:
        ProjectError: the server refuses that address, or does not reach it.
        TokenError: the token's owner may not change the project.
        ServerAwayError: the server does not answer.
    """
    client = server.client
    wanted = {"project": project.id, "url": address, "title": TITLE, "is_interactive": True} | _credentials(secret)
    with server_errors():
        entries = client.ml.list(project=project.id)
        known = next((entry for entry in entries if entry.title == TITLE or entry.url == address), None)
        with _blocked_addresses_told(address):
            if known is None:
                _create(client, wanted)
            elif secret or (known.url, known.title, known.is_interactive, known.basic_auth_user or "") != (
                *(address, TITLE, True),
                "",
            ):
                client.ml.update(known.id, **wanted)
        if client.projects.get(project.id).model_version == TITLE:
            client.projects.update(project.id, model_version=project.model_version)
        for webhook in client.webhooks.list(project=project.id):
            if webhook.url == f"{address.rstrip('/')}/webhook":
                client.webhooks.delete(webhook.id)


def _access(args: argparse.Namespace) -> Access:
    """Who is answered.

    Raises:
        AccessError: others than this machine reach the backend and there is no secret, or it is none.
    """
    secret = os.environ.get(_SECRET) or None
    if secret is None and not _is_loopback(args.host):
        raise AccessError(f"expected a secret in {_SECRET}, since others can reach {args.host or 'this'}, got none")
    if secret is not None and not (len(secret) >= _SECRET_MIN and secret.isascii() and secret.isprintable()):
        raise AccessError(f"expected {_SECRET} to have at least {_SECRET_MIN} printable ASCII characters, it has not")
    own = () if args.host in _EVERYWHERE else (_bracketed(args.host),)
    return Access((*LOOPBACK_HOSTS, *own, *_reached(args.address), *args.allowed_host), secret)


def _reached(address: str | None) -> tuple[str, ...]:
    """The host of the address where Label Studio reaches the backend, if one was given."""
    try:
        host = urlsplit(address or "").hostname
    except ValueError:
        host = None
    if address and not host:
        raise AccessError(f"expected --address such as http://gpu.example.com:9090, got {brief(address)}")
    return (_bracketed(host),) if host else ()


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _host_name(text: str) -> str:
    """A host name or IP address as a Host header has it, without its port."""
    if re.fullmatch(r"[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]", text) is None:
        raise argparse.ArgumentTypeError(f"expected a host name without port, such as gpu.example.com, got {text!r}")
    return text


def _credentials(secret: str | None) -> dict[str, Any]:
    """What Label Studio is to send: HTTP basic authentication, or nothing."""
    if secret is None:
        return {"auth_method": "NONE", "basic_auth_user": ""}
    return {"auth_method": "BASIC_AUTH", "basic_auth_user": USER, "basic_auth_pass": secret}


def _server(args: argparse.Namespace) -> Server | None:
    """The Label Studio whose photos these are; None, and a line that says why, where it is not needed."""
    try:
        return connect(args)
    except (ServerUnavailableError, TokenError) as error:
        if args.connect:
            raise
        tell(f"{error}; photos on the web are read nevertheless")
        return None


def _enter(args: argparse.Namespace, server: Server, address: str, secret: str | None) -> None:
    try:
        project = find_project(server, args.project)
        enter_backend(server, project, address, secret)
    except (ProjectError, TokenError) as error:
        if args.connect:
            raise
        tell(f"not entered in a project: {error}")
        return
    print(f"clicks and boxes are answered in {project.title!r}, {project.url}", file=sys.stderr)


def _create(client: LabelStudio, wanted: dict[str, Any]) -> None:
    try:
        client.ml.create(**wanted)
    except ApiError:
        # Label Studio 1.23 has saved the entry when it finds that its webhook, to the same address, is blocked.
        if not any(entry.url == wanted["url"] for entry in client.ml.list(project=wanted["project"])):
            raise


@contextmanager
def _blocked_addresses_told(address: str) -> Iterator[None]:
    """Says what Label Studio's refusal of addresses of its own network means; it has the status of a wrong token."""
    try:
        yield
    except ApiError as error:
        if _BLOCKED not in str(error.body):
            raise
        raise ProjectError(
            f"Label Studio takes no backend at {address}, an address of its own network; start it with"
            " ML_BLOCK_LOCAL_IP=false in its environment"
        ) from error


@contextmanager
def _stop_signals() -> Iterator[threading.Event]:
    """An event that is set when somebody wants the process to end."""
    stopped = threading.Event()
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda *_: stopped.set()) for number in numbers}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
