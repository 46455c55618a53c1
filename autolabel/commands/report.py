"""`python -m autolabel report DATASET`: a web page that shows labels, their quality and the skipped photos."""

from __future__ import annotations

import argparse
import sys

from autolabel.report.page import write_report
from surfaces.cli.arguments import local_path, positive
from surfaces.io.atomic_files import require_outside
from surfaces.store.label_store import LabelStore


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    add = parser.add_argument
    add("dataset", type=local_path, metavar="DATASET", help="the folder that `autolabel run` labels into")
    add("--out", type=local_path, required=True, help="a new folder")
    add("--photos", type=positive, default=24, help="most photos in a gallery (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    """Runs the command; returns its exit code."""
    require_outside(args.out, [args.dataset])
    with LabelStore.open(args.dataset) as store:
        page = write_report(store, args.out, f"Labels of {args.dataset.resolve().name}", args.photos)
    print(page)
    print("open it in a browser", file=sys.stderr)
    return 0
