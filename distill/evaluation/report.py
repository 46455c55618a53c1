"""The scores of a model on a dataset: counts of each photo, and the report made of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from surfaces.classes import CLASSES, DINING_TABLE
from surfaces.datasets import Labels
from surfaces.detections import Detection
from surfaces.metrics import (
    AveragePrecision,
    OperatingPoint,
    SegmentMatches,
    bootstrap_interval,
    boundary_counts,
    calibration_error,
    iou_of_counts,
    match_segments,
    panoptic_quality,
    precision_recall_curve,
    region_counts,
)

CURVE_SCORES = tuple(step / 20 for step in range(1, 20))
"""Minimum scores of the curve of precision and recall."""


@dataclass(frozen=True, eq=False)
class PhotoScore:
    """Counts of one photo.

    Attributes:
        pixels: height times width.
        regions, boundaries: int64 Cx2, intersection and union of each class and of its boundary.
        matches: of the segments of each class.
    """

    name: str
    pixels: int
    regions: npt.NDArray[np.int64]
    boundaries: npt.NDArray[np.int64]
    matches: tuple[SegmentMatches, ...]

    def iou(self, class_index: int) -> float:
        """IoU of a class in this photo; NaN where it is neither present nor predicted."""
        return float(iou_of_counts(self.regions[np.newaxis])[class_index])

    def wrong_share(self, class_index: int) -> float:
        """Share of the photo's pixels that are wrong for a class."""
        intersection, union = self.regions[class_index]
        return float(union - intersection) / self.pixels


@dataclass(frozen=True)
class ClassScores:
    """The scores of one class, 0 to 1, over all photos; NaN where it is neither present nor predicted.

    Intervals are 95 % bootstrap intervals over photos. `pq`, `sq`, `rq` are Panoptic Quality, mean IoU and F1.
    """

    iou: float
    iou_interval: tuple[float, float]
    boundary_iou: float
    boundary_iou_interval: tuple[float, float]
    pq: float
    sq: float
    rq: float


@dataclass(frozen=True)
class TableScores:
    """Dining tables as objects (COCO's mask AP, matches above half IoU), and photos with a true or predicted one.

    `curve` has precision and recall for each of CURVE_SCORES.
    """

    ap: float
    ap50: float
    precision: float
    recall: float
    f1: float
    photos_there: int
    photos_said: int
    photos_both: int
    curve: tuple[OperatingPoint, ...]


@dataclass(frozen=True)
class Report:
    """The scores of a model on a dataset.

    Attributes:
        min_score: the operating point; lower scores count for AP alone.
        classes: by the class's name.
        mean_pq: over the classes that are defined.
        calibration_error: expected calibration error of the scores of all segments.
        photos: in the dataset's order.
    """

    min_score: float
    classes: dict[str, ClassScores]
    mean_pq: float
    tables: TableScores
    calibration_error: float
    photos: tuple[PhotoScore, ...]

    def to_json(self) -> dict[str, Any]:
        """The report as JSON; undefined numbers are null."""
        content = {
            "classes": {name: asdict(scores) for name, scores in self.classes.items()},
            "mean_pq": self.mean_pq,
            "tables": asdict(self.tables),
            "calibration_error": self.calibration_error,
            "photos": [
                {"name": photo.name, "iou": {c.name: photo.iou(index) for index, c in enumerate(CLASSES)}}
                for photo in self.photos
            ],
        }
        return {"min_score": self.min_score, **plain_numbers(content)}

    def table(self) -> str:
        """The report as lines for a terminal."""
        t = self.tables
        lines = [f"{'class':<14}{'IoU':>6}{'95 %':>12}{'BIoU':>8}{'95 %':>12}{'PQ':>8}{'SQ':>6}{'RQ':>6}"]
        for name, s in self.classes.items():
            iou = f"{_short(s.iou):>6}{_interval(s.iou_interval):>12}"
            boundary = f"{_short(s.boundary_iou):>8}{_interval(s.boundary_iou_interval):>12}"
            lines.append(f"{name:<14}{iou}{boundary}{_short(s.pq):>8}{_short(s.sq):>6}{_short(s.rq):>6}")
        lines += [
            "",
            f"dining tables: AP {_short(t.ap)}  AP50 {_short(t.ap50)}  precision {_short(t.precision)}  "
            f"recall {_short(t.recall)}  F1 {_short(t.f1)}",
            f"photos with a dining table: {t.photos_there}, said in {t.photos_said}, right in {t.photos_both}",
            f"mean PQ {_short(self.mean_pq)}  calibration error {_short(self.calibration_error)}  "
            f"photos {len(self.photos)}",
        ]
        return "\n".join(lines)


