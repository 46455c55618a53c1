"""Runs `python -m PACKAGE COMMAND`: one module per command, one line per error, escaped output."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from types import ModuleType
from typing import Any, TextIO

from surfaces.cli.arguments import add_version
from surfaces.errors import MissingExtraError, SurfacesError
from surfaces.messages import printable, printable_lines

INTERRUPTED = 130
BROKEN_PIPE = 141
_OWN_PACKAGES = ("autolabel", "distill", "labelstudio", "models", "surfaces")


class EscapingStream:
    """A text stream that escapes control characters, such as those that move the cursor or reverse the text.

    Line feeds and tabs are kept, and carriage returns at either end of what is written, as progress bars use them.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Writes a text; returns its length."""
        self._stream.write(_escape(text))
        return len(text)

    def writelines(self, lines: Iterator[str]) -> None:
        """Writes several texts."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def escaped_terminal() -> Iterator[None]:
    """Escapes control characters in all that is printed within the block."""
    with ExitStack() as streams:
        if sys.stdout:  # None where it is closed
            streams.enter_context(redirect_stdout(EscapingStream(sys.stdout)))
        if sys.stderr:
            streams.enter_context(redirect_stderr(EscapingStream(sys.stderr)))
        yield


@escaped_terminal()
def run_command(
    package: str, description: str, commands: Mapping[str, str], extra: str, arguments: Sequence[str] | None = None
) -> int:
    """Runs one of a package's commands and returns its exit code.

    The command `name` is the module `PACKAGE.commands.name` with `add_arguments(parser)` and `run(args)`, which
    returns the exit code. Only that module is imported, since most need torch.

    Args:
        package: its name.
        description: of the package, for its help.
        commands: the summary of each command by its name.
        extra: the extra of the distribution that installs what the commands need.
        arguments: of the command line; the process's own where None.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {package}", description=description)
    add_version(parser)
    subparsers = parser.add_subparsers(dest="command", required=True)
    given = list(sys.argv[1:] if arguments is None else arguments)
    wanted = next((word for word in given if word in commands), None)
    # Spinning threads slow each other down tenfold on a shared CPU; torch reads this when it is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

    def run() -> int:
        with missing_package_reported(wanted, extra):
            for name, summary in commands.items():
                command = subparsers.add_parser(name, help=summary, description=summary)
                add_version(command)
                if name == wanted:
                    _import_command(package, name).add_arguments(command)
            args = parser.parse_args(given)
            return int(_import_command(package, args.command).run(args))

    return exit_code_of(package, run)


def exit_code_of(name: str, run: Callable[[], int]) -> int:
    """Runs a command; returns its exit code. Its errors become a line on stderr that begins with its name."""
    try:
        return run()
    except SurfacesError as error:
        print(f"{name}: {printable_lines(str(error))}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(f"{name}: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of stdout has exited; the exit must not try to flush the rest
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE


@contextmanager
def missing_package_reported(command: str | None, extra: str) -> Iterator[None]:
    """Turns a missing package into a MissingExtraError that names the extra to install."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name and error.name.split(".")[0] in _OWN_PACKAGES:
            raise
        raise MissingExtraError(
            f"`{command}` needs {error.name}, which is not installed; pip install 'interior-surfaces[{extra}]'"
        ) from error


def _import_command(package: str, command: str) -> ModuleType:
    return importlib.import_module(f"{package}.commands.{command}")


def _escape(text: str) -> str:
    inner = text.strip("\r")
    if all(part.isprintable() for line in inner.split("\n") for part in line.split("\t")):
        return text
    start = len(text) - len(text.lstrip("\r"))
    plain = "".join(sign if sign in "\n\t" else printable(sign) for sign in inner)
    return text[:start] + plain + text[start + len(inner) :]
