"""The scores of a model on a dataset: what is counted in each photo, and the report made of it."""

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
    SegmentMatches,
    bootstrap_interval,
    boundary_counts,
    calibration_error,
    iou_of_counts,
    match_segments,
    panoptic_quality,
    region_counts,
)


@dataclass(frozen=True, eq=False)
class PhotoScore:
    """What was counted in one photo.

    Attributes:
        name: the sample's.
        pixels: height times width.
        regions: int64 Cx2, intersection and union of each class.
        boundaries: int64 Cx2, the same of their boundaries.
        matches: of the segments of each class.
    """

    name: str
    pixels: int
    regions: npt.NDArray[np.int64]
    boundaries: npt.NDArray[np.int64]
    matches: tuple[SegmentMatches, ...]

    def iou(self, class_index: int) -> float:
        """IoU of a class in this photo; NaN where it is neither there nor predicted."""
        return float(iou_of_counts(self.regions[np.newaxis])[class_index])

    def wrong_share(self, class_index: int) -> float:
        """Share of the photo's pixels that are wrong for a class."""
        intersection, union = self.regions[class_index]
        return float(union - intersection) / self.pixels


@dataclass(frozen=True)
class ClassScores:
    """The scores of one class, 0 to 1; NaN where the class is neither there nor predicted.

    Attributes:
        iou: over all photos' pixels.
        iou_interval: its 95 % bootstrap interval over photos.
        boundary_iou: the same of boundaries (2 % of the diagonal).
        boundary_iou_interval: its 95 % interval.
        pq: Panoptic Quality.
        sq: mean IoU of the matched segments.
        rq: F1 of the segments.
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
    """How dining tables are found, as objects and as photos that have one; a match has an IoU above one half.

    Attributes:
        ap: mask AP of COCO, .50 to .95.
        ap50: at .50.
        precision: share of the said tables that are there.
        recall: share of the tables that are found.
        f1: of the two.
        photos_there: photos with a dining table.
        photos_said: photos in which one was said.
        photos_both: photos with one in which one was said.
    """

    ap: float
    ap50: float
    precision: float
    recall: float
    f1: float
    photos_there: int
    photos_said: int
    photos_both: int


@dataclass(frozen=True)
class Report:
    """The scores of a model on a dataset.

    Attributes:
        min_score: the operating point; lower scores count for AP alone.
        classes: by the class's name.
        mean_pq: over the classes that are defined.
        tables: of dining tables.
        calibration_error: expected calibration error of the scores of all segments.
        photos: what was counted in each photo, in the dataset's order.
    """

    min_score: float
    classes: dict[str, ClassScores]
    mean_pq: float
    tables: TableScores
    calibration_error: float
    photos: tuple[PhotoScore, ...]

    def to_json(self) -> dict[str, Any]:
        """The report as JSON holds it; undefined numbers are null."""
        return {
            "min_score": self.min_score,
            "classes": {name: _plain(asdict(scores)) for name, scores in self.classes.items()},
            "mean_pq": _plain(self.mean_pq),
            "tables": _plain(asdict(self.tables)),
            "calibration_error": _plain(self.calibration_error),
            "photos": [
                {"name": photo.name, "iou": {c.name: _plain(photo.iou(i)) for i, c in enumerate(CLASSES)}}
                for photo in self.photos
            ],
        }

    def table(self) -> str:
        """The report as lines for a terminal."""
        head = f"{'class':<14}{'IoU':>6}{'95 %':>12}{'BIoU':>8}{'95 %':>12}{'PQ':>8}{'SQ':>6}{'RQ':>6}"
        lines = [head]
        for name, s in self.classes.items():
            iou = f"{_short(s.iou):>6}{_interval(s.iou_interval):>12}"
            boundary = f"{_short(s.boundary_iou):>8}{_interval(s.boundary_iou_interval):>12}"
            lines.append(f"{name:<14}{iou}{boundary}{_short(s.pq):>8}{_short(s.sq):>6}{_short(s.rq):>6}")
        t = self.tables
        return "\n".join(
            [
                *lines,
                "",
                f"dining tables: AP {_short(t.ap)}  AP50 {_short(t.ap50)}  precision {_short(t.precision)}  "
                f"recall {_short(t.recall)}  F1 {_short(t.f1)}",
                f"photos with a dining table: {t.photos_there}, said in {t.photos_said}, right in {t.photos_both}",
                f"mean PQ {_short(self.mean_pq)}  calibration error {_short(self.calibration_error)}  "
                f"photos {len(self.photos)}",
            ]
        )


def score_photo(name: str, detections: Sequence[Detection], labels: Labels) -> PhotoScore:
    """Counts what is right and wrong in one photo.

    Args:
        name: the sample's.
        detections: the prediction at the operating point.
        labels: the truth.
    """
    return PhotoScore(
        name=name,
        pixels=labels.semantic.size,
        regions=region_counts(detections, labels),
        boundaries=boundary_counts(detections, labels),
        matches=tuple(match_segments(detections, labels, surface) for surface in CLASSES),
    )


def report_of(photos: Sequence[PhotoScore], average_precision: AveragePrecision, min_score: float) -> Report:
    """The report on a dataset.

    Args:
        photos: what was counted in each photo, one at the least.
        average_precision: of dining tables.
        min_score: the operating point.
    """
    classes = {surface.name: _class_scores(photos, index) for index, surface in enumerate(CLASSES)}
    quality_scores = [scores.pq for scores in classes.values() if not math.isnan(scores.pq)]
    return Report(
        min_score=min_score,
        classes=classes,
        mean_pq=float(np.mean(quality_scores)) if quality_scores else math.nan,
        tables=_table_scores([photo.matches[CLASSES.index(DINING_TABLE)] for photo in photos], average_precision),
        calibration_error=calibration_error([s for photo in photos for match in photo.matches for s in match.scored]),
        photos=tuple(photos),
    )


def _class_scores(photos: Sequence[PhotoScore], index: int) -> ClassScores:
    iou, iou_interval = _iou_and_interval(np.stack([photo.regions for photo in photos]), index)
    boundary_iou, boundary_interval = _iou_and_interval(np.stack([photo.boundaries for photo in photos]), index)
    quality = panoptic_quality([photo.matches[index] for photo in photos])
    return ClassScores(iou, iou_interval, boundary_iou, boundary_interval, pq=quality.pq, sq=quality.sq, rq=quality.rq)


def _iou_and_interval(counts: npt.NDArray[np.int64], index: int) -> tuple[float, tuple[float, float]]:
    def iou(photos: npt.NDArray[np.int64]) -> float:
        return float(iou_of_counts(photos)[index])

    return iou(counts), bootstrap_interval(counts, iou)


def _table_scores(matches: Sequence[SegmentMatches], average_precision: AveragePrecision) -> TableScores:
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
    )


def _plain(value: Any) -> Any:
    """A value as JSON holds it: rounded, NaN as None, in dicts and tuples too."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, float):
        return None if math.isnan(value) else round(value, 6)
    return value


def _short(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}".removeprefix("0")


def _interval(ends: tuple[float, float]) -> str:
    return "-".join(_short(end) for end in ends) if not math.isnan(ends[0]) else "-"
