"""The numbers of a score sheet: estimates with bootstrap intervals over photos, paired differences, means over seeds.

Intervals are percentile bootstrap intervals (Efron, 1979) of 95 %. A difference is taken on the same draw of photos for
both sides, so what makes a photo hard for both cancels out.
"""

from __future__ import annotations

import math
import statistics
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from distill.evaluation.report import PhotoScore, Report
from surfaces.classes import CLASSES, DINING_TABLE
from surfaces.metrics import SegmentMatches, bootstrap_sums, percentile_interval

Counts = npt.NDArray[np.float64]
"""float64 … x 8 x C: of each class the pixels of intersection and union, the same of boundaries, right segments, false
and missed ones, and the sum of the right ones' IoU; of one photo, or summed over photos."""

Statistic = Callable[[Counts], Counts]
"""From such sums to numbers (…); NaN where it is not defined."""

MEAN = "mean"


def counts_of(photos: Sequence[PhotoScore]) -> Counts:
    """What statistics are computed of, N x 8 x C."""
    return np.stack([_photo_counts(photo) for photo in photos])


def scores_of(report: Report) -> dict[str, Any]:
    """All scores of a contender on a dataset as JSON holds them: `value` and `interval`, null where undefined."""
    estimates = _estimates(counts_of(report.photos), lambda statistic: statistic)
    return {
        **estimates,
        "table_ap": plain(report.tables.ap),
        "table_ap50": plain(report.tables.ap50),
        "calibration_error": plain(report.calibration_error),
        "photos": len(report.photos),
        "photos_with_table": report.tables.photos_there,
    }


def difference_of(these: Sequence[Report], those: Sequence[Report]) -> dict[str, Any]:
    """What these contenders score more than those, on average over the pairs, with intervals, for each statistic.

    Args:
        these, those: reports on the same photos, as many of one as of the other.

    Raises:
        ValueError: the photos differ.
    """
    names = {tuple(photo.name for photo in report.photos) for report in (*these, *those)}
    if len(names) != 1:
        raise ValueError("differences are taken on the same photos")
    pairs = np.stack([counts_of(report.photos) for report in (*these, *those)], axis=1)

    def more(statistic: Statistic) -> Statistic:
        def mean_difference(sums: Counts) -> Counts:
            values = statistic(sums)
            return np.asarray(values[..., : len(these)].mean(axis=-1) - values[..., len(these) :].mean(axis=-1))

        return mean_difference

    return _estimates(pairs, more)


def means_over_seeds(scores: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Mean and deviation (of the sample) of each score over contenders that differ by their seed alone."""
    return {name: _mean_and_deviation([_number(one[name]) for one in scores]) for name in scores[0] if _averaged(name)}


def plain(value: float) -> float | None:
    """A number as JSON holds it."""
    return None if math.isnan(value) else round(value, 6)


def _photo_counts(photo: PhotoScore) -> npt.NDArray[np.float64]:
    segments = np.array([_segment_counts(match) for match in photo.matches], np.float64)
    return np.concatenate([photo.regions.T, photo.boundaries.T, segments.T])


def _segment_counts(match: SegmentMatches) -> tuple[float, float, float, float]:
    return len(match.matched_ious), match.false_positives, match.false_negatives, sum(match.matched_ious)


def _estimates(photos: Counts, made: Callable[[Statistic], Statistic]) -> dict[str, Any]:
    """What is made of each statistic, with its interval, of counts N x … x 8 x C."""
    whole, drawn = photos.sum(axis=0), bootstrap_sums(photos)
    found = {}
    for name, statistic in STATISTICS.items():
        value, ends = float(made(statistic)(whole)), percentile_interval(made(statistic)(drawn))
        found[name] = {"value": plain(value), "interval": [plain(end) for end in ends]}
    return found


def _iou(index: int, row: int) -> Statistic:
    return lambda sums: _share(sums[..., row, index], sums[..., row + 1, index])


def _mean_iou(row: int) -> Statistic:
    return lambda sums: _mean(_share(sums[..., row, :], sums[..., row + 1, :]))


def _table_precision(sums: Counts) -> Counts:
    right, false = sums[..., 4, _TABLE], sums[..., 5, _TABLE]
    return _share(right, right + false)


def _table_recall(sums: Counts) -> Counts:
    right, missed = sums[..., 4, _TABLE], sums[..., 6, _TABLE]
    return _share(right, right + missed)


def _mean_pq(sums: Counts) -> Counts:
    right, false, missed, ious = (sums[..., row, :] for row in range(4, 8))
    return _mean(_share(ious, right + (false + missed) / 2))


def _mean(values: Counts) -> Counts:
    """The mean over the classes that are defined."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of nothing but NaN the mean is NaN
        return np.asarray(np.nanmean(values, axis=-1))


def _share(part: Counts, whole: Counts) -> Counts:
    with np.errstate(invalid="ignore"):
        return np.asarray(part / whole)


_TABLE = CLASSES.index(DINING_TABLE)

STATISTICS: dict[str, Statistic] = {
    **{f"{surface.name} IoU": _iou(index, 0) for index, surface in enumerate(CLASSES)},
    f"{MEAN} IoU": _mean_iou(0),
    **{f"{surface.name} BIoU": _iou(index, 2) for index, surface in enumerate(CLASSES)},
    f"{MEAN} BIoU": _mean_iou(2),
    "table_precision": _table_precision,
    "table_recall": _table_recall,
    "mean_pq": _mean_pq,
}
"""By name."""


def _averaged(name: str) -> bool:
    return not name.startswith("photos")


def _number(score: Any) -> float:
    value = score["value"] if isinstance(score, dict) else score
    return math.nan if value is None else float(value)


def _mean_and_deviation(values: list[float]) -> dict[str, Any]:
    return {"mean": plain(statistics.fmean(values)), "deviation": plain(statistics.stdev(values)), "values": values}
