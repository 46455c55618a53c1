"""Writes the generated tables and figures anew."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from docs.made.check import IMAGES, RESULTS
from docs.made.documents import documents, filled, stray_marks, stray_told
from docs.made.drawings import draw_svg, origins, told_origins
from docs.made.entries import Figure, MadeError, Table
from surfaces.files import replace_file


def write_tables(root: Path, tables: Mapping[str, Table]) -> list[Path]:
    """Fills every place in the repository's documents; returns the documents that changed.

    Raises:
        MadeError: a place has no end or names no table, or a result file is missing. No document is written then.
    """

    def make(name: str) -> str:
        if name not in tables:
            raise MadeError(f"expected one of the tables {', '.join(tables)}; a document asks for '{name}'")
        return tables[name].make(root / RESULTS)

    before = {path: path.read_text(encoding="utf-8") for path in documents(root)}
    for path, text in before.items():
        if marks := stray_marks(text):
            raise MadeError(f"{path.relative_to(root)}: {stray_told(marks[0])}")
    after = {path: filled(text, make) for path, text in before.items()}
    changed = [path for path, text in after.items() if text != before[path]]
    for path in changed:
        replace_file(path, after[path].encode())
    return changed


def write_figures(root: Path, figures: Mapping[str, Figure]) -> list[Path]:
    """Draws every figure whose result files or script changed; returns their paths.

    Raises:
        MadeError: a figure's result file is missing.
    """
    drawn = []
    for name, figure in figures.items():
        svg = root / IMAGES / f"{name}.svg"
        if not svg.is_file() or told_origins(svg) != origins(figure, root / RESULTS):
            replace_file(svg, draw_svg(figure, root / RESULTS))
            drawn.append(svg)
    return drawn
