"""The score sheet: what `python -m distill scores` wrote, as tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from docs.made.formats import bold, change, markdown_table, read_result, share
from surfaces.classes import CLASSES

SHEET = "scores.json"
MEGABYTE = 1e6

Row = Mapping[str, Any]
Table = Callable[[Path], str]

_CLASSES = [surface.name for surface in CLASSES]
_MEASURES = ("precision", "recall", "iou", "iou_sure")


def iou(data: str) -> Table:
    """IoU of each class on a dataset."""
    return lambda results: _scores(results, data, [f"{name} IoU" for name in (*_CLASSES, "mean")])


def boundary_iou(data: str) -> Table:
    """Boundary IoU of each class on a dataset."""
    return lambda results: _scores(results, data, [f"{name} BIoU" for name in (*_CLASSES, "mean")])


def objects(data: str) -> Table:
    """Dining tables as objects, Panoptic Quality and calibration on a dataset."""
    return lambda results: _scores(results, data, list(_OBJECTS))


def differences(data: str) -> Table:
    """What each contender scores more than the reference on the same photos."""

    def make(results: Path) -> str:
        sheet = read_result(results, SHEET)
        rows = [
            [_title(one, data), *_differences(one["difference"][data])]
            for one in sheet["contenders"]
            if data in one["difference"]
        ]
        return markdown_table(["", *_DIFFERENCES.values()], rows)

    return make


def speed(results: Path) -> str:
    """Speed and size of each contender that was timed, side by side."""
    sheet = read_result(results, SHEET)
    timings = sheet["timing"]["contenders"]
    reference = timings[sheet["reference"]]["median_ms"]
    rows = []
    for one in sheet["contenders"]:
        timing = timings.get(one["name"])
        if timing is None:
            continue
        median = timing["median_ms"]
        rows.append(
            [
                one["title"],
                f"{median:.0f}",
                f"{timing['p90_ms']:.0f}",
                f"{median / reference:.1f}",
                f"{timing['cpu_ms']:.0f}",
                f"{1000 / median:.2g}",
                f"{one['parameters'] / 1e6:.1f} M",
                f"{one['bytes'] / MEGABYTE:.0f} MB",
                one["note"],
            ]
        )
    header = ["", "ms a photo", "p90", "x student", "CPU ms", "photos/s", "parameters", "on disk", "remark"]
    return markdown_table(header, rows)


def timed_on(results: Path) -> str:
    """What the speeds were taken on, a sentence."""
    timing = read_result(results, SHEET)["timing"]
    machine = timing["machine"]
    height, width = timing["size_hw"]
    versions = ", ".join(f"{name} {machine[name]}" for name in ("onnxruntime", "torch", "torchvision"))
    return (
        f"`{timing['photo']}`, {width}x{height}, {timing['threads']} threads; {machine['processor']}, "
        f"{machine['cpus']} cores, load average {machine['load']}; Python {machine['python']}, {versions}."
    )


def seeds(results: Path) -> str:
    """Mean and deviation over seeds."""
    sheet = read_result(results, SHEET)
    names = [f"{name} IoU" for name in (*_CLASSES, "mean")] + ["mean BIoU", "table_precision", "table_recall"]
    rows = [
        [f"{group['title']}, {data}", str(len(group["members"])), *(_spread(scores[name]) for name in names)]
        for group in sheet["groups"]
        for data, scores in group["scores"].items()
    ]
    return markdown_table(["", "seeds", *map(_heading, names)], rows)


def pairs(results: Path) -> str:
    """Differences between contenders of which one is not the reference."""
    rows = [
        [entry["title"], data, *_differences(difference)]
        for entry in read_result(results, SHEET)["differences"]
        for data, difference in entry["difference"].items()
    ]
    return markdown_table(["", "photos", *_DIFFERENCES.values()], rows)


def labels(results: Path) -> str:
    """Auto-labels against people's labels, by class."""
    rows = []
    for entry, comparison in _compared(results):
        for name, found in comparison["classes"].items():
            measures = [_with_ends(found[m], found["intervals"][m]) for m in _MEASURES]
            error = found["calibration_error"]
            rows.append([_labels_title(entry, comparison), name, *measures, "" if error is None else share(error)])
    return markdown_table(["", "class", "precision", "recall", "IoU", "IoU of sure", "calibration error"], rows)


