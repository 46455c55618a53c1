"""Agreement of labels, and the majority vote of several annotators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import permutations

import numpy as np
import numpy.typing as npt

from labelstudio.sync.overlaps import labels_of_masks
from surfaces.classes import BY_ID, CLASSES, IGNORE, OTHER, SurfaceClass
from surfaces.detections import Mask
from surfaces.masks.table_parts import distance_to
from surfaces.metrics import iou_of_counts, region_counts
from surfaces.store.records import ScoredLabels


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


def format_ious(ious: Mapping[str, float]) -> str:
    """IoU by class on one line."""
    return ", ".join(f"{name} {iou:.3f}" for name, iou in ious.items())


def pairwise_agreement(labels: Sequence[ScoredLabels]) -> dict[str, float]:
    """Mean IoU by class over all pairs of annotators, each taken as the truth once; empty for one annotator."""
    return mean_ious([class_ious(found, truth) for found, truth in permutations(labels, 2)])


def majority_vote(labels: Sequence[ScoredLabels]) -> ScoredLabels:
    """The class that more than half of the annotators, the newest last, give each pixel; unsure where there is none.

    Tables are separated as in the last labels that have tables: each pixel belongs to the nearest of those.
    """
    votes = np.stack([each.labels().semantic for each in labels])
    semantic = np.full(votes.shape[1:], IGNORE, np.uint8)
    for value in (OTHER, *BY_ID):
        semantic[2 * np.count_nonzero(votes == value, axis=0) > len(labels)] = value
    found: list[tuple[SurfaceClass, Mask]] = []
    for surface in CLASSES:
        mask: Mask = semantic == surface.coco_id
        parts = _separate_tables(mask, labels) if surface.is_thing and mask.any() else [mask]
        found += [(surface, part) for part in parts]
    return labels_of_masks(found, np.asarray(semantic == IGNORE, np.bool_))


def _separate_tables(mask: Mask, labels: Sequence[ScoredLabels]) -> list[Mask]:
    found = ([each.detection for each in known.segments if each.detection.surface.is_thing] for known in labels[::-1])
    tables = next(filter(None, found))
    nearest: npt.NDArray[np.intp] = np.argmin([distance_to(table.mask) for table in tables], axis=0)
    return [mask & (nearest == number) for number in range(len(tables))]
