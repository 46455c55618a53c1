"""How the figures look: one size of type, one palette, a white ground so that dark pages show them as light ones do."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from surfaces.classes import CLASSES

CLASS_COLOURS: dict[str, str] = {surface.name: "#{:02x}{:02x}{:02x}".format(*surface.colour_rgb) for surface in CLASSES}
"""The classes' own colours, as the masks have them, by the class's name."""

INK, PALE, FAINT = "#303030", "#8a8a8a", "#dddddd"
"""Text and means; single runs and what is compared with; grid lines."""

SERIES = ("#7a7a7a", "#c8463c", "#3c6eb4", "#d28c1e", "#2d8c5a", "#8c50a0", "#46a0aa", "#a0783c")
"""Lines that are not classes, in this order."""

RC: dict[Any, object] = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "interior-surfaces",  # the same identifiers each time
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.edgecolor": PALE,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
}


def new_figure(width: float, height: float, columns: int = 1, rows: int = 1) -> tuple[Figure, list[Axes]]:
    """An empty figure.

    Args:
        width: inches; 72 of the SVG's units each.
        height: inches.
        columns: plots side by side.
        rows: plots below each other.

    Returns:
        The figure, and its axes row by row.
    """
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for one in axes:
        one.grid(axis="y", color=FAINT, linewidth=0.8)
        one.set_axisbelow(True)
    return figure, axes