def labels_by_belief(results: Path) -> str:
    """Precision of labelled pixels by the belief in their class, and the share of the pixels."""
    return _by_group(results, "belief_groups", "pixels", lambda count, whole: f"{100 * count / whole:.0f} %")


def labels_by_quality(results: Path) -> str:
    """Mean precision of segments by their quality, and their number."""
    return _by_group(results, "groups", "segments", lambda count, _: str(count))


def labels_absent(results: Path) -> str:
    """Which labels could not be made, a sentence."""
    entries = [entry for entry in read_result(results, SHEET)["labels"] if entry["comparison"] is None]
    return " ".join(f"{entry['title']} on {entry['data']}: {entry['note']}." for entry in entries) or "None."


_OBJECTS = {
    "table_ap": "table AP",
    "table_ap50": "AP50",
    "table_precision": "precision",
    "table_recall": "recall",
    "mean_pq": "mean PQ",
    "calibration_error": "calibration error",
}

_DIFFERENCES = {
    "wall IoU": "wall IoU",
    "floor IoU": "floor",
    "dining table IoU": "dining",
    "mean IoU": "mean",
    "mean BIoU": "mean BIoU",
}


def _scores(results: Path, data: str, names: Sequence[str]) -> str:
    rows = [
        [_title(one, data), *(_score(one["scores"][data][name]) for name in names)]
        for one in read_result(results, SHEET)["contenders"]
        if data in one["scores"]
    ]
    return markdown_table(["", *map(_heading, names)], rows)


def _heading(name: str) -> str:
    return _OBJECTS.get(name, name.replace("dining table", "dining"))


def _title(contender: Row, data: str) -> str:
    """A contender's title, with what it has seen of the data in italics."""
    seen = contender["seen"].get(data)
    return f"{contender['title']} *({seen})*" if seen else contender["title"]


def _score(score: Any) -> str:
    if isinstance(score, dict):
        return _with_ends(score["value"], score["interval"])
    return "" if score is None else share(score)


def _with_ends(value: float | None, interval: Sequence[float | None]) -> str:
    low, high = interval
    if value is None:
        return ""
    return share(value) if low is None or high is None else f"{share(value)} ({share(low)}-{share(high)})"


def _differences(difference: Row) -> list[str]:
    return [_difference(difference[name]) for name in _DIFFERENCES]


def _difference(found: Row) -> str:
    """A difference with its interval; bold where the interval, as it is written, leaves out zero."""
    value, (low, high) = found["value"], found["interval"]
    if value is None:
        return ""
    text = f"{change(value)} ({change(low)} {change(high)})"
    return bold(text) if round(low, 3) > 0 or round(high, 3) < 0 else text


def _spread(score: Row) -> str:
    return "" if score["mean"] is None else f"{share(score['mean'])} ± {share(score['deviation'])}"


def _compared(results: Path) -> list[tuple[Row, Row]]:
    entries = read_result(results, SHEET)["labels"]
    return [(entry, entry["comparison"]) for entry in entries if entry["comparison"] is not None]


def _labels_title(entry: Row, comparison: Row) -> str:
    seen = f" *({entry['seen']})*" if entry["seen"] else ""
    return f"{entry['title']}{seen}; {comparison['photos']} of {entry['data']}"


def _by_group(results: Path, key: str, counted: str, told: Callable[[int, int], str]) -> str:
    rows = []
    edges: list[float] = []
    for entry, comparison in _compared(results):
        for name, groups in comparison[key].items():
            edges = [*(group["least"] for group in groups), 1.0]
            whole = sum(group[counted] for group in groups)
            cells = [
                f"{share(group['precision'], 2)} ({told(group[counted], whole)})" if group[counted] else ""
                for group in groups
            ]
            rows.append([_labels_title(entry, comparison), name, *cells])
    ends = [f"{share(low, 2) if low else '0'}-{share(high, 2)}" for low, high in pairwise(edges)]
    return markdown_table(["", "class", *ends], rows)
