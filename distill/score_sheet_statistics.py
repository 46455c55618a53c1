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

from distill.report import PhotoScore, Report
from surfaces.classes import CLASSES, DINING_TABLE
from surfaces.metrics import SegmentMatches, bootstrap_interval, iou_of_counts

Counts = npt.NDArray[np.float64]
"""float64 N x 8 x C: of each photo and class the pixels of intersection and union, the same of boundaries, right
segments, false and missed ones, and the sum of the right ones' IoU."""

Statistic = Callable[[Counts], float]

MEAN = "mean"


def counts_of(photos: Sequence[PhotoScore]) -> Counts:
    """What statistics are computed of."""
    return np.stack([_photo_counts(photo) for photo in photos])


def scores_of(report: Report) -> dict[str, Any]:
    """All scores of a contender on a dataset as JSON holds them: `value` and `interval`, null where undefined."""
    counts = counts_of(report.photos)
    estimates = {name: estimate(counts, statistic) for name, statistic in STATISTICS.items()}
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
        def mean_difference(photos: Counts) -> float:
            values = [statistic(photos[:, side]) for side in range(2 * len(these))]
            return float(np.mean(values[: len(these)]) - np.mean(values[len(these) :]))

        return mean_difference

    return {name: estimate(pairs, more(statistic)) for name, statistic in STATISTICS.items()}


def means_over_seeds(scores: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Mean and deviation (of the sample) of each score over contenders that differ by their seed alone."""
    return {name: _mean_and_deviation([_number(one[name]) for one in scores]) for name in scores[0] if _averaged(name)}


def estimate(photos: Counts, statistic: Statistic) -> dict[str, Any]:
    """A statistic and its 95 % interval, as JSON holds them."""
    return {
        "value": plain(statistic(photos)),
        "interval": [plain(end) for end in bootstrap_interval(photos, statistic)],
    }


def plain(value: float) -> float | None:
    """A number as JSON holds it."""
    return None if math.isnan(value) else round(value, 6)


def _photo_counts(photo: PhotoScore) -> npt.NDArray[np.float64]:
    segments = np.array([_segment_counts(match) for match in photo.matches], np.float64)
    return np.concatenate([photo.regions.T, photo.boundaries.T, segments.T])


def _segment_counts(match: SegmentMatches) -> tuple[float, float, float, float]:
    return len(match.matched_ious), match.false_positives, match.false_negatives, sum(match.matched_ious)


def _iou(index: int, row: int) -> Statistic:
    return lambda photos: float(_ious(photos, row)[index])


def _mean_iou(row: int) -> Statistic:
    return lambda photos: _mean(_ious(photos, row))


def _ious(photos: Counts, row: int) -> npt.NDArray[np.float64]:
    return iou_of_counts(photos[:, row : row + 2].transpose(0, 2, 1).astype(np.int64))


def _table_precision(photos: Counts) -> float:
    right, false, _, _ = _table_segments(photos)
    return _share(right, right + false)


def _table_recall(photos: Counts) -> float:
    right, _, missed, _ = _table_segments(photos)
    return _share(right, right + missed)


def _table_segments(photos: Counts) -> npt.NDArray[np.float64]:
    return np.asarray(photos[:, 4:, CLASSES.index(DINING_TABLE)].sum(axis=0))


def _mean_pq(photos: Counts) -> float:
    right, false, missed, ious = photos[:, 4:].sum(axis=0)
    with np.errstate(invalid="ignore"):
        return _mean(ious / (right + (false + missed) / 2))


def _mean(values: npt.NDArray[np.float64]) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of nothing but NaN the mean is NaN
        return float(np.nanmean(values))


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole else math.nan


STATISTICS: dict[str, Statistic] = {
    **{f"{surface.name} IoU": _iou(index, 0) for index, surface in enumerate(CLASSES)},
    f"{MEAN} IoU": _mean_iou(0),
    **{f"{surface.name} BIoU": _iou(index, 2) for index, surface in enumerate(CLASSES)},
    f"{MEAN} BIoU": _mean_iou(2),
    "table_precision": _table_precision,
    "table_recall": _table_recall,
    "mean_pq": _mean_pq,
}
"""By name, each from the counts of photos."""


def _averaged(name: str) -> bool:
    return not name.startswith("photos")


def _number(score: Any) -> float:
    value = score["value"] if isinstance(score, dict) else score
    return math.nan if value is None else float(value)


def _mean_and_deviation(values: list[float]) -> dict[str, Any]:
    return {"mean": plain(statistics.fmean(values)), "deviation": plain(statistics.stdev(values)), "values": values}
