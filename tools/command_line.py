"""The command line that all tools share: errors in one line, each with its exit code."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from surfaces.cli.commands import INTERRUPTED, escaped_terminal, missing_package_reported
from surfaces.errors import SurfacesError
from surfaces.messages import printable_lines


@escaped_terminal()
def run_tool(
    name: str,
    description: str,
    add_arguments: Callable[[argparse.ArgumentParser], None],
    run: Callable[[argparse.Namespace], int],
    arguments: Sequence[str] | None,
) -> int:
    """Parses the arguments (the process's own where None) and runs a tool; returns the exit code."""
    parser = argparse.ArgumentParser(prog=f"python -m tools.{name}", description=description)
    add_arguments(parser)
    args = parser.parse_args(arguments)
    try:
        with missing_package_reported(name, "dev"):
            return run(args)
    except SurfacesError as error:
        print(f"{name}: {printable_lines(str(error))}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(f"{name}: interrupted", file=sys.stderr)
        return INTERRUPTED
