"""`python -m autolabel merge DATASET … --out DATASET`: the labels of several machines in one dataset."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from surfaces.dataset.store import LabelStore


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    parser.add_argument(
        "datasets", nargs="+", type=Path, metavar="DATASET", help="folders that `run` wrote with the same settings"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DATASET", help="folder that takes them over")


def run(args: argparse.Namespace) -> int:
    """Runs the command; returns its exit code."""
    for folder in args.datasets:
        LabelStore.open(folder).close()  # before anything is written
    with LabelStore.create(args.out) as store:
        for folder in args.datasets:
            print(f"{folder}: {store.merge(folder)} photos taken over", file=sys.stderr)
    print(args.out)
    return 0
