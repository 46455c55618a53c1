"""Score against the number of reviewed photos: how many a queue needs, and a picture of it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from surfaces.drawing.web_page import render_part

COLOURS = ("#7a7a7a", "#c8463c", "#3c6eb4", "#d28c1e", "#2d8c5a", "#8c50a0", "#46a0aa", "#a0783c")

_WIDTH, _HEIGHT = 560, 340  # of the plot, in SVG's units
_LEFT, _TOP, _BOTTOM, _RIGHT = 56, 40, 48, 150
_SCORE_STEP = 0.02  # between the lines across


@dataclass(frozen=True)
class Curve:
    """A queue's scores.

    Attributes:
        reviews: ascending numbers of reviewed photos.
        scores: for each of them the scores of all seeds.
    """

    reviews: tuple[int, ...]
    scores: tuple[tuple[float, ...], ...]

    @property
    def means(self) -> list[float]:
        """Mean score at each number of reviews."""
        return [float(np.mean(scores)) for scores in self.scores]

    @property
    def deviations(self) -> list[float]:
        """Standard deviation over the seeds (of a sample; 0 for one seed)."""
        return [float(np.std(scores, ddof=1)) if len(scores) > 1 else 0.0 for scores in self.scores]


def reviews_needed(curve: Curve, score: float) -> float | None:
    """The fewest reviews at which a curve's mean has reached a score, linear between its points; None: it has not."""
    points = list(zip(curve.reviews, curve.means, strict=True))
    if points and points[0][1] >= score:
        return float(points[0][0])
    for (before, low), (after, high) in itertools.pairwise(points):
        if high >= score:
            return before + (after - before) * (score - low) / (high - low)
    return None


def curves_svg(title: str, curves: Mapping[str, Curve], ceiling: float | None = None) -> str:
    """A picture of several queues' curves: means as lines, one standard deviation as a band around each.

    Args:
        title: plain text, above the plot.
        curves: by the name of their queue.
        ceiling: a score to draw as a dashed line: that of all photos reviewed.
    """
    edges = [
        mean + sign * deviation
        for curve in curves.values()
        for mean, deviation in zip(curve.means, curve.deviations, strict=True)
        for sign in (-1, 1)
    ]
    edges += [ceiling] if ceiling is not None else []
    axes = _Axes(max(max(curve.reviews) for curve in curves.values()), *_round_ends(min(edges), max(edges)))
    reviews = sorted({count for curve in curves.values() for count in curve.reviews})
    return render_part(
        "distill/curves.svg",
        title=title,
        size_wh=(_LEFT + _WIDTH + _RIGHT, _TOP + _HEIGHT + _BOTTOM),
        left=_LEFT,
        top=_TOP,
        right=_LEFT + _WIDTH,
        bottom=_TOP + _HEIGHT,
        middle=f"{_LEFT + _WIDTH / 2:g}",
        scores=_score_lines(axes),
        reviews=[(f"{axes.x(count):.1f}", count) for count in reviews],
        ceiling=None if ceiling is None else _height(axes, ceiling),
        curves=[
            _drawn(axes, index, name, curve, colour)
            for index, ((name, curve), colour) in enumerate(zip(curves.items(), COLOURS, strict=False))
        ],
    )


@dataclass(frozen=True)
class _Axes:
    most_reviews: int
    lowest: float
    highest: float

    def x(self, reviews: float) -> float:
        # Square roots keep the few first reviews apart.
        return _LEFT + _WIDTH * math.sqrt(reviews / self.most_reviews)

    def y(self, score: float) -> float:
        return _TOP + _HEIGHT * (self.highest - score) / (self.highest - self.lowest)

    def points(self, reviews: Sequence[float], scores: Sequence[float]) -> str:
        return " ".join(f"{self.x(r):.1f},{self.y(s):.1f}" for r, s in zip(reviews, scores, strict=True))


def _round_ends(low: float, high: float) -> tuple[float, float]:
    """Ends of an axis around two scores: multiples of the step, apart."""
    first = math.floor(low / _SCORE_STEP)
    return first * _SCORE_STEP, max(math.ceil(high / _SCORE_STEP), first + 1) * _SCORE_STEP


def _score_lines(axes: _Axes) -> list[tuple[str, str, str]]:
    """The lines across: their height, that of the text beside it, and the text."""
    scores = [axes.lowest + n * _SCORE_STEP for n in range(round((axes.highest - axes.lowest) / _SCORE_STEP) + 1)]
    return [(*_height(axes, score), f"{score:.2f}") for score in scores]


def _height(axes: _Axes, score: float) -> tuple[str, str]:
    """A score's height, and that of the text beside it."""
    return f"{axes.y(score):.1f}", f"{axes.y(score) + 4:.1f}"


def _drawn(axes: _Axes, index: int, name: str, curve: Curve, colour: str) -> dict[str, object]:
    """A curve, its band of one standard deviation and its place in the legend."""
    ends = list(zip(curve.means, curve.deviations, strict=True))
    upper, lower = [mean + deviation for mean, deviation in ends], [mean - deviation for mean, deviation in ends]
    return {
        "name": name,
        "colour": colour,
        "band": axes.points([*curve.reviews, *reversed(curve.reviews)], [*upper, *reversed(lower)]),
        "line": axes.points(curve.reviews, curve.means),
        "dots": [
            (f"{axes.x(count):.1f}", f"{axes.y(score):.1f}")
            for count, score in zip(curve.reviews, curve.means, strict=True)
        ],
        "legend_y": _TOP + _HEIGHT - 14 - 20 * index,
    }
