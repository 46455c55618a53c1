"""`python -m distill train`: dataset in, weights out."""

from __future__ import annotations

import argparse

from distill.training.config import add_config_arguments, config_from_arguments
from distill.training.processes import PeerError, open_processes
from distill.training.run import train


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's flags."""
    add_config_arguments(parser)
    parser.add_argument("--resume", action="store_true", help="go on from RUN's checkpoint, to the same end")


def run(args: argparse.Namespace) -> int:
    """Trains; the path of the weights is the result. Of several processes, one prints."""
    try:
        with open_processes() as processes:
            print(train(config_from_arguments(args), args.resume, processes))
    except PeerError as error:
        return error.exit_code
    return 0
