"""Agreement of labels, and the majority vote of several annotators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import permutations

import numpy as np
import numpy.typing as npt

from surfaces.classes import BY_ID, CLASSES, IGNORE, OTHER
from surfaces.detections import Detection, Mask, box_of_mask
from surfaces.masks.table_parts import distance_to
from surfaces.metrics import iou_of_counts, region_counts
from surfaces.store.records import ScoredLabels, ScoredSegment

MAJORITY_ANNOTATORS_MIN = 3


def same_labels(one: ScoredLabels, other: ScoredLabels) -> bool:
    """Whether both have the same class or unsure at every pixel, and the same tables in whatever order."""
    ours, theirs = one.labels(), other.labels()
    if not np.array_equal(ours.semantic, theirs.semantic):
        return False
    pairs = np.unique(ours.tables.astype(np.uint16) << 8 | theirs.tables)
    return bool(pairs.size == np.unique(ours.tables).size == np.unique(theirs.tables).size)


def class_ious(found: ScoredLabels, truth: ScoredLabels) -> dict[str, float]:
    """IoU by class, for the classes that are in either; pixels that are unsure in the truth are left out."""
    counts = region_counts([segment.detection for segment in found.segments], truth.labels())
    ious = iou_of_counts(counts[np.newaxis])
    return {surface.name: float(iou) for surface, iou in zip(CLASSES, ious, strict=True) if not np.isnan(iou)}


def mean_ious(ious: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Mean by class, over those that have the class."""
    by_class = {surface.name: [iou[surface.name] for iou in ious if surface.name in iou] for surface in CLASSES}
    return {name: float(np.mean(values)) for name, values in by_class.items() if values}


def pairwise_agreement(labels: Sequence[ScoredLabels]) -> dict[str, float]:
    """Mean IoU by class over all pairs of annotators, each taken as the truth once; empty for one annotator."""
    return mean_ious([class_ious(found, truth) for found, truth in permutations(labels, 2)])


def majority_vote(labels: Sequence[ScoredLabels]) -> ScoredLabels:
    """The class that more than half of the annotators give each pixel; unsure where there is none.

    Tables are separated as in the last labels that have tables: each pixel belongs to the nearest of those.

    Args:
        labels: of one photo, the newest last.
    """
    votes = np.stack([each.labels().semantic for each in labels])
    semantic = np.full(votes.shape[1:], IGNORE, np.uint8)
    for value in (OTHER, *BY_ID):
        semantic[2 * np.count_nonzero(votes == value, axis=0) > len(labels)] = value
    segments = []
    for surface in CLASSES:
        mask: Mask = semantic == surface.coco_id
        parts = _separate_tables(mask, labels) if surface.is_thing and mask.any() else [mask]
        detections = [Detection(surface, 1.0, box_of_mask(part), part) for part in parts if part.any()]
        segments += [ScoredSegment(found) for found in detections]
    return ScoredLabels(tuple(segments), np.asarray(semantic == IGNORE, np.bool_))


def _separate_tables(mask: Mask, labels: Sequence[ScoredLabels]) -> list[Mask]:
    tables = next(filter(None, map(_table_masks, reversed(labels))))
    nearest: npt.NDArray[np.intp] = np.argmin([distance_to(table) for table in tables], axis=0)
    return [mask & (nearest == number) for number in range(len(tables))]


def _table_masks(labels: ScoredLabels) -> list[Mask]:
    return [segment.detection.mask for segment in labels.segments if segment.detection.surface.is_thing]
