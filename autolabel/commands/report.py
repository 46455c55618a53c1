"""`python -m autolabel report DATASET`: a page that shows what was labelled, how sure, and what was not."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from autolabel.report.sections import report_values
from surfaces.cli.arguments import local_path, positive
from surfaces.datasets.folders import new_folder, require_outside
from surfaces.drawing.web_page import PAGE_NAME, render_page
from surfaces.store.label_store import LabelStore


def write_report(store: LabelStore, folder: Path, title: str, photos: int = 24) -> Path:
    """Writes a page that needs nothing but its folder, which appears whole or not at all.

    Args:
        store: what is shown; one photo at a time is read.
        folder: where to; it must not exist yet.
        title: of the page.
        photos: how many a gallery shows at the most.

    Returns:
        The page's path.

    Raises:
        OutputError: it cannot be written.
    """
    with new_folder(folder) as partial:
        values = report_values(store, partial, photos)
        page = render_page("autolabel/report.html", title, ["autolabel/report.css"], **values)
        (partial / PAGE_NAME).write_text(page, encoding="utf-8")
    return folder / PAGE_NAME


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    parser.add_argument(
        "dataset", type=local_path, metavar="DATASET", help="the folder that `autolabel run` labels into"
    )
    parser.add_argument("--out", type=local_path, required=True, help="a new folder")
    parser.add_argument("--photos", type=positive, default=24, help="most photos in a gallery (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    """Runs the command; returns its exit code."""
    require_outside(args.out, [args.dataset])
    with LabelStore.open(args.dataset) as store:
        page = write_report(store, args.out, f"Labels of {args.dataset.resolve().name}", args.photos)
    print(page)
    print("open it in a browser", file=sys.stderr)
    return 0
