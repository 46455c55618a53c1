"""Writes the generated tables and figures anew."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from docs.made.check import IMAGES, RESULTS
from docs.made.documents import documents, filled, stray_marks, stray_told
from docs.made.drawings import draw_svg, origins, told_origins
from docs.made.entries import Figure, MadeError, Table
from surfaces.io.atomic_files import replace_file


@dataclass(frozen=True)
class Written:
    """What came of one document or figure.

    Attributes:
        path: of it.
        problem: why it is as it was, in one line; empty where it was written.
    """

    path: Path
    problem: str = ""


def write_tables(root: Path, tables: Mapping[str, Table]) -> Iterator[Written]:
    """Fills every place in the repository's documents; yields those that changed, and those that can't be filled.

    A document is filled as a whole or not at all: not where a place of it has no end, names no table, or needs a result
    file that is missing.
    """

    def make(name: str) -> str:
        if name not in tables:
            raise MadeError(f"no function makes the table '{name}'")
        return tables[name].make(root / RESULTS)

    for path in documents(root):
        before = path.read_text(encoding="utf-8")
        if marks := stray_marks(before):
            yield Written(path, stray_told(marks[0]))
            continue
        try:
            after = filled(before, make)
        except MadeError as error:
            yield Written(path, str(error))
            continue
        if after != before:
            replace_file(path, after.encode())
            yield Written(path)


def write_figures(root: Path, figures: Mapping[str, Figure]) -> Iterator[Written]:
    """Draws every figure whose result files or script changed; yields these, and those whose result file is missing."""
    for name, figure in figures.items():
        svg = root / IMAGES / f"{name}.svg"
        try:
            if not svg.is_file() or told_origins(svg) != origins(figure, root / RESULTS):
                replace_file(svg, draw_svg(figure, root / RESULTS))
                yield Written(svg)
        except MadeError as error:
            yield Written(svg, str(error))
