"""The help of every command, as its own parser prints it."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from contextlib import redirect_stdout
from importlib import import_module
from unittest.mock import patch

import autolabel.__main__
import distill.__main__
import labelstudio.__main__
import segment
from interior_surfaces import recolor, serve
from tools.build_docs.results import DocsError, Results

_PACKAGES = (autolabel.__main__, labelstudio.__main__, distill.__main__)
"""In the order in which a user needs them."""


def list_commands(_: Results) -> str:
    """A section for each command: its name and its help."""
    parts = [
        f"## segment.py\n\n{_help_of(segment.main, [])}",
        f"## interior-surfaces recolor\n\n{_help_of(recolor.main, [])}",
        f"## interior-surfaces serve\n\n{_help_of(serve.main, [])}",
    ]
    for module in _PACKAGES:
        package = str(module.__package__)
        parts.append(f"## {package}\n\n{str(module.__doc__).strip()}\n")
        for name in module.COMMANDS:
            parts.append(f"### {package} {name}\n\n{_help_of(module.main, [name])}")
            actions = getattr(import_module(f"{package}.commands.{name}"), "ACTIONS", ())
            parts += [
                f"#### {package} {name} {action}\n\n{_help_of(module.main, [name, action])}" for action in actions
            ]
    return "\n".join(parts)


def _help_of(main: Callable[[list[str]], int], arguments: list[str]) -> str:
    """A command's output for `--help`, 100 columns wide, as a block; DocsError where its extra is not installed."""
    printed = io.StringIO()
    with patch.dict(os.environ, COLUMNS="100"), redirect_stdout(printed):
        try:
            code = main([*arguments, "--help"])
        except SystemExit as stopped:
            code = stopped.code if isinstance(stopped.code, int) else 0
    if code:
        raise DocsError(f"expected help of {' '.join(arguments)}, got exit code {code}; install the extra dev")
    return f"```text\n{printed.getvalue()}```\n"
