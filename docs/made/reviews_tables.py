"""Tables of `python -m distill reviews`: what each queue's reviews teach, and how many each needs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from distill.reviews_curves import Curve
from distill.reviews_report import BASELINE, Cell, curves_of, everything_score, means_table, needed_reviews
from docs.made.formats import bold, markdown_table, read_result, share
from surfaces.classes import DINING_TABLE

EVENLY, TABLES_OFTEN = "reviews-nyuv2.json", "reviews-nyuv2-tables.json"
_TOLD = (100, 200)  # the random queue's numbers of reviews that the others are held against


def read_cells(results: Path, name: str) -> list[Cell]:
    """All trainings' scores of a comparison of queues."""
    cells = read_result(results, name)["cells"]
    return [Cell(**{key: value for key, value in cell.items() if key != "mean_iou"}) for cell in cells]


def reviews(results: Path) -> str:
    """Means over the seeds, each class and number of reviews."""
    return means_table(read_cells(results, EVENLY))


def reviews_needed(results: Path) -> str:
    """How many reviews each queue needs to score what the random queue scores."""
    return _needed_table(read_cells(results, EVENLY))


def reviews_tables(results: Path) -> str:
    """Mean IoU, deviation and dining IoU by queue and number of reviews, where tables are drawn more often."""
    cells = read_cells(results, TABLES_OFTEN)
    means, dining = curves_of(cells), curves_of(cells, DINING_TABLE.name)
    counts = [count for count in means[BASELINE].reviews if count]
    rows = [[queue, *(_cell(means[queue], dining[queue], count) for count in counts)] for queue in means]
    everything = everything_score(cells)
    told = "" if everything is None else f"\n\nAll photos reviewed: {share(everything)}."
    return markdown_table(["queue", *map(str, counts)], rows) + told


def reviews_tables_needed(results: Path) -> str:
    """How many reviews each queue needs, where tables are drawn more often."""
    return _needed_table(read_cells(results, TABLES_OFTEN))


def _cell(mean: Curve, dining: Curve, count: int) -> str:
    index = mean.reviews.index(count)
    return f"{share(mean.means[index])} ± {share(mean.deviations[index])} ({share(dining.means[index])})"


def _needed_table(cells: list[Cell]) -> str:
    curves = curves_of(cells)
    needed = needed_reviews(curves)
    random = dict(zip(curves[BASELINE].reviews, curves[BASELINE].means, strict=True))
    rows = [[f"{count} reviews ({share(random[count])})", *_needed_row(needed[str(count)])] for count in _TOLD]
    return markdown_table([f"to score what {BASELINE} scores with", *curves], rows)


def _needed_row(needed: Mapping[str, float | None]) -> list[str]:
    fewest = min(number for number in needed.values() if number is not None)
    told = {queue: "never" if number is None else f"{number:.0f}" for queue, number in needed.items()}
    return [bold(text) if needed[queue] == fewest else text for queue, text in told.items()]
