"""Scores with bootstrap intervals over photos, and paired differences.

Intervals are 95 % percentile bootstrap intervals (Efron, 1979). Both sides of a difference use the same draws of
photos, so what makes a photo hard for both cancels out.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from distill.evaluation.report import PhotoScore, Report
from surfaces.classes import CLASSES, DINING_TABLE
from surfaces.metrics import SegmentMatches, bootstrap_sums, percentile_interval

Counts = npt.NDArray[np.float64]
"""float64 … x 8 x C: per class the pixels of intersection and union, the same of boundaries, true positive, false
positive and false negative segments, and the sum of the true positives' IoU; of a photo, or summed over photos."""

Scores = dict[str, npt.NDArray[np.float64]]
"""By name, of shape …; NaN where not defined."""


def scores_of(report: Report) -> dict[str, Any]:
    """All scores of a model on a dataset as JSON: `value` and `interval`, null where undefined."""
    return {
        **_estimate(_photo_counts(report.photos), _scores),
        "table_ap": plain(report.tables.ap),
        "table_ap50": plain(report.tables.ap50),
        "calibration_error": plain(report.calibration_error),
        "photos": len(report.photos),
        "photos_with_table": report.tables.photos_there,
    }


def difference_of(these: Sequence[Report], those: Sequence[Report]) -> dict[str, Any]:
    """The mean difference of each score over pairs of models on the same photos, with intervals, as JSON."""
    names = {tuple(photo.name for photo in report.photos) for report in (*these, *those)}
    if len(names) != 1:
        raise ValueError("differences are taken on the same photos")

    def subtract(sums: Counts) -> Scores:
        halves = {name: np.split(of, 2, axis=-1) for name, of in _scores(sums).items()}
        return {name: np.asarray(one.mean(axis=-1) - other.mean(axis=-1)) for name, (one, other) in halves.items()}

    return _estimate(np.stack([_photo_counts(report.photos) for report in (*these, *those)], axis=1), subtract)


def plain(value: float) -> float | None:
    """A number as JSON holds it."""
    return None if math.isnan(value) else round(value, 6)


def _photo_counts(photos: Sequence[PhotoScore]) -> Counts:
    segments = [[_segment_counts(match) for match in photo.matches] for photo in photos]
    pixels = [np.concatenate([photo.regions.T, photo.boundaries.T]) for photo in photos]
    return np.concatenate([np.array(pixels, np.float64), np.array(segments, np.float64).transpose(0, 2, 1)], axis=1)


def _segment_counts(match: SegmentMatches) -> tuple[float, float, float, float]:
    return len(match.matched_ious), match.false_positives, match.false_negatives, sum(match.matched_ious)


def _estimate(photos: Counts, compute: Callable[[Counts], Scores]) -> dict[str, Any]:
    """Each score of the photos' counts, N x … x 8 x C, with its interval."""
    found, drawn = compute(photos.sum(axis=0)), compute(bootstrap_sums(photos))
    return {
        name: {"value": plain(float(value)), "interval": [plain(end) for end in percentile_interval(drawn[name])]}
        for name, value in found.items()
    }


def _scores(sums: Counts) -> Scores:
    inter, union, boundary_inter, boundary_union, right, false, missed, ious = np.moveaxis(sums, -2, 0)
    found: Scores = {}
    with np.errstate(invalid="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the mean of NaN only is NaN
        for kind, values in (("IoU", inter / union), ("BIoU", boundary_inter / boundary_union)):
            found |= {f"{surface.name} {kind}": values[..., index] for index, surface in enumerate(CLASSES)}
            found[f"mean {kind}"] = np.nanmean(values, axis=-1)
        table = CLASSES.index(DINING_TABLE)
        found["table_precision"] = (right / (right + false))[..., table]
        found["table_recall"] = (right / (right + missed))[..., table]
        found["mean_pq"] = np.nanmean(ious / (right + (false + missed) / 2), axis=-1)
    return found
