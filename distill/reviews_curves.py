"""Score against the number of reviewed photos: how many a queue needs, and a picture of it."""

from __future__ import annotations

import html
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

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
    drawn = [_grid(axes, reviews), *([] if ceiling is None else [_ceiling(axes, ceiling)])]
    coloured = list(zip(curves.items(), COLOURS, strict=False))
    drawn += [_band(axes, curve, colour) for (_, curve), colour in coloured]
    drawn += [_line(axes, curve, colour) for (_, curve), colour in coloured]
    drawn += [_legend(index, name, colour) for index, ((name, _), colour) in enumerate(coloured)]
    width, height = _LEFT + _WIDTH + _RIGHT, _TOP + _HEIGHT + _BOTTOM
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
        f' font-family="sans-serif" font-size="12" role="img" aria-label="{html.escape(title)}">'
        f'<rect width="{width}" height="{height}" fill="white"/>'
        f'<text x="{_LEFT}" y="22" font-size="14" font-weight="bold">{html.escape(title)}</text>'
        f"{''.join(drawn)}</svg>\n"
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


def _grid(axes: _Axes, reviews: Sequence[int]) -> str:
    right, bottom = _LEFT + _WIDTH, _TOP + _HEIGHT
    parts = []
    for line in range(round((axes.highest - axes.lowest) / _SCORE_STEP) + 1):
        score = axes.lowest + line * _SCORE_STEP
        y = axes.y(score)
        parts.append(f'<path d="M{_LEFT} {y:.1f}H{right}" stroke="#ddd"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{score:.2f}</text>')
    for count in reviews:
        x = axes.x(count)
        parts.append(f'<path d="M{x:.1f} {_TOP}V{bottom}" stroke="#eee"/>')
        parts.append(f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{count}</text>')
    parts.append(f'<text x="{_LEFT + _WIDTH / 2:g}" y="{bottom + 38}" text-anchor="middle">reviewed photos</text>')
    return "".join(parts)


def _ceiling(axes: _Axes, score: float) -> str:
    y = axes.y(score)
    return (
        f'<path d="M{_LEFT} {y:.1f}h{_WIDTH}" stroke="#444" stroke-dasharray="5 4"/>'
        f'<text x="{_LEFT + _WIDTH + 8}" y="{y + 4:.1f}">all photos</text>'
    )


def _band(axes: _Axes, curve: Curve, colour: str) -> str:
    upper = [mean + deviation for mean, deviation in zip(curve.means, curve.deviations, strict=True)]
    lower = [mean - deviation for mean, deviation in zip(curve.means, curve.deviations, strict=True)]
    around = axes.points([*curve.reviews, *reversed(curve.reviews)], [*upper, *reversed(lower)])
    return f'<polygon points="{around}" fill="{colour}" opacity="0.10"/>'


def _line(axes: _Axes, curve: Curve, colour: str) -> str:
    dots = "".join(
        f'<circle cx="{axes.x(count):.1f}" cy="{axes.y(score):.1f}" r="3" fill="{colour}"/>'
        for count, score in zip(curve.reviews, curve.means, strict=True)
    )
    line = axes.points(curve.reviews, curve.means)
    return f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>{dots}'


def _legend(index: int, name: str, colour: str) -> str:
    x, y = _LEFT + _WIDTH + 8, _TOP + _HEIGHT - 14 - 20 * index
    return (
        f'<path d="M{x} {y - 4}h18" stroke="{colour}" stroke-width="3"/>'
        f'<text x="{x + 24}" y="{y}">{html.escape(name)}</text>'
    )
