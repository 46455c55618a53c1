"""Histograms as SVG, to stand in a page."""

from __future__ import annotations

import html

from autolabel.report_facts import BINS, Distribution

_WIDTH, _HEIGHT = 300, 90  # of the bars, in SVG's units
_LEFT, _BOTTOM, _TOP = 4, 20, 14


def histogram_svg(title: str, values: Distribution, colour: str) -> str:
    """Bars from 0 to 1, the mean as a line; pointing at a bar tells its count.

    Args:
        title: plain text, above the bars.
        values: what is drawn.
        colour: CSS colour of the bars.
    """
    highest = max(values.counts) or 1
    bars = "".join(_bar(index, count, count / highest, colour) for index, count in enumerate(values.counts) if count)
    ground = _TOP + _HEIGHT
    ticks = "".join(
        f'<text x="{_LEFT + at * _WIDTH:g}" y="{ground + 15}" text-anchor="{anchor}">{at:g}</text>'
        for at, anchor in ((0, "start"), (0.5, "middle"), (1, "end"))
    )
    told = f"{values.count} · mean {values.mean:.2f}" if values.count else "none"
    return (
        f'<figure class="histogram"><figcaption><b>{html.escape(title)}</b> {told}</figcaption>'
        f'<svg viewBox="0 0 {_WIDTH + 2 * _LEFT} {_TOP + _HEIGHT + _BOTTOM}" role="img"'
        f' aria-label="{html.escape(title)}: {told}">'
        f'<path d="M{_LEFT} {ground + 0.5}h{_WIDTH}" class="axis"/>{bars}{_mean_line(values)}{ticks}</svg></figure>'
    )


def _bar(index: int, count: int, share: float, colour: str) -> str:
    width = _WIDTH / BINS
    height = max(1.0, share * _HEIGHT)
    return (
        f'<rect x="{_LEFT + index * width + 0.5:g}" y="{_TOP + _HEIGHT - height:.1f}" width="{width - 1:g}"'
        f' height="{height:.1f}" fill="{colour}">'
        f"<title>{index / BINS:.2f} to {(index + 1) / BINS:.2f}: {count}</title></rect>"
    )


def _mean_line(values: Distribution) -> str:
    if not values.count:
        return ""
    x = _LEFT + values.mean * _WIDTH
    return f'<path d="M{x:.1f} {_TOP - 4}V{_TOP + _HEIGHT}" class="mean"/>'
