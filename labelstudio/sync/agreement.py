"""How far labels agree, and what several people's labels of one photo come to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import permutations

import numpy as np
import numpy.typing as npt

from surfaces.classes import BY_ID, CLASSES, IGNORE, OTHER, SurfaceClass
from surfaces.detections import Detection, Mask, box_of_mask
from surfaces.masks.table_parts import distance_to
from surfaces.metrics import iou_of_counts, region_counts
from surfaces.store.records import ScoredLabels, ScoredSegment

MAJORITY_PEOPLE = 3
"""Two people who differ have no majority."""


def same_labels(one: ScoredLabels, other: ScoredLabels) -> bool:
    """Whether every pixel is of the same class, or unsure, in both, and the same pixels make a table in both."""
    ours, theirs = one.labels(), other.labels()
    if not np.array_equal(ours.semantic, theirs.semantic):
        return False
    pairs = np.unique(ours.tables.astype(np.uint16) << 8 | theirs.tables)
    return bool(pairs.size == np.unique(ours.tables).size == np.unique(theirs.tables).size)


def class_ious(found: ScoredLabels, truth: ScoredLabels) -> dict[str, float]:
    """IoU by class, for the classes that are in either; pixels that are unsure in the truth do not count."""
    counts = region_counts([segment.detection for segment in found.segments], truth.labels())
    ious = iou_of_counts(counts[np.newaxis])
    return {surface.name: float(iou) for surface, iou in zip(CLASSES, ious, strict=True) if not np.isnan(iou)}


def mean_ious(ious: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean by class, over those that have the class."""
    by_class = {surface.name: [iou[surface.name] for iou in ious if surface.name in iou] for surface in CLASSES}
    return {name: float(np.mean(values)) for name, values in by_class.items() if values}


def agreement(labels: Sequence[ScoredLabels]) -> dict[str, float]:
    """Mean IoU by class of any two people's labels, each taken as the truth once; empty where there is one."""
    return mean_ious([class_ious(found, truth) for found, truth in permutations(labels, 2)])


def majority(labels: Sequence[ScoredLabels]) -> ScoredLabels:
    """What more than half of the people say of each pixel; where no class has so many votes it is unsure.

    Tables are told apart as the last labels that have tables do: each pixel goes to the nearest of those.

    Args:
        labels: of one photo, the newest last.
    """
    votes = np.stack([each.labels().semantic for each in labels])
    semantic = np.full(votes.shape[1:], IGNORE, np.uint8)
    for value in (OTHER, *BY_ID):
        semantic[2 * np.count_nonzero(votes == value, axis=0) > len(labels)] = value
    segments = [
        _segment(surface, mask)
        for surface in CLASSES
        for mask in _parts(surface, semantic == surface.coco_id, labels)
        if mask.any()
    ]
    return ScoredLabels(tuple(segments), np.asarray(semantic == IGNORE, np.bool_))


def _parts(surface: SurfaceClass, mask: Mask, labels: Sequence[ScoredLabels]) -> list[Mask]:
    if not surface.is_thing or not mask.any():
        return [mask]
    known = next(found for found in map(_tables, reversed(labels)) if found)
    nearest: npt.NDArray[np.intp] = np.argmin([distance_to(table) for table in known], axis=0)
    return [mask & (nearest == number) for number in range(len(known))]


def _tables(labels: ScoredLabels) -> list[Mask]:
    return [segment.detection.mask for segment in labels.segments if segment.detection.surface.is_thing]


def _segment(surface: SurfaceClass, mask: Mask) -> ScoredSegment:
    return ScoredSegment(Detection(surface, 1.0, box_of_mask(mask), mask))
