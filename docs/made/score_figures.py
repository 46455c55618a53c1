"""The score sheet as pictures: accuracy against latency, and how far a belief can be trusted."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from docs.made.formats import read_result
from docs.made.score_tables import SHEET, Row
from docs.made.style import CLASS_COLOURS, PALE, SERIES, new_figure

_LABELS = ("ade-nyuv2-bare", "ade-nyuv2")
_LEAST_SHARE = 0.002
"""Groups with a smaller share of a class's pixels say little and are left out."""


def latency(results: Path) -> Figure:
    """Mean IoU, with its interval, by milliseconds a photo, a plot for each dataset; hollow where photos were seen."""
    sheet = read_result(results, SHEET)
    datasets = [entry["name"] for entry in sheet["data"]]
    timings = sheet["timing"]["contenders"]
    figure, plots = new_figure(9.0, 4.2, columns=len(datasets))
    timed = [one for one in sheet["contenders"] if one["name"] in timings and one["scores"]]
    for axes, data in zip(plots, datasets, strict=True):
        for colour, one in zip(SERIES, timed, strict=False):
            if data in one["scores"]:
                _point(axes, timings[one["name"]]["median_ms"], one, data, colour)
        axes.set_title(f"{data}, {next(d['photos'] for d in sheet['data'] if d['name'] == data)} photos")
        axes.set_xlim(left=0)
        axes.set_xlabel(f"ms a photo, {sheet['timing']['threads']} threads")
    plots[0].set_ylabel("mean IoU")
    handles, names = plots[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=2)
    return figure


def reliability(results: Path) -> Figure:
    """Precision of labelled pixels by their belief, without rules and with them."""
    entries = {entry["name"]: entry for entry in read_result(results, SHEET)["labels"]}
    figure, plots = new_figure(8.4, 3.6, columns=len(_LABELS))
    for axes, name in zip(plots, _LABELS, strict=True):
        axes.plot((0, 1), (0, 1), color=PALE, linewidth=1, linestyle="--")
        for surface, groups in entries[name]["comparison"]["belief_groups"].items():
            _curve(axes, surface, groups)
        axes.set_title("with rules" if name == _LABELS[1] else "without rules")
        axes.set_xlabel("mean belief of the pixels")
        axes.set_xlim(0.3, 1.0)
        axes.set_ylim(0, 1.02)
    plots[0].set_ylabel("share that is right")
    plots[1].legend(loc="upper left")
    return figure


def _point(axes: Axes, milliseconds: float, contender: Row, data: str, colour: str) -> None:
    score = contender["scores"][data]["mean IoU"]
    low, high = score["interval"]
    axes.errorbar(
        milliseconds,
        score["value"],
        yerr=[[score["value"] - low], [high - score["value"]]],
        color=colour,
        marker="o",
        markerfacecolor="white" if contender["seen"].get(data) else colour,
        markersize=7,
        linewidth=1,
        linestyle="none",
        label=contender["title"].replace("`", ""),
    )


def _curve(axes: Axes, surface: str, groups: list[Row]) -> None:
    whole = sum(group["pixels"] for group in groups)
    kept = [group for group in groups if group["pixels"] > _LEAST_SHARE * whole]
    beliefs = [group["belief"] for group in kept]
    axes.plot(beliefs, [group["precision"] for group in kept], color=CLASS_COLOURS[surface], marker="o", label=surface)
    lows, highs = ([group["interval"][end] for group in kept] for end in (0, 1))
    axes.fill_between(beliefs, lows, highs, color=CLASS_COLOURS[surface], alpha=0.15, linewidth=0)
