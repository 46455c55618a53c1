"""`python -m distill data stats DATA…`."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from distill.datasets import add_reading_arguments, open_datasets, read_options
from surfaces.cli.arguments import local_path

SUMMARY = "count the labels, splits, rooms, sources and licences of datasets"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this action's arguments."""
    parser.add_argument("data", nargs="+", type=local_path, metavar="DATA", help="datasets")
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_reading_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Prints the counts of each dataset."""
    from distill.curation.statistics import count_samples
    from surfaces.datasets.description import licences_of

    found = {}
    for path in dict.fromkeys(args.data):
        statistics = count_samples(open_datasets([path], options=read_options(args)))
        licences = licences_of(path)
        found[str(path)] = asdict(statistics) | {"licences": [asdict(licence) for licence in licences]}
        if not args.json:
            lines = [f"licence: {licence}" for licence in licences]
            print("\n".join([f"{path}:", statistics.table(), *lines]))
    if args.json:
        print(json.dumps(found, indent=1))
    return 0
