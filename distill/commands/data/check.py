"""`python -m distill data check DATA…`."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict

from distill.datasets import add_reading_arguments, open_datasets, read_options
from surfaces.cli.arguments import local_path
from surfaces.errors import DatasetError
from surfaces.messages import counted, printable

SUMMARY = "read every photo and label of datasets, and list what is wrong or unusual"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this action's arguments."""
    parser.add_argument(
        "data",
        nargs="+",
        type=local_path,
        metavar="DATA",
        help="datasets; of several, photos that look like one of another are listed",
    )
    parser.add_argument("--json", type=local_path, metavar="FILE", help="also write the findings to a file")
    parser.add_argument("--strict", action="store_true", help="what is unusual is an error too")
    add_reading_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Prints a line for each finding; the exit code is that of a faulty dataset where there is an error."""
    from distill.curation.checks import check_datasets
    from surfaces.io.atomic_files import replace_file

    options = read_options(args)
    datasets = {str(path): open_datasets([path], options=options) for path in dict.fromkeys(args.data)}
    findings = []
    for finding in check_datasets(datasets):
        findings.append(finding)
        kind = "error" if finding.is_error else "warning"
        print(printable(f"{kind}: {finding.dataset}: {finding.photo}: {finding.text}"))
    if args.json:
        replace_file(args.json, json.dumps([asdict(finding) for finding in findings], indent=1).encode())
    errors = sum(finding.is_error for finding in findings)
    photos = sum(map(len, datasets.values()))
    words = f"{counted(errors, 'error')}, {counted(len(findings) - errors, 'warning')} in {counted(photos, 'photo')}"
    print(words, file=sys.stderr)
    return DatasetError.exit_code if errors or (args.strict and findings) else 0
