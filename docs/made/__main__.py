"""`python -m docs.made [--check]`: the generated tables and figures of the documents."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from docs.made.catalogue import FIGURES, TABLES
from docs.made.check import stale
from docs.made.entries import MadeError
from docs.made.write import write_figures, write_tables
from surfaces.errors import SurfacesError

STALE = 24
"""Exit code of `--check` where something is stale."""

_ROOT = Path(__file__).resolve().parents[2]


def main(arguments: list[str] | None = None, root: Path = _ROOT) -> int:
    """Writes, or checks; returns the exit code. What was written, or is stale, goes to stdout, one line each.

    What can't be written goes to stderr; the rest is written all the same.
    """
    parser = argparse.ArgumentParser(prog="python -m docs.made", description="Rewrite generated tables and figures.")
    parser.add_argument(
        "--check", action="store_true", help=f"write nothing; name what is stale and exit with {STALE} if anything is"
    )
    args = parser.parse_args(arguments)
    try:
        return _check(root) if args.check else _write(root)
    except SurfacesError as error:
        print(f"docs.made: {error}", file=sys.stderr)
        return error.exit_code


def _check(root: Path) -> int:
    lines = stale(root, TABLES, FIGURES)
    print("".join(f"{line}\n" for line in lines), end="")
    return STALE if lines else 0


def _write(root: Path) -> int:
    code = 0
    for written in (*write_tables(root, TABLES), *write_figures(root, FIGURES)):
        path = written.path.relative_to(root)
        if written.problem:
            print(f"docs.made: {path}: {written.problem}", file=sys.stderr)
            code = MadeError.exit_code
        else:
            print(path)
    return code


if __name__ == "__main__":
    sys.exit(main())