def score_photo(name: str, detections: Sequence[Detection], labels: Labels) -> PhotoScore:
    """Counts of one photo, from the prediction at the operating point."""
    return PhotoScore(
        name=name,
        pixels=labels.semantic.size,
        regions=region_counts(detections, labels),
        boundaries=boundary_counts(detections, labels),
        matches=tuple(match_segments(detections, labels, surface) for surface in CLASSES),
    )


def report_of(
    photos: Sequence[PhotoScore],
    average_precision: AveragePrecision,
    min_score: float,
    low_confidence: Sequence[SegmentMatches] = (),
) -> Report:
    """The report on a dataset of at least one photo.

    Args:
        photos: at the operating point.
        average_precision: of dining tables.
        min_score: the operating point.
        low_confidence: of dining tables with those of low scores, a photo each, for the curve; none: as in `photos`.
    """
    tables = [photo.matches[CLASSES.index(DINING_TABLE)] for photo in photos]
    classes = {surface.name: _class_scores(photos, index) for index, surface in enumerate(CLASSES)}
    quality_scores = [scores.pq for scores in classes.values() if not math.isnan(scores.pq)]
    return Report(
        min_score=min_score,
        classes=classes,
        mean_pq=float(np.mean(quality_scores)) if quality_scores else math.nan,
        tables=_table_scores(tables, average_precision, precision_recall_curve(low_confidence or tables, CURVE_SCORES)),
        calibration_error=calibration_error([s for photo in photos for match in photo.matches for s in match.scored]),
        photos=tuple(photos),
    )


def _class_scores(photos: Sequence[PhotoScore], index: int) -> ClassScores:
    def iou(counts: npt.NDArray[np.int64]) -> float:
        return float(iou_of_counts(counts)[index])

    regions = np.stack([photo.regions for photo in photos])
    boundaries = np.stack([photo.boundaries for photo in photos])
    quality = panoptic_quality([photo.matches[index] for photo in photos])
    intervals = bootstrap_interval(regions, iou), bootstrap_interval(boundaries, iou)
    return ClassScores(
        iou(regions), intervals[0], iou(boundaries), intervals[1], pq=quality.pq, sq=quality.sq, rq=quality.rq
    )


def _table_scores(
    matches: Sequence[SegmentMatches], average_precision: AveragePrecision, curve: Sequence[OperatingPoint]
) -> TableScores:
    quality = panoptic_quality(matches)
    return TableScores(
        ap=average_precision.ap,
        ap50=average_precision.ap50,
        precision=quality.precision,
        recall=quality.recall,
        f1=quality.rq,
        photos_there=sum(match.is_there for match in matches),
        photos_said=sum(match.is_said for match in matches),
        photos_both=sum(match.is_there and match.is_said for match in matches),
        curve=tuple(curve),
    )


def plain_numbers(value: Any) -> Any:
    """A value as JSON holds it: rounded, NaN as None, in dicts, lists and tuples too."""
    if isinstance(value, dict):
        return {key: plain_numbers(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain_numbers(inner) for inner in value]
    if isinstance(value, float):
        return None if math.isnan(value) else round(value, 6)
    return value


def _short(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}".removeprefix("0")


def _interval(ends: tuple[float, float]) -> str:
    return "-".join(map(_short, ends)) if not math.isnan(ends[0]) else "-"
