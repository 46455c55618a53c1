"""`python -m labelstudio down`: stops the Label Studio that `up` started; its data stays."""

from __future__ import annotations

import argparse

from labelstudio.server.local_server import LocalServer, add_home_argument


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    add_home_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Runs the command; returns its exit code."""
    server = LocalServer(args.home)
    print("stopped" if server.stop() else f"no Label Studio of {server.home} runs")
    return 0
