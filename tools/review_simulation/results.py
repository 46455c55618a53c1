"""Scores of the trials, and how many reviews each queue needs."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from surfaces.classes import CLASSES

BASELINE = "random"
"""The queue that the others are compared with."""

NOTHING, EVERYTHING = "none", "all"
"""Instead of a queue: no photo is reviewed, or all training photos are."""


@dataclass(frozen=True)
class Trial:
    """The score of one training."""

    queue: str  # or `NOTHING`, `EVERYTHING`
    reviews: int
    seed: int  # of the training, the random queue and the pool of photos
    iou: Mapping[str, float]  # by class
    table_photos: int  # reviewed photos with a dining table

    @property
    def mean_iou(self) -> float:
        """The mean over the classes."""
        return float(np.mean([self.iou[surface.name] for surface in CLASSES]))

    def score(self, surface: str = "") -> float:
        """IoU of a class, mean IoU where no name is given."""
        return self.iou[surface] if surface else self.mean_iou


@dataclass(frozen=True)
class Curve:
    """A queue's scores of all seeds, by ascending number of reviews."""

    reviews: tuple[int, ...]
    scores: tuple[tuple[float, ...], ...]

    @property
    def means(self) -> list[float]:
        """Mean score at each number of reviews."""
        return [float(np.mean(scores)) for scores in self.scores]

    @property
    def deviations(self) -> list[float]:
        """Sample standard deviation over the seeds, 0 for one seed."""
        return [_deviation(scores) for scores in self.scores]


def queue_curves(trials: Sequence[Trial], surface: str = "") -> dict[str, Curve]:
    """Each queue's curve of the mean IoU, or of a class's IoU, from no reviews on."""
    curves = {}
    for queue in dict.fromkeys(trial.queue for trial in trials if trial.queue not in (NOTHING, EVERYTHING)):
        own = [trial for trial in trials if trial.queue in (NOTHING, queue)]
        reviews = tuple(sorted({trial.reviews for trial in own}))
        scores = (tuple(trial.score(surface) for trial in own if trial.reviews == count) for count in reviews)
        curves[queue] = Curve(reviews, tuple(scores))
    return curves


def reviews_needed(curve: Curve, score: float) -> float | None:
    """The fewest reviews at which the mean reaches a score, interpolated linearly; None if it never does."""
    points = list(zip(curve.reviews, curve.means, strict=True))
    if points and points[0][1] >= score:
        return float(points[0][0])
    for (before, low), (after, high) in itertools.pairwise(points):
        if high >= score:
            return before + (after - before) * (score - low) / (high - low)
    return None


def compare_with_baseline(curves: Mapping[str, Curve]) -> dict[str, dict[str, float | None]]:
    """How many reviews each queue needs for the score of each number of random reviews; empty without these."""
    if BASELINE not in curves:
        return {}
    baseline = curves[BASELINE]
    return {
        str(count): {queue: reviews_needed(curve, score) for queue, curve in curves.items()}
        for count, score in zip(baseline.reviews, baseline.means, strict=True)
        if count
    }


def full_review_score(trials: Sequence[Trial]) -> float | None:
    """Mean IoU with all training photos reviewed; None if that was not tried."""
    scores = [trial.mean_iou for trial in trials if trial.queue == EVERYTHING]
    return float(np.mean(scores)) if scores else None


def trials_from_json(content: Mapping[str, Any]) -> list[Trial]:
    """The trials in a file `reviews.json`."""
    return [Trial(**{key: value for key, value in one.items() if key != "mean_iou"}) for one in content["cells"]]


def as_table(trials: Sequence[Trial]) -> str:
    """Mean IoU over the seeds as a Markdown table, and how many reviews each queue needs."""
    lines = ["| queue | reviews | mean IoU | deviation |", "|---|---|---|---|"]
    for queue, reviews in dict.fromkeys((trial.queue, trial.reviews) for trial in trials):
        scores = [trial.mean_iou for trial in trials if (trial.queue, trial.reviews) == (queue, reviews)]
        lines.append(f"| {queue} | {reviews} | {np.mean(scores):.3f} | {_deviation(scores):.3f} |")
    for count, needed in compare_with_baseline(queue_curves(trials)).items():
        numbers = ", ".join(f"{queue} {'never' if n is None else f'{n:.0f}'}" for queue, n in needed.items())
        lines.append(f"\nReviews to reach the score of {BASELINE} with {count}: {numbers}")
    return "\n".join(lines)


def _deviation(scores: Sequence[float]) -> float:
    return float(np.std(scores, ddof=1)) if len(scores) > 1 else 0.0
