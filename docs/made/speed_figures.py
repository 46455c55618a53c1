"""How long networks take, from what `python -m distill benchmark` measured."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from docs.made.formats import read_result
from docs.made.speed_tables import MOBILENET, NETWORK, PHOTO, RESNET
from docs.made.style import INK, PALE, SERIES, new_figure

_NAMES = {
    NETWORK: "this network alone",
    PHOTO: "this network, photo to masks",
    MOBILENET: "Mask R-CNN MobileNetV3-L-FPN\n(torchvision)",
    RESNET: "Mask R-CNN ResNet-50-FPN\n(torchvision)",
}


def speed(results: Path) -> Figure:
    """Medians as bars, 90th percentiles as whiskers, parameters beside them."""
    measured = read_result(results, "benchmark.json")
    timings = {timing["name"]: timing for timing in measured["warm"]}
    figure, (axes,) = new_figure(8.4, 2.6)
    axes.grid(visible=False)
    for place, (name, label) in enumerate(_NAMES.items()):
        timing = timings[name]
        median, late = timing["median_ms"], timing["p90_ms"]
        axes.barh(place, median, color=SERIES[2] if name in (NETWORK, PHOTO) else PALE, height=0.6, label=label)
        axes.plot((median, late), (place, place), color=INK, linewidth=1.2)
        axes.text(late + 25, place, f"{median:.0f} ms, {timing['parameters']:.1f} M parameters", va="center")
    axes.set_yticks(range(len(_NAMES)), list(_NAMES.values()))
    axes.invert_yaxis()
    axes.set_xlim(0, max(timing["p90_ms"] for timing in timings.values()) * 1.5)
    width, height = measured["photo"]
    axes.set_xlabel(f"ms, {height}x{width} photo, {measured['threads']} CPU threads; lines end at the 90th percentile")
    return figure
