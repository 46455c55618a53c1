"""`python -m labelstudio up`: starts a Label Studio that listens on this machine's loopback interface only."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from labelstudio.errors import ServerUnavailableError
from labelstudio.server.installation import find_executable
from labelstudio.server.local_server import DEFAULT_PORT, LocalServer, Running, add_home_argument, check_supported
from surfaces.cli.arguments import local_path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    add_home_argument(parser)
    parser.add_argument("--port", type=_port, metavar="PORT", help=f"0 chooses a free one ({DEFAULT_PORT})")
    parser.add_argument(
        "--photos",
        type=local_path,
        metavar="DIR",
        help="photos in here need no upload; the server sees links to pushed photos only",
    )
    parser.add_argument(
        "--label-studio",
        type=local_path,
        metavar="PATH",
        help="the program label-studio of an existing installation, also LABEL_STUDIO_EXECUTABLE; else pip installs it",
    )


def run(args: argparse.Namespace) -> int:
    """Runs the command; returns its exit code."""
    check_supported()
    photos = args.photos and args.photos.expanduser().resolve()
    if photos and not photos.is_dir():
        raise ServerUnavailableError(f"expected a folder of photos at {args.photos}, found none")
    server = LocalServer(args.home)
    running = server.running()
    if running:
        _check_same(running, args.port, photos)
        print(f"Label Studio runs already, process {running.pid}", file=sys.stderr)
        running = server.wait()
    else:
        executable = find_executable(args.label_studio, server.home)
        print("starting Label Studio; the first start takes a minute", file=sys.stderr)
        running = server.start(executable, DEFAULT_PORT if args.port is None else args.port, photos)
    print(running.url)
    print(f"user name  {server.account().username}")
    print(f"password   in {server.account_path}")
    print(f"photos     {running.photos}")
    return 0


def _check_same(running: Running, port: int | None, photos: Path | None) -> None:
    other_port = port and not running.url.endswith(f":{port}")
    other_photos = photos and str(photos) != running.photos
    if other_port or other_photos:
        raise ServerUnavailableError(
            f"Label Studio runs already, at {running.url} with the photos of {running.photos}; "
            "for others stop it first: `python -m labelstudio down`"
        )


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) >= 1 << 16:
        raise argparse.ArgumentTypeError(f"expected a port from 0 to 65535, got {text}")
    return int(text)
