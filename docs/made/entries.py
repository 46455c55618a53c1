"""What a generated table and a generated figure are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure as Drawing

from surfaces.errors import SurfacesError


class MadeError(SurfacesError):
    """A generated table or figure can't be made: no such table, no end of its place, a result file that is missing."""

    exit_code = 23


@dataclass(frozen=True)
class Table:
    """A part of a document that is generated: a table, with or without sentences around it.

    Attributes:
        make: called with the folder of the result files; returns Markdown.
        results: names of the files in docs/results that `make` reads; it is given no others in tests.
    """

    make: Callable[[Path], str]
    results: tuple[str, ...]


@dataclass(frozen=True)
class Figure:
    """A generated picture, docs/images/NAME.svg.

    Attributes:
        draw: called with the folder of the result files; returns matplotlib's figure, made with `docs.made.style`, or
            the text of an SVG file.
        results: names of the files in docs/results that `draw` reads.
    """

    draw: Callable[[Path], Drawing | str]
    results: tuple[str, ...]
