"""How results are read, and how numbers and tables are written in Markdown."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from docs.made.entries import MadeError


def read_result(results: Path, name: str) -> Any:
    """What a result file holds.

    Raises:
        MadeError: it is missing or not JSON.
    """
    try:
        return json.loads((results / name).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise MadeError(f"expected the result file docs/results/{name}, which is missing") from error
    except ValueError as error:
        raise MadeError(f"expected JSON in docs/results/{name}: {error}") from error


def share(value: float, digits: int = 3) -> str:
    """A number from 0 to 1 as the documents write it: `.862`, `1.000`."""
    return f"{value:.{digits}f}".removeprefix("0")


def change(value: float, digits: int = 3) -> str:
    """A difference of such numbers, with its sign: `+.017`, `-.002`."""
    return ("-" if round(value, digits) < 0 else "+") + share(abs(value), digits)


def bold(text: str) -> str:
    """Text as bold Markdown."""
    return f"**{text}**"


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table.

    Raises:
        MadeError: a row has not as many cells as the header.
    """
    for row in rows:
        if len(row) != len(header):
            raise MadeError(f"expected {len(header)} cells in a table's row, got {len(row)}: {' | '.join(row)}")
    lines = ["| " + " | ".join(line) + " |" for line in (header, *rows)]
    lines.insert(1, "|" + "---|" * len(header))
    return "\n".join(lines)
