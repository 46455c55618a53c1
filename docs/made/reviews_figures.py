"""The curves of `python -m distill reviews`, drawn as the command draws them."""

from __future__ import annotations

from pathlib import Path

from distill.reviews_curves import curves_svg
from distill.reviews_report import curves_of, everything_score
from docs.made.reviews_tables import EVENLY, TABLES_OFTEN, read_cells


def reviews_evenly(results: Path) -> str:
    """Mean IoU by reviewed photos, photos drawn evenly."""
    return _curves(results, EVENLY)


def reviews_tables_often(results: Path) -> str:
    """The same where photos with a table are drawn more often."""
    return _curves(results, TABLES_OFTEN)


def _curves(results: Path, name: str) -> str:
    cells = read_cells(results, name)
    return curves_svg("Mean IoU by reviewed photos", curves_of(cells), everything_score(cells))
