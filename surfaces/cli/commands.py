"""What `python -m PACKAGE COMMAND` does in each package: one module a command, errors in one line."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import ModuleType

from surfaces.cli.terminal import escaped_terminal
from surfaces.errors import MissingExtraError, SurfacesError
from surfaces.messages import printable_lines

INTERRUPTED = 130
_OWN_PACKAGES = ("autolabel", "distill", "labelstudio", "models", "surfaces")


@escaped_terminal()
def run_command(
    package: str, description: str, commands: Mapping[str, str], extra: str, arguments: Sequence[str] | None = None
) -> int:
    """Runs one of a package's commands.

    The command `name` is the module `PACKAGE.name` with the functions `add_arguments(parser)` and `run(args)`, which
    returns the exit code. Only the wanted one is imported, since most need torch.

    Args:
        package: its name.
        description: of the package, for its help.
        commands: a summary of each command by its name.
        extra: the extra of the distribution that brings what the commands need.
        arguments: what follows the package's name; the process's own where None.

    Returns:
        The exit code.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {package}", description=description)
    subparsers = parser.add_subparsers(dest="command", required=True)
    given = list(sys.argv[1:] if arguments is None else arguments)
    wanted = next((word for word in given if word in commands), None)
    # Spinning threads slow each other down tenfold on a CPU that others use too; read when torch is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        with missing_package_reported(wanted, extra):
            for name, summary in commands.items():
                command = subparsers.add_parser(name, help=summary, description=summary)
                if name == wanted:
                    _module(package, name).add_arguments(command)
            args = parser.parse_args(given)
            return int(_module(package, args.command).run(args))
    except SurfacesError as error:
        print(f"{package}: {printable_lines(str(error))}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(f"{package}: interrupted", file=sys.stderr)
        return INTERRUPTED


def _module(package: str, command: str) -> ModuleType:
    return importlib.import_module(f"{package}.{command}")


@contextmanager
def missing_package_reported(command: str | None, extra: str) -> Iterator[None]:
    """Turns the absence of a package, whenever it is noticed, into a line that names the extra that brings it.

    Args:
        command: what needs the package, as the user wrote it.
        extra: of the distribution.

    Raises:
        MissingExtraError: a package that is not ours is absent.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name and error.name.split(".")[0] in _OWN_PACKAGES:
            raise
        raise MissingExtraError(
            f"`{command}` needs {error.name}, which is not installed; pip install 'interior-surfaces[{extra}]'"
        ) from error
