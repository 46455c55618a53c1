"""`python -m labelstudio init`: creates the project, or updates it; annotations stay."""

from __future__ import annotations

import argparse

from labelstudio.project.labeling_config import add_project_argument, create_project, update_project
from labelstudio.server.connection import add_server_arguments, connect
from surfaces.cli.arguments import positive


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    add_project_argument(parser)
    parser.add_argument("--annotators", type=positive, metavar="N", help="how many people review each photo (1)")
    add_server_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Runs the command; returns its exit code."""
    server = connect(args)
    updated = update_project(server, args.project, args.annotators)
    if updated is None:
        project, news = create_project(server, args.project, args.annotators or 1), "created"
    else:
        project, changed = updated
        news = f"updated: {', '.join(changed)}" if changed else "up to date"
    print(project.url)
    print(f"project {project.title!r} {news}")
    return 0
