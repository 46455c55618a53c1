"""`python -m distill COMMAND`: dataset in, small model out."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from surfaces.errors import MissingExtraError, SurfacesError

COMMANDS = {
    "inspect": "draw a contact sheet of a dataset and count what is in it",
    "pack": "write a dataset as COCO, or as a few files that travel to a GPU",
    "convert": "fold a published EfficientNet-Lite0 into a start for training",
    "train": "train a student",
    "evaluate": "score a model on a dataset, and show its worst photos",
    "average": "mix a fine-tuned network with the one it started from",
    "tune": "find the operating point of an exported network",
    "export": "write a trained student as the ONNX file that segment.py runs",
    "benchmark": "time the exported model beside others on this machine",
}


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m distill", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    given = sys.argv[1:] if arguments is None else arguments
    wanted = next((word for word in given if word in COMMANDS), None)
    # Spinning threads slow each other down tenfold on a CPU that others use too; read when torch is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        with missing_parts_told(wanted):
            for name, summary in COMMANDS.items():
                command = commands.add_parser(name, help=summary, description=summary)
                if name == wanted:
                    command_module(name).add_arguments(command)
            args = parser.parse_args(given)
            return int(command_module(args.command).run(args))
    except SurfacesError as error:
        print(f"distill: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("distill: interrupted", file=sys.stderr)
        return 130


def command_module(name: str) -> ModuleType:
    """The module behind a command; only the wanted one is imported, since most need torch."""
    return importlib.import_module(f"distill.{name}")


@contextmanager
def missing_parts_told(command: str | None) -> Iterator[None]:
    """Turns the absence of a package, whenever it is noticed, into a line that names the extra that brings it."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name and error.name.split(".")[0] in ("distill", "models", "surfaces"):
            raise
        raise MissingExtraError(
            f"`{command}` needs {error.name}, which is not installed; pip install 'interior-surfaces[train]'"
        ) from error


if __name__ == "__main__":
    sys.exit(main())
