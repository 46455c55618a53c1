"""Histograms as SVG's numbers, for a template to draw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from autolabel.report.statistics import BINS, Distribution

_WIDTH, _HEIGHT = 300, 90  # of the bars, in SVG's units
_LEFT, _BOTTOM, _TOP = 4, 20, 14
_GROUND = _TOP + _HEIGHT


@dataclass(frozen=True)
class Bar:
    """A bar; numbers as SVG's attributes hold them, and the text that pointing at it shows."""

    x: str
    y: str
    width: str
    height: str
    label: str


@dataclass(frozen=True)
class Tick:
    """A number below the bars, as SVG's attributes hold it."""

    x: str
    anchor: str
    label: str


_TICKS = tuple(
    Tick(f"{_LEFT + at * _WIDTH:g}", anchor, f"{at:g}") for at, anchor in ((0, "start"), (0.5, "middle"), (1, "end"))
)


@dataclass(frozen=True)
class Histogram:
    """Bars from 0 to 1, the mean as a line.

    Attributes:
        title: plain text, above the bars.
        summary: how many there are, and their mean.
        colour_rgb: of the bars, 0 to 255.
        bars: those that are not empty.
        mean_line: an SVG path; empty where there is no mean.
    """

    title: str
    summary: str
    colour_rgb: tuple[int, int, int]
    bars: Sequence[Bar]
    mean_line: str

    size_wh: ClassVar = (_WIDTH + 2 * _LEFT, _GROUND + _BOTTOM)
    axis: ClassVar = f"M{_LEFT} {_GROUND + 0.5}h{_WIDTH}"
    ticks: ClassVar = _TICKS
    ticks_y: ClassVar = _GROUND + 15


def histogram(title: str, values: Distribution, colour_rgb: tuple[int, int, int]) -> Histogram:
    """Lays a histogram out.

    Args:
        title: plain text, above the bars.
        values: what is drawn.
        colour_rgb: of the bars, 0 to 255.
    """
    highest = max(values.counts) or 1
    return Histogram(
        title,
        f"{values.count} · mean {values.mean:.2f}" if values.count else "none",
        colour_rgb,
        [_bar(index, count, count / highest) for index, count in enumerate(values.counts) if count],
        f"M{_LEFT + values.mean * _WIDTH:.1f} {_TOP - 4}V{_GROUND}" if values.count else "",
    )


def _bar(index: int, count: int, share: float) -> Bar:
    width = _WIDTH / BINS
    height = max(1.0, share * _HEIGHT)
    return Bar(
        x=f"{_LEFT + index * width + 0.5:g}",
        y=f"{_GROUND - height:.1f}",
        width=f"{width - 1:g}",
        height=f"{height:.1f}",
        label=f"{index / BINS:.2f} to {(index + 1) / BINS:.2f}: {count}",
    )
