"""Tables of `python -m distill worst`: what the worst photos cost, by cause."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from docs.made.formats import markdown_table, read_result, share
from surfaces.classes import CLASSES

NYUV2, ROOMS, EXAMPLES = "errors-nyuv2.json", "errors-rooms.json", "errors-examples.json"
WALLS, FLOORS = "errors-nyuv2-wall.json", "errors-nyuv2-floor.json"
SHIPPED = "errors-nyuv2-shipped.json"
_DIGITS = 4
_BY_CLASS = {"wall": WALLS, "floor": FLOORS}


def causes_nyuv2(results: Path) -> str:
    """The 30 worst photos of NYUv2's validation part by cause."""
    return _causes(read_result(results, NYUV2))


def causes_rooms(results: Path) -> str:
    """The rooms by cause."""
    return _causes(read_result(results, ROOMS))


def causes_by_class(results: Path) -> str:
    """The photos that lose most wall, and those that lose most floor, by that class's cause."""
    costs = {name: _costs_of_class(read_result(results, file)["worst"], name) for name, file in _BY_CLASS.items()}
    causes = dict.fromkeys(cause for cost in costs.values() for cause in cost)
    rows = [[cause, *(cell for cost in costs.values() for cell in _cells(cost.get(cause)))] for cause in causes]
    totals = [_total(cost.values()) for cost in costs.values()]
    rows.append(["together", *(cell for total in totals for cell in _cells(total))])
    return markdown_table(["cause", "photos", "lost wall IoU", "photos", "lost floor IoU"], rows)


def shipped_beside(results: Path) -> str:
    """What the shipped network loses in the untouched one's worst photos."""
    untouched, shipped = read_result(results, NYUV2), read_result(results, SHIPPED)
    names = [case["name"] for case in untouched["worst"]]
    rows = [_beside(untouched["photos"], shipped["photos"], names, (surface.name,)) for surface in CLASSES]
    rows.append(_beside(untouched["photos"], shipped["photos"], names, tuple(surface.name for surface in CLASSES)))
    return markdown_table(["", "photos", "shipped loses less in", "pixels lost, untouched", "shipped"], rows)


def _causes(found: Mapping[str, Any]) -> str:
    of_worst, total = found["lost_iou_of_worst"], found["lost_iou"]
    columns = [*(surface.name for surface in CLASSES), "mean"]
    rows = [
        [
            cost["cause"],
            str(cost["photos"]),
            str(cost["main"]),
            *_lost(cost["lost_iou"], columns),
            f"{cost['lost_iou']['mean'] / of_worst['mean']:.0%}",
        ]
        for cost in found["causes"]
    ]
    photos = len(found["worst"])
    covered = f"{of_worst['mean'] / total['mean']:.0%} of all" if photos < len(found["photos"]) else ""
    rows.append([f"these {photos} photos", str(photos), str(photos), *_lost(of_worst, columns), covered])
    if photos < len(found["photos"]):
        rows.append([f"all {len(found['photos'])} photos", "", "", *_lost(total, columns), ""])
    return markdown_table(["cause", "photos", "main cause", "wall", "floor", "dining table", "mean", "share"], rows)


def _lost(lost: Mapping[str, float], columns: Sequence[str]) -> list[str]:
    return [share(lost[name], _DIGITS) if lost[name] else "" for name in columns]


def _costs_of_class(worst: Sequence[Mapping[str, Any]], name: str) -> dict[str, tuple[int, float]]:
    """Photos and lost IoU of a class by its cause, the dearest first."""
    costs: dict[str, tuple[int, float]] = {}
    for case in worst:
        photos, lost = costs.get(case["causes"][name], (0, 0.0))
        costs[case["causes"][name]] = (photos + 1, lost + case["lost_iou"][name])
    return dict(sorted(costs.items(), key=lambda item: -item[1][1]))


def _cells(cost: tuple[int, float] | None) -> list[str]:
    return [str(cost[0]), share(cost[1], _DIGITS)] if cost else ["", ""]


def _total(costs: Any) -> tuple[int, float]:
    photos, lost = zip(*costs, strict=True)
    return sum(photos), sum(lost)


def _beside(
    untouched: Mapping[str, Mapping[str, int]],
    shipped: Mapping[str, Mapping[str, int]],
    names: Sequence[str],
    classes: tuple[str, ...],
) -> list[str]:
    pairs = [
        tuple(sum(lost[name].get(surface, 0) for surface in classes) for lost in (untouched, shipped))
        for name in names
        if any(surface in lost[name] for surface in classes for lost in (untouched, shipped))
    ]
    less = sum(second < first for first, second in pairs)
    title = classes[0] if len(classes) == 1 else "together"
    return [title, str(len(pairs)), str(less), *(f"{sum(pair[side] for pair in pairs):,}" for side in (0, 1))]
