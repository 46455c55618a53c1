"""The help of every command, as its own parser prints it."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

import autolabel.__main__
import distill.__main__
import labelstudio.__main__
import segment
from docs.made.entries import MadeError

_COLUMNS = "100"
_PACKAGES = (autolabel.__main__, labelstudio.__main__, distill.__main__)
"""In the order in which a user needs them."""


def commands(_: Path) -> str:
    """A section for each command: its name and its help, 100 columns wide."""
    parts = [_section("## ", "segment.py", segment.main, [])]
    for module in _PACKAGES:
        package = str(module.__package__)
        parts.append(f"## {package}\n\n{str(module.__doc__).strip()}\n")
        parts += [_section("### ", f"{package} {name}", module.main, [name]) for name in module.COMMANDS]
    return "\n".join(parts)


def _section(level: str, title: str, main: Callable[[list[str]], int], arguments: list[str]) -> str:
    return f"{level}{title}\n\n```text\n{help_of(main, arguments)}```\n"


def help_of(main: Callable[[list[str]], int], arguments: list[str]) -> str:
    """What a command prints for `--help`, at a width that no terminal changes.

    Args:
        main: takes arguments, returns an exit code.
        arguments: what comes before `--help`.

    Raises:
        MadeError: it does not print help, such as where the command's extra is not installed.
    """
    told = io.StringIO()
    with _columns(), redirect_stdout(told):
        try:
            code = main([*arguments, "--help"])
        except SystemExit as stopped:
            code = stopped.code if isinstance(stopped.code, int) else 0
    if code:
        raise MadeError(f"expected help of {' '.join(arguments)}, got exit code {code}; install the extra dev")
    return told.getvalue()


@contextmanager
def _columns() -> Iterator[None]:
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = _COLUMNS
    try:
        yield
    finally:
        os.environ.pop("COLUMNS")
        if before is not None:
            os.environ["COLUMNS"] = before
