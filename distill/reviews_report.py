"""What came of `python -m distill reviews`: a score for each queue, number of reviews and seed, and what they mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from distill.reviews_curves import Curve, reviews_needed
from surfaces.classes import CLASSES

BASELINE = "random"
"""The queue that the others have to beat."""

NOTHING, EVERYTHING = "none", "all"
"""In a queue's place: no photo is reviewed, or all training photos are."""


@dataclass(frozen=True)
class Cell:
    """One training's score.

    Attributes:
        queue: which chose the reviewed photos; or that none were, or all.
        reviews: how many were reviewed.
        seed: of the training, the random queue and the photos that could be reviewed.
        iou: by the name of the class.
        table_photos: reviewed photos with a dining table.
    """

    queue: str
    reviews: int
    seed: int
    iou: Mapping[str, float]
    table_photos: int

    @property
    def mean_iou(self) -> float:
        """The mean over the classes."""
        return float(np.mean([self.iou[surface.name] for surface in CLASSES]))


def curves_of(cells: Sequence[Cell], surface: str = "") -> dict[str, Curve]:
    """Each queue's curve, from no reviews on.

    Args:
        cells: of all queues, and of none.
        surface: name of the class whose IoU is the score; mean IoU where empty.
    """
    nothing = [cell for cell in cells if cell.queue == NOTHING]
    curves = {}
    for queue in dict.fromkeys(cell.queue for cell in cells if cell.queue not in (NOTHING, EVERYTHING)):
        own = [*nothing, *(cell for cell in cells if cell.queue == queue)]
        reviews = tuple(sorted({cell.reviews for cell in own}))
        curves[queue] = Curve(
            reviews, tuple(tuple(_score(cell, surface) for cell in own if cell.reviews == count) for count in reviews)
        )
    return curves


def needed_reviews(curves: Mapping[str, Curve]) -> dict[str, dict[str, float | None]]:
    """How many reviews each queue needs to reach what the random queue reaches with each number of them.

    Returns:
        By the random queue's number of reviews, by queue; None where a queue never reaches it. Empty without the random
        queue.
    """
    if BASELINE not in curves:
        return {}
    baseline = curves[BASELINE]
    return {
        str(count): {queue: reviews_needed(curve, score) for queue, curve in curves.items()}
        for count, score in zip(baseline.reviews, baseline.means, strict=True)
        if count
    }


def everything_score(cells: Sequence[Cell]) -> float | None:
    """Mean IoU where all training photos are reviewed; None where that was not tried."""
    scores = [cell.mean_iou for cell in cells if cell.queue == EVERYTHING]
    return float(np.mean(scores)) if scores else None


def as_json(cells: Sequence[Cell], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Everything, as JSON can hold it: settings, all cells, and how many reviews each queue needs."""
    return {
        "settings": dict(settings),
        "reviews_needed": needed_reviews(curves_of(cells)),
        "cells": [{**asdict(cell), "mean_iou": round(cell.mean_iou, 4)} for cell in cells],
    }


def as_table(cells: Sequence[Cell]) -> str:
    """Means over the seeds as a Markdown table, and a line on the reviews that each queue needs."""
    lines = [means_table(cells)]
    for count, needed in needed_reviews(curves_of(cells)).items():
        told = ", ".join(f"{queue} {'never' if n is None else f'{n:.0f}'}" for queue, n in needed.items())
        lines.append(f"\nReviews to reach what {BASELINE} reaches with {count}: {told}")
    return "\n".join(lines)


def means_table(cells: Sequence[Cell]) -> str:
    """Means over the seeds as a Markdown table, a row for each queue and number of reviews."""
    lines = [
        "| queue | reviews | with a dining table | wall IoU | floor | dining | mean | deviation |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for queue, reviews in dict.fromkeys((cell.queue, cell.reviews) for cell in cells):
        same = [cell for cell in cells if (cell.queue, cell.reviews) == (queue, reviews)]
        means = [f"{np.mean([_score(cell, name) for cell in same]):.3f}" for name in _COLUMNS]
        deviation = np.std([cell.mean_iou for cell in same], ddof=1) if len(same) > 1 else 0.0
        tables = np.mean([cell.table_photos for cell in same])
        lines.append(f"| {queue} | {reviews} | {tables:.0f} | {' | '.join(means)} | {deviation:.3f} |")
    return "\n".join(lines)


_COLUMNS = (*(surface.name for surface in CLASSES), "")


def _score(cell: Cell, surface: str) -> float:
    return cell.iou[surface] if surface else cell.mean_iou
