"""IoU and Boundary IoU of each class: pixels are counted per photo and summed over a dataset.

Unlabelled pixels (IGNORE) are left out for all classes, tables of another kind (OTHER_TABLE) for dining tables; for
wall and floor they are just another class. A class that the dataset does not label is not measured; one that is known
to be absent from a photo is measured everywhere (`LabelScope`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from surfaces.classes import CLASSES, IGNORE, OTHER_TABLE, SurfaceClass
from surfaces.datasets.sample import Labels
from surfaces.detections import Detection, Mask

Counts = npt.NDArray[np.int64]
"""int64 Cx2: for each of `CLASSES`, the pixels of intersection and of union."""

BOUNDARY_RATIO = 0.02
"""Width of the band that Boundary IoU compares, as a share of the photo's diagonal."""


def class_mask(detections: Sequence[Detection], surface: SurfaceClass, shape: tuple[int, int]) -> Mask:
    """The union of all detections of a class, bool HxW."""
    mask = np.zeros(shape, np.bool_)
    for detection in detections:
        if detection.surface is surface:
            mask |= detection.mask
    return mask


def counted_pixels(labels: Labels, surface: SurfaceClass) -> Mask:
    """The pixels on which a class is measured, bool HxW: none where it is unlabelled, all where it is absent."""
    if surface.coco_id in labels.scope.absent:
        return np.ones(labels.size_hw, np.bool_)
    if surface.coco_id in labels.scope.unlabelled:
        return np.zeros(labels.size_hw, np.bool_)
    counted: Mask = labels.semantic != IGNORE
    return counted & (labels.semantic != OTHER_TABLE) if surface.is_thing else counted


def confusion_matrix(detections: Sequence[Detection], labels: Labels) -> npt.NDArray[np.int64]:
    """Labelled pixels of one photo by truth and prediction; a pixel counts for each class that has a detection there.

    Returns:
        int64 (C+2, C+2). Rows are the values of `Labels.semantic`: other, CLASSES, another kind of table. Columns are
        no class, CLASSES, and all pixels of the row.
    """
    masks = [class_mask(detections, surface, labels.size_hw) for surface in CLASSES]
    none = ~np.logical_or.reduce(masks)
    columns = [np.bincount(labels.semantic[mask], minlength=IGNORE + 1) for mask in (none, *masks)]
    columns.append(np.bincount(labels.semantic.ravel(), minlength=IGNORE + 1))
    return np.stack(columns, axis=1)[: OTHER_TABLE + 1].astype(np.int64)


def region_counts(detections: Sequence[Detection], labels: Labels) -> Counts:
    """Intersection and union of prediction and truth in one photo."""
    confusion = confusion_matrix(detections, labels)
    counts = []
    for surface in CLASSES:
        if surface.coco_id in labels.scope.unlabelled | labels.scope.absent:
            found = class_mask(detections, surface, labels.size_hw) & counted_pixels(labels, surface)
            counts.append([0, np.count_nonzero(found)])
            continue
        rows = confusion[:OTHER_TABLE] if surface.is_thing else confusion
        intersection = rows[surface.coco_id, surface.coco_id]
        counts.append([intersection, rows[:, surface.coco_id].sum() + rows[surface.coco_id, -1] - intersection])
    return np.array(counts, np.int64)


def boundary_counts(detections: Sequence[Detection], labels: Labels) -> Counts:
    """Intersection and union of the boundaries of prediction and truth in one photo.

    Boundary IoU of Cheng et al., CVPR 2021 (github.com/bowenc0221/boundary-iou-api), its counts summed as for IoU.
    A mask's boundary is its pixels closer to its outside than `BOUNDARY_RATIO` of the diagonal; as in the reference,
    the photo's edge is outside. Pixels that do not count are outside of both masks, so that the border of an unlabelled
    region is the same for both.
    """
    counts = []
    for surface in CLASSES:
        counted = counted_pixels(labels, surface)
        found, truth = class_mask(detections, surface, labels.size_hw), labels.semantic == surface.coco_id
        bands = mask_boundary(found & counted), mask_boundary(truth & counted)
        counts.append([np.count_nonzero(np.logical_and(*bands)), np.count_nonzero(np.logical_or(*bands))])
    return np.array(counts, np.int64)


def mask_boundary(mask: Mask, ratio: float = BOUNDARY_RATIO) -> Mask:
    """The band along the inside of a mask's outline, bool HxW; see `boundary_counts`."""
    width = max(1, round(ratio * math.hypot(*mask.shape)))
    padded = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    inner = cv2.erode(padded, np.ones((3, 3), np.uint8), iterations=width)[1:-1, 1:-1]
    band: Mask = mask & (inner == 0)
    return band


def iou_of_counts(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """IoU of each class over a dataset, float64 (C,), from the counts of N photos (int64 NxCx2).

    NaN where a class is neither present nor predicted.
    """
    intersection, union = counts.sum(axis=0).T
    with np.errstate(invalid="ignore"):
        return np.asarray(intersection / union, np.float64)
