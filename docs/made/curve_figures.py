"""Learning curves: losses by step, and validation scores by steps and by labelled photos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from distill.reviews_curves import Curve
from distill.reviews_report import NOTHING, curves_of, everything_score
from docs.made.curve_tables import LOSSES, SCORED, read_steps
from docs.made.formats import read_result
from docs.made.reviews_tables import TABLES_OFTEN, read_cells
from docs.made.style import CLASS_COLOURS, INK, PALE, SERIES, new_figure
from surfaces.classes import CLASSES

_ARMS = {
    "MOSAIC": ("proof-without", SERIES[2]),
    "MOSAIC, auto-labels": ("proof-with", SERIES[4]),
    "Lite0": ("lite-without", SERIES[1]),
    "Lite0, auto-labels": ("lite-with", SERIES[3]),
}
_SEEDS = (0, 1, 2)
_QUEUES = ("random", "class-balanced", "expected-gain")
_RUNS = {"shipped": "joint training", "heads": "heads alone", "again": "trained on, with auto-labels"}
_WINDOW = 9  # points that a smoothed line is the mean of
_PARTS = ("semantic", "belief", "objectness", "proposal_shape", "box_class", "box_shape", "mask")


def learning_curves(results: Path) -> Figure:
    """Semantic loss by step, validation IoU by steps of training, validation IoU by labelled photos."""
    figure, (loss, steps, photos) = new_figure(11, 3.7, columns=3)
    _draw_arms(loss, read_result(results, LOSSES))
    _draw_steps(steps, results)
    _draw_photos(photos, read_cells(results, TABLES_OFTEN))
    return figure


def training_losses(results: Path) -> Figure:
    """All loss parts and the learning rate of the three trainings that led to the shipped student."""
    figure, axes = new_figure(11, 5.2, columns=3, rows=2)
    runs = read_result(results, LOSSES)
    for column, (run, title) in enumerate(_RUNS.items()):
        curves = runs[run]
        parts, rate = axes[column], axes[column + len(_RUNS)]
        for part, colour in zip(_PARTS, SERIES, strict=False):
            if any(curves["values"].get(part, [])):
                values = curves["values"][part]
                parts.plot(curves["step"], values, color=colour, linewidth=0.6, alpha=0.25)
                parts.plot(curves["step"], _smoothed(values), color=colour, linewidth=1.8, label=part)
        parts.set_title(f"{title} ({run})")
        parts.set_yscale("log")
        rate.plot(curves["step"], curves["values"]["lr"], color=INK, linewidth=1.2)
        rate.set_xlabel("step")
        rate.set_ylim(bottom=0)
    axes[0].set_ylabel("loss")
    axes[len(_RUNS)].set_ylabel("learning rate")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(_PARTS))
    return figure


def _smoothed(values: Sequence[float]) -> list[float]:
    """Means of up to `_WINDOW` neighbouring points."""
    half = _WINDOW // 2
    return [float(np.mean(values[max(0, place - half) : place + half + 1])) for place in range(len(values))]


def _draw_arms(axes: Axes, runs: Mapping[str, Any]) -> None:
    for name, (stem, colour) in _ARMS.items():
        curves = [runs[f"{stem}-{seed}"] for seed in _SEEDS]
        values = [curve["values"]["semantic"] for curve in curves]
        for curve, line in zip(curves, values, strict=True):
            axes.plot(curve["step"], line, color=colour, linewidth=0.7, alpha=0.3)
        axes.plot(curves[0]["step"], np.mean(values, axis=0), color=colour, linewidth=2, label=name)
    axes.set_title("training: semantic loss of one batch")
    axes.set_xlabel("step")
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=8)


def _draw_steps(axes: Axes, results: Path) -> None:
    scores = read_steps(results)
    lines = {surface.name: (index, CLASS_COLOURS[surface.name]) for index, surface in enumerate(CLASSES)}
    for name, (index, colour) in lines.items():
        _draw_seeds(axes, {step: [one.iou[index] for one in of] for step, of in scores.items()}, name, colour)
    _draw_seeds(axes, {step: [one.mean_iou for one in of] for step, of in scores.items()}, "mean", INK)
    axes.set_title("validation: IoU by steps of training")
    axes.set_xscale("log")
    axes.set_xticks(list(SCORED), [str(step) for step in SCORED], minor=False)
    axes.minorticks_off()
    axes.set_xlabel("steps, each a whole schedule")
    axes.set_ylim(0, 1)
    axes.legend(fontsize=8, loc="lower right", ncols=2)


def _draw_seeds(axes: Axes, scores: Mapping[int, Sequence[float]], name: str, colour: str) -> None:
    means = [float(np.mean(of)) for of in scores.values()]
    axes.plot(list(scores), means, color=colour, linewidth=2, label=name)
    for step, of in scores.items():
        axes.plot([step] * len(of), of, ".", color=colour, markersize=6, alpha=0.6)


def _draw_photos(axes: Axes, cells: list[Any]) -> None:
    curves = curves_of(cells)
    for queue, colour in zip(_QUEUES, (PALE, SERIES[2], SERIES[4]), strict=True):
        curve: Curve = curves[queue]
        axes.errorbar(
            curve.reviews, curve.means, curve.deviations, color=colour, linewidth=2, elinewidth=0.8, label=queue
        )
    everything = everything_score(cells)
    if everything is not None:
        axes.axhline(everything, color=INK, linewidth=0.9, linestyle=(0, (5, 4)), label="all 652 photos")
    axes.set_title("validation: mean IoU by labelled photos")
    axes.set_xlabel(f"photos with human labels (0: {NOTHING})")
    axes.legend(fontsize=8, loc="lower right")
