"""`python -m distill data ACTION`: datasets of others, and datasets as a whole."""

from __future__ import annotations

import argparse

from distill.commands.data import check, download, importing, mix, split, stats

ACTIONS = {
    "import": importing,
    "download": download,
    "mix": mix,
    "split": split,
    "check": check,
    "stats": stats,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the actions and their arguments."""
    actions = parser.add_subparsers(dest="action", required=True)
    for name, module in ACTIONS.items():
        summary = module.SUMMARY
        module.add_arguments(actions.add_parser(name, help=summary, description=summary))


def run(args: argparse.Namespace) -> int:
    """Runs the action; returns its exit code."""
    code: int = ACTIONS[args.action].run(args)
    return code
