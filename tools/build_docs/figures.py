"""All generated figures, docs/images/NAME.svg."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from surfaces.classes import CLASSES
from tools.build_docs.results import Results, lookup
from tools.build_docs.tables import ERRORS, SCORES, read_trials
from tools.build_docs.trainings import STEPS
from tools.review_simulation.results import full_review_score, queue_curves

_CLASS_COLOURS = {surface.name: "#{:02x}{:02x}{:02x}".format(*surface.colour_rgb) for surface in CLASSES}
_INK, _PALE = "#303030", "#8a8a8a"
_SERIES = ("#7a7a7a", "#c8463c", "#3c6eb4", "#d28c1e", "#2d8c5a", "#8c50a0", "#46a0aa", "#a0783c")


def _new_figure(width: float, height: float, columns: int = 1) -> tuple[Figure, list[Axes]]:
    """A figure (inches, 72 of the SVG's units each) with plots side by side."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, list(figure.subplots(1, columns, squeeze=False).flat)


def error_causes(results: Results) -> Figure:
    """The mean IoU that each cause costs, by class."""
    figure, plots = _new_figure(13.5, 4.6, columns=len(ERRORS))
    titles = ("30 worst of 54 scenes, shipped", "18 rooms, shipped", "30 worst of NYUv2's 143, a trial")
    for axes, name, title in zip(plots, ERRORS, titles, strict=True):
        costs = results.read(name)["causes"]
        causes, left = [cost["cause"] for cost in costs], np.zeros(len(costs))
        for surface, colour in _CLASS_COLOURS.items():
            lost = np.array([cost["lost_iou"][surface] / len(CLASSES) for cost in costs])
            axes.barh(causes, lost, left=left, color=colour, label=surface)
            left = left + lost
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.grid(visible=True, axis="x")
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.set_xlabel("lost mean IoU")
        axes.set_title(title)
    figure.legend(*plots[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(CLASSES))
    return figure


def learning_curves(results: Results) -> Figure:
    """Validation IoU by steps of training, and by labelled photos."""
    figure, (by_steps, by_photos) = _new_figure(8.4, 3.7, columns=2)
    reports = {steps: [results.read(name) for name in names] for steps, names in STEPS.items()}
    for name, colour in (_CLASS_COLOURS | {"*": _INK}).items():
        scores = {steps: [lookup(report, f"classes/{name}/iou") for report in of] for steps, of in reports.items()}
        _draw_seeds(by_steps, scores, name.replace("*", "mean"), colour)
    by_steps.set_title("validation: IoU by steps of training")
    by_steps.set_xscale("log")
    by_steps.set_xticks(list(STEPS), [str(step) for step in STEPS], minor=False)
    by_steps.minorticks_off()
    by_steps.set_xlabel("steps, each a whole schedule")
    by_steps.set_ylim(0, 1)
    by_steps.legend(fontsize=8, loc="lower right", ncols=2)
    _draw_queues(by_photos, results, {"random": _PALE, "class-balanced": _SERIES[2], "expected-gain": _SERIES[4]})
    by_photos.set_title("validation: mean IoU by labelled photos")
    return figure


def _draw_seeds(axes: Axes, scores: Mapping[int, Sequence[float]], name: str, colour: str) -> None:
    axes.plot(list(scores), [float(np.mean(of)) for of in scores.values()], color=colour, linewidth=2, label=name)
    for steps, of in scores.items():
        axes.plot([steps] * len(of), of, ".", color=colour, markersize=6, alpha=0.6)


def review_queues(results: Results) -> Figure:
    """Mean IoU by reviewed photos for all queues."""
    figure, (axes,) = _new_figure(8.4, 4.6)
    _draw_queues(axes, results, dict(zip(queue_curves(read_trials(results)), _SERIES, strict=False)))
    return figure


def _draw_queues(axes: Axes, results: Results, colours: Mapping[str, str]) -> None:
    """Means as lines, one standard deviation over the seeds as a band around each."""
    trials = read_trials(results)
    curves = queue_curves(trials)
    for queue, colour in colours.items():
        curve = curves[queue]
        means, deviations = np.array(curve.means), np.array(curve.deviations)
        axes.fill_between(curve.reviews, means - deviations, means + deviations, color=colour, alpha=0.12, linewidth=0)
        axes.plot(curve.reviews, means, color=colour, linewidth=2, marker=".", label=queue)
    everything = full_review_score(trials)
    if everything is not None:
        axes.axhline(everything, color=_INK, linewidth=0.9, linestyle=(0, (5, 4)), label="all photos")
    axes.set_xlabel("photos with human labels")
    axes.set_ylabel("mean IoU")
    axes.legend(fontsize=8, loc="lower right")


def accuracy_by_latency(results: Results) -> Figure:
    """Mean IoU with its interval by milliseconds per photo, for each dataset; hollow where photos were trained on."""
    content = results.read(SCORES)
    timings, datasets = content["timing"]["contenders"], content["data"]
    figure, plots = _new_figure(9.0, 4.2, columns=len(datasets))
    timed = [model for model in content["contenders"] if model["name"] in timings and model["scores"]]
    for axes, data in zip(plots, datasets, strict=True):
        for colour, model in zip(_SERIES, timed, strict=False):
            if score := lookup(model, f"scores/{data['name']}/mean IoU"):
                low, high = score["interval"]
                axes.errorbar(
                    timings[model["name"]]["median_ms"],
                    score["value"],
                    yerr=[[score["value"] - low], [high - score["value"]]],
                    color=colour,
                    fmt="o",
                    markerfacecolor="white" if model["seen"].get(data["name"]) else colour,
                    label=model["title"].replace("`", ""),
                )
        axes.set_title(f"{data['name']}, {data['photos']} photos")
        axes.set_xlim(left=0)
        axes.set_xlabel(f"ms per photo, {content['timing']['threads']} threads")
    plots[0].set_ylabel("mean IoU")
    figure.legend(*plots[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def table_scores(results: Results) -> Figure:
    """Precision and recall of dining tables by the minimum score, on each set of photos kept apart."""
    sets = {"hard": "hard photos", "tables-val": "tables or none", "scenes-val": "scenes"}
    figure, plots = _new_figure(9.0, 3.2, columns=len(sets))
    for axes, (name, title) in zip(plots, sets.items(), strict=True):
        report = results.read(f"reviewed-{name}.json")
        curve = report["tables"]["curve"]
        for measure, colour in (("precision", _SERIES[1]), ("recall", _SERIES[2])):
            points = [(point["min_score"], point[measure]) for point in curve if point[measure] is not None]
            axes.plot(*zip(*points, strict=True), color=colour, linewidth=2, label=measure)
        axes.set_title(f"{title} ({report['data']['photos']})")
        axes.set_xlabel("minimum score")
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
    plots[0].legend(fontsize=8, loc="lower left")
    return figure


FIGURES: dict[str, Callable[[Results], Figure]] = {
    "errors-causes": error_causes,
    "learning-curves": learning_curves,
    "reviews-nyuv2-tables": review_queues,
    "scores": accuracy_by_latency,
    "table-scores": table_scores,
}
"""By the stem of the file in docs/images."""
