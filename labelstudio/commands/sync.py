"""`python -m labelstudio sync DATASET`: pulls, retrains once enough was reviewed, and pushes; repeatedly if wished."""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from pathlib import Path

from labelstudio.commands import pull, push
from labelstudio.errors import ServerUnavailableError
from labelstudio.sync.training_rounds import due_round, run_round
from surfaces.cli.arguments import local_path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments: those of `push` and `pull`, and of the training."""
    push.add_arguments(parser)
    pull.add_rule_argument(parser)
    parser.set_defaults(dry_run=False, redo=False)
    parser.add_argument("--run", type=local_path, default=Path("runs/review"), help="folder of the rounds' trainings")
    parser.add_argument(
        "--after", type=int, default=25, help="retrain once this many more photos are reviewed (default: %(default)s)"
    )
    parser.add_argument("--human", nargs="+", default=[], metavar="DATA", help="further datasets that people labelled")
    parser.add_argument(
        "--train", type=shlex.split, default=[], metavar="ARGUMENTS", help="arguments of `distill train`: '--budget 1h'"
    )
    parser.add_argument("--every", type=float, metavar="MINUTES", help="repeat after this many minutes")


def run(args: argparse.Namespace) -> int:
    """Runs the command; returns its exit code."""
    while True:
        code = _run_once(args)
        if args.every is None:
            return code
        print(f"waiting {args.every:g} minutes; Ctrl-C ends it", file=sys.stderr)
        time.sleep(args.every * 60)


def _run_once(args: argparse.Namespace) -> int:
    try:
        code = pull.run(args)
        training_round = due_round(args.run, args.dataset, max(1, args.after))
        if training_round:
            print(run_round(training_round, args.dataset, args.human, args.train))
        return push.run(args) or code
    except ServerUnavailableError as error:
        if args.every is None:
            raise
        print(f"labelstudio: {error}; trying again", file=sys.stderr)
        return error.exit_code
