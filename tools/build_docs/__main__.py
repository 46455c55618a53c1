"""`python -m tools.build_docs`: rewrites the generated tables and figures of the documents that changed."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tools.build_docs.documents import find_problems, write_documents, write_figures
from tools.build_docs.figures import FIGURES
from tools.build_docs.results import DocsError
from tools.build_docs.tables import TABLES
from tools.command_line import run_tool

STALE = 29
"""Exit code of `--check` where something is stale."""

ROOT = Path(__file__).resolve().parents[2]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the tool's arguments."""
    parser.add_argument(
        "--check", action="store_true", help=f"write nothing; print what is stale, exit with {STALE} if anything is"
    )


def run(args: argparse.Namespace) -> int:
    """Writes or checks; returns the exit code. A problem of one document does not stop the others."""
    if args.check:
        problems = find_problems(ROOT, TABLES, FIGURES)
        print("".join(f"{line}\n" for line in problems), end="")
        return STALE if problems else 0
    code = 0
    for written in (*write_documents(ROOT, TABLES), *write_figures(ROOT, FIGURES)):
        path = written.path.relative_to(ROOT)
        if written.problem:
            print(f"build_docs: {path}: {written.problem}", file=sys.stderr)
            code = DocsError.exit_code
        else:
            print(path)
    return code


def main(arguments: list[str] | None = None) -> int:
    """Runs the tool; returns the exit code."""
    return run_tool("build_docs", str(__doc__), add_arguments, run, arguments)


if __name__ == "__main__":
    sys.exit(main())
