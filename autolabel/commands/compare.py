"""`python -m autolabel compare DATASET --truth DATA`: measures labels against people's labels of the same photos."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict

from autolabel.comparison.agreement import compare
from autolabel.comparison.matching import Coverage, pair_labels
from surfaces.cli.arguments import local_path
from surfaces.datasets import ReadOptions
from surfaces.io.atomic_files import replace_file, require_outside


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    add = parser.add_argument
    add("dataset", type=local_path, metavar="DATASET", help="the folder that `autolabel run` labels into")
    truth_help = "a dataset with people's labels of the same photos"
    add("--truth", type=local_path, required=True, metavar="DATA", help=truth_help)
    add("--follow-links", action="store_true", help="follow links that leave the folder of --truth")
    add("--json", type=local_path, metavar="FILE", help="also write the numbers to a file")


def run(args: argparse.Namespace) -> int:
    """Runs the command; returns its exit code."""
    if args.json:
        require_outside(args.json, [args.dataset, args.truth])
    coverage = Coverage()
    pairs = pair_labels(args.dataset, args.truth, coverage, ReadOptions(follow_links=args.follow_links))
    comparison = compare(pairs)
    print(coverage.summary(), file=sys.stderr)
    if args.json:
        replace_file(args.json, (json.dumps(asdict(comparison), indent=1) + "\n").encode())
        print(f"the numbers are in {args.json}", file=sys.stderr)
    print(comparison.table())
    return 0
