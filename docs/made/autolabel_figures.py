"""What auto-labels are worth, a pair of dots a seed."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from docs.made.autolabel_tables import SEEDS, arms
from docs.made.style import CLASS_COLOURS, INK, new_figure

_STUDENTS = {"": "MOSAIC, ADE20K, 200 steps", "lite0": "EfficientNet-Lite0, ImageNet, 120 steps"}
_COLOURS = {**CLASS_COLOURS, "mean": INK}
_MARKERS = ("o", "s", "^")  # of the seeds
_BETWEEN_SEEDS, _BETWEEN_ARMS = 0.29, 0.12  # of the distance between classes


def auto_labels(results: Path) -> Figure:
    """IoU and Boundary IoU of each class and their mean, without and with auto-labels, for both students."""
    figure, axes = new_figure(9.6, 6.4, columns=2, rows=2)
    for column, (student, title) in enumerate(_STUDENTS.items()):
        pairs = arms(results, student)
        _draw(axes[column], [[[*one.iou, one.mean_iou] for one in pair] for pair in pairs])
        _draw(axes[2 + column], [[[*one.boundary_iou, one.mean_boundary_iou] for one in pair] for pair in pairs])
        axes[column].set_title(title, loc="left", fontweight="bold")
    axes[0].set_ylabel("IoU")
    axes[2].set_ylabel("Boundary IoU")
    _explain(figure, axes[0])
    return figure


def _draw(axes: Axes, pairs: list[list[list[float]]]) -> None:
    """Draws the scores of each seed, arm and class (the mean last)."""
    for place, colour in enumerate(_COLOURS.values()):
        for index, (without, with_them) in enumerate(pairs):
            middle = place + (index - 1) * _BETWEEN_SEEDS
            xs = (middle - _BETWEEN_ARMS / 2, middle + _BETWEEN_ARMS / 2)
            axes.plot(xs, (without[place], with_them[place]), color=colour, linewidth=1.2)
            for x, scores, filled in ((xs[0], without, "white"), (xs[1], with_them, colour)):
                axes.plot(x, scores[place], _MARKERS[index], color=colour, markerfacecolor=filled, markersize=6)
    axes.set_xticks(range(len(_COLOURS)), list(_COLOURS))
    axes.tick_params(axis="x", length=0)
    axes.set_ylim(-0.03, 0.9)


def _explain(figure: Figure, axes: Axes) -> None:
    told = [("o", "white", "without auto-labels"), ("o", INK, "with auto-labels")]
    told += [(marker, INK, f"seed {seed}") for marker, seed in zip(_MARKERS, SEEDS, strict=True)]
    handles = [
        axes.plot([], [], marker, color=INK, markerfacecolor=filled, label=label)[0] for marker, filled, label in told
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
