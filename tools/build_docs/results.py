"""Result files, and Markdown tables whose cells are templates with paths into them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from surfaces.classes import CLASSES
from surfaces.errors import SurfacesError

RESULTS = Path("docs/results")

Columns = Sequence[tuple[str, str]]
"""Headers, and templates of the cells below them, as `fill` takes them."""

_FIELD = re.compile(r"\{([^{}:]+)(?::([^{}]+))?\}")


class DocsError(SurfacesError):
    """A table or figure cannot be built: its marker is incomplete or unknown, or a result file missing or invalid."""

    exit_code = 23


class Results:
    """The folder of the result files, and the names of those that were read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.used: set[str] = set()

    def read_text(self, name: str) -> str:
        """The text of a file; DocsError if it is missing."""
        self.used.add(name)
        try:
            return (self.folder / name).read_text(encoding="utf-8")
        except FileNotFoundError as error:
            raise DocsError(f"expected the result file {RESULTS / name}, which is missing") from error

    def read(self, name: str) -> Any:
        """The content of a JSON file; DocsError if it is missing or invalid."""
        try:
            return json.loads(self.read_text(name))
        except ValueError as error:
            raise DocsError(f"expected JSON in {RESULTS / name}: {error}") from error


def lookup(data: Any, path: str) -> Any:
    """The value at a path of keys and indices, `a/b/0`, or None; with `*` for any key, the mean over all values."""
    values = [data]
    for key in path.split("/"):
        values = [inner for value in values for inner in _inner_values(value, key)]
    if "*" in path:
        return sum(values) / len(values)
    return values[0] if values else None


def _inner_values(value: Any, key: str) -> list[Any]:
    if key == "*":
        return list(value.values()) if isinstance(value, dict) else list(value)
    if isinstance(value, list):
        return [value[int(key)]]
    return [value[key]] if value is not None and key in value else []


def fill(template: str, data: Any) -> str:
    """A template with `{path}` or `{path:format}` (of `FORMATS`, or Python's) replaced by values of the data."""
    return _FIELD.sub(lambda field: as_text(lookup(data, field[1]), field[2] or ""), template)


def as_text(value: Any, style: str) -> str:
    """A value in a format; by default `.862` or `1,047`. None is empty."""
    if value is None:
        return ""
    if style:
        return FORMATS[style](value) if style in FORMATS else format(value, style)
    return share(value) if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


def share(value: float, digits: int = 3) -> str:
    """A number from 0 to 1: `.862`, `1.000`."""
    return f"{value:.{digits}f}".removeprefix("0")


def _interval(score: Any) -> str:
    """A value, or an estimate with its interval."""
    value, (low, high) = (score["value"], score["interval"]) if isinstance(score, dict) else (score, (None, None))
    if value is None:
        return ""
    return share(value) if low is None or high is None else f"{share(value)} ({share(low)}-{share(high)})"


FORMATS: dict[str, Callable[[Any], str]] = {
    "loss": lambda value: share(value, 4) if value else "",
    "interval": _interval,
    "seen": lambda value: f" *({value})*" if value else "",
}


def table(columns: Columns, rows: Iterable[Any]) -> str:
    """A Markdown table: each row's data in the columns' templates."""
    return markdown_table([header for header, _ in columns], [[fill(cell, row) for _, cell in columns] for row in rows])


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table of texts."""
    lines = ["| " + " | ".join(line) + " |" for line in (header, *rows)]
    lines.insert(1, "|" + "---|" * len(header))
    return "\n".join(lines)


def per_class(header: str, cell: str) -> Columns:
    """A column per class, with its name in the header and the cell's template."""
    return [(header.replace("CLASS", c.name.removesuffix(" table")), cell.replace("CLASS", c.name)) for c in CLASSES]
