"""Pictures of `python -m distill worst`: lost IoU by cause."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from docs.made.error_tables import NYUV2, ROOMS
from docs.made.formats import read_result
from docs.made.style import CLASS_COLOURS, FAINT, new_figure
from surfaces.classes import CLASSES

FILES = {NYUV2: "30 worst of NYUv2's 143, untouched network", ROOMS: "18 rooms, shipped network"}


def error_causes(results: Path) -> Figure:
    """What each cause takes from the mean IoU, by class."""
    figure, axes = new_figure(9.5, 4.6, columns=2)
    for one, (name, title) in zip(axes, FILES.items(), strict=True):
        _draw(one, read_result(results, name)["causes"])
        one.set_title(title)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(CLASSES))
    return figure


def _draw(axes: Axes, costs: list[dict[str, object]]) -> None:
    causes = [str(cost["cause"]) for cost in costs]
    left = [0.0] * len(costs)
    for surface in CLASSES:
        lost = [float(cost["lost_iou"][surface.name]) / len(CLASSES) for cost in costs]  # type: ignore[index]
        axes.barh(causes, lost, left=left, color=CLASS_COLOURS[surface.name], label=surface.name)
        left = [before + more for before, more in zip(left, lost, strict=True)]
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.grid(axis="x", color=FAINT, linewidth=0.8)
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.set_xlabel("lost mean IoU")
