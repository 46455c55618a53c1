"""The command `interior-surfaces`: every command of the project under one name."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib import import_module

from surfaces.version import VERSION

COMMANDS = {
    "segment": "find walls, floors and dining tables in photos and draw them (as segment.py)",
    "recolor": "paint walls or floors in another colour",
    "serve": "show a page in the browser, and answer over HTTP",
    "autolabel": "label photos, collect them from the web, export datasets",
    "distill": "train, score and export the network",
    "labelstudio": "review labels in Label Studio",
}
_MODULES = {"segment": "segment", "recolor": "interior_surfaces.recolor", "serve": "interior_surfaces.serve"}
_USAGE_ERROR = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command with these arguments, or the process's own; returns the exit code."""
    name, *rest = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if name in ("-h", "--help"):
        print(_help())
        return 0
    if name == "--version":
        print(f"interior-surfaces {VERSION}")
        return 0
    if name not in COMMANDS:
        print(f"interior-surfaces: expected one of {', '.join(COMMANDS)}, got {name!r}", file=sys.stderr)
        return _USAGE_ERROR
    if name in _MODULES and arguments is None:
        import_module("segment").prepare_process()
    command: Callable[[list[str]], int] = import_module(_MODULES.get(name, f"{name}.__main__")).main
    return command(rest)


def _help() -> str:
    lines = [f"  {name:12} {summary}" for name, summary in COMMANDS.items()]
    return "\n".join(
        [
            "usage: interior-surfaces COMMAND ...",
            "",
            "Finds walls, floors and dining tables in photographs of interiors.",
            "",
            *lines,
            "",
            "`interior-surfaces COMMAND --help` shows a command's options.",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
