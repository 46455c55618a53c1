"""IoU and Boundary IoU of each class: pixels are counted photo by photo and summed over a dataset.

What is not labelled counts for nobody: unlabelled pixels (IGNORE) for no class, tables of another kind (OTHER_TABLE)
not for dining table, while for wall and floor they are just something else.
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
"""int64 Cx2: a row for each of `CLASSES`, with the pixels of intersection and of union."""

BOUNDARY_RATIO = 0.02
"""Width of the band that Boundary IoU compares, as a share of the photo's diagonal."""


def class_mask(detections: Sequence[Detection], surface: SurfaceClass, shape: tuple[int, int]) -> Mask:
    """All detections of a class as one mask, bool HxW of this shape."""
    mask = np.zeros(shape, np.bool_)
    for detection in detections:
        if detection.surface is surface:
            mask |= detection.mask
    return mask


def counted_pixels(labels: Labels, surface: SurfaceClass) -> Mask:
    """The pixels on which a class is measured, bool HxW."""
    counted: Mask = labels.semantic != IGNORE
    return counted & (labels.semantic != OTHER_TABLE) if surface.is_thing else counted


def region_counts(detections: Sequence[Detection], labels: Labels) -> Counts:
    """Intersection and union of prediction and truth in one photo, for each class.

    Args:
        detections: the prediction; its masks have the photo's size.
        labels: the truth.
    """
    return np.stack([_counts(*masks) for masks in _masks_of_classes(detections, labels)])


def boundary_counts(detections: Sequence[Detection], labels: Labels, ratio: float = BOUNDARY_RATIO) -> Counts:
    """Intersection and union of the boundaries of prediction and truth in one photo, for each class.

    Boundary IoU of Cheng et al., CVPR 2021 (github.com/bowenc0221/boundary-iou-api), its counts summed as for IoU.
    A mask's boundary is its pixels nearer to its outside than `ratio` of the diagonal; as in the reference the photo's
    edge is outside. Pixels that are not counted are outside of both masks, so that the border of an unlabelled region
    is the same for both.

    Args:
        detections: the prediction; its masks have the photo's size.
        labels: the truth.
        ratio: width of the band, as a share of the diagonal.
    """
    return np.stack(
        [
            _counts(mask_boundary(found, ratio), mask_boundary(truth, ratio))
            for found, truth in _masks_of_classes(detections, labels)
        ]
    )


def mask_boundary(mask: Mask, ratio: float = BOUNDARY_RATIO) -> Mask:
    """The band along the inside of a mask's outline, bool HxW; see `boundary_counts`."""
    width = max(1, round(ratio * math.hypot(*mask.shape)))
    padded = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    inner = cv2.erode(padded, np.ones((3, 3), np.uint8), iterations=width)[1:-1, 1:-1]
    band: Mask = mask & (inner == 0)
    return band


def iou_of_counts(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """IoU of each class over a dataset.

    Args:
        counts: int64 NxCx2, the counts of N photos.

    Returns:
        float64 (C,): sum of intersections over sum of unions; NaN where a class is neither there nor predicted.
    """
    intersection, union = counts.sum(axis=0).T
    with np.errstate(invalid="ignore"):
        return np.asarray(intersection / union, np.float64)


def _masks_of_classes(detections: Sequence[Detection], labels: Labels) -> list[tuple[Mask, Mask]]:
    """Prediction and truth of each class, both False on pixels that are not counted."""
    shape = (labels.semantic.shape[0], labels.semantic.shape[1])
    return [
        (
            class_mask(detections, surface, shape) & counted_pixels(labels, surface),
            labels.semantic == surface.coco_id,
        )
        for surface in CLASSES
    ]


def _counts(found: Mask, truth: Mask) -> npt.NDArray[np.int64]:
    return np.array([np.count_nonzero(found & truth), np.count_nonzero(found | truth)], np.int64)
