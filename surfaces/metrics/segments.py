"""Panoptic Quality, precision and recall of segments.

PQ of Kirillov et al., Panoptic Segmentation, CVPR 2019 (github.com/cocodataset/panopticapi): segments match where their
IoU is above one half. Wall and floor are one segment per photo. Unlabelled pixels, and for dining tables crowds and
tables of another kind, are void: they do not count in IoU, and an unmatched prediction that is mostly void is no false
positive. Unlike in panoptic PNGs, detections may overlap; then the higher score is matched first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from surfaces.classes import DINING_TABLE, SurfaceClass
from surfaces.datasets.sample import Labels
from surfaces.detections import Detection, Mask
from surfaces.metrics.confusion import class_mask, counted_pixels

MATCH_IOU = 0.5


@dataclass(frozen=True)
class SegmentMatches:
    """The matches of one class in one photo.

    Attributes:
        matched_ious: IoU of every match, that is of every true positive.
        false_positives: unmatched predictions, except those on void.
        scored: the score of every prediction that counts, and whether it is matched, for calibration.
    """

    matched_ious: tuple[float, ...]
    false_positives: int
    false_negatives: int
    scored: tuple[tuple[float, bool], ...]

    @property
    def is_there(self) -> bool:
        """Whether the photo has a segment of the class."""
        return bool(self.matched_ious) or self.false_negatives > 0

    @property
    def is_said(self) -> bool:
        """Whether a segment was predicted that counts."""
        return bool(self.scored)


@dataclass(frozen=True)
class PanopticQuality:
    """PQ of a class (sq * rq) and its parts, each from 0 to 1; NaN where the class is neither present nor predicted.

    Attributes:
        sq: mean IoU of the matches; NaN where nothing matched.
        rq: F1 of the segments.
    """

    pq: float
    sq: float
    rq: float
    precision: float
    recall: float


def match_segments(detections: Sequence[Detection], labels: Labels, surface: SurfaceClass) -> SegmentMatches:
    """Matches the predicted and the true segments of one class in one photo."""
    counted = counted_pixels(labels, surface)
    if surface.is_thing:
        counted &= ~labels.table_crowd()
    found = sorted(_predicted(detections, surface, labels.size_hw), key=lambda segment: -segment[0])
    truths = _true_segments(labels, surface)
    ious: list[float] = []
    scored: list[tuple[float, bool]] = []
    for score, mask in found:
        overlaps = [_iou(mask & counted, truth) for truth in truths]
        best = int(np.argmax(overlaps)) if overlaps else -1
        if best >= 0 and overlaps[best] > MATCH_IOU:
            ious.append(overlaps[best])
            scored.append((score, True))
            del truths[best]
        elif 2 * np.count_nonzero(mask & counted) >= np.count_nonzero(mask):
            scored.append((score, False))
    return SegmentMatches(tuple(ious), len(scored) - len(ious), len(truths), tuple(scored))


def panoptic_quality(matches: Sequence[SegmentMatches]) -> PanopticQuality:
    """PQ of a class over the photos of a dataset."""
    ious = [iou for photo in matches for iou in photo.matched_ious]
    true_positives = len(ious)
    predicted = true_positives + sum(photo.false_positives for photo in matches)
    present = true_positives + sum(photo.false_negatives for photo in matches)
    return PanopticQuality(
        pq=_ratio(sum(ious), (predicted + present) / 2),
        sq=_ratio(sum(ious), true_positives),
        rq=_ratio(true_positives, (predicted + present) / 2),
        precision=_ratio(true_positives, predicted),
        recall=_ratio(true_positives, present),
    )


@dataclass(frozen=True)
class OperatingPoint:
    """Precision and recall of the segments with at least a score; NaN where nothing is predicted or present."""

    min_score: float
    precision: float
    recall: float


def precision_recall_curve(matches: Sequence[SegmentMatches], min_scores: Sequence[float]) -> list[OperatingPoint]:
    """Precision and recall of a class over the photos of a dataset for each minimum score.

    Args:
        matches: of predictions that include low scores. A segment's match does not depend on lower scores.
        min_scores: from 0 to 1.
    """
    scored = [pair for photo in matches for pair in photo.scored]
    present = sum(len(photo.matched_ious) + photo.false_negatives for photo in matches)
    points = []
    for min_score in min_scores:
        kept = [matched for score, matched in scored if score >= min_score]
        points.append(OperatingPoint(min_score, _ratio(sum(kept), len(kept)), _ratio(sum(kept), present)))
    return points


def _predicted(
    detections: Sequence[Detection], surface: SurfaceClass, size_hw: tuple[int, int]
) -> list[tuple[float, Mask]]:
    of_class = [detection for detection in detections if detection.surface is surface and detection.mask.any()]
    if surface.is_thing or not of_class:
        return [(detection.score, detection.mask) for detection in of_class]
    return [(max(d.score for d in of_class), class_mask(of_class, surface, size_hw))]


def _true_segments(labels: Labels, surface: SurfaceClass) -> list[Mask]:
    if surface.coco_id in labels.scope.unlabelled:
        return []
    if surface is DINING_TABLE:
        return labels.table_masks()
    region = labels.semantic == surface.coco_id
    return [region] if region.any() else []


def _iou(found: Mask, truth: Mask) -> float:
    return _ratio(np.count_nonzero(found & truth), np.count_nonzero(found | truth))


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")
