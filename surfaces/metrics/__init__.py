"""Metrics: IoU and Boundary IoU per class, Panoptic Quality, mask AP of tables, and their uncertainty."""

from surfaces.metrics.average_precision import AveragePrecision, TableAp
from surfaces.metrics.confusion import (
    BOUNDARY_RATIO,
    boundary_counts,
    class_mask,
    confusion_matrix,
    counted_pixels,
    iou_of_counts,
    mask_boundary,
    region_counts,
)
from surfaces.metrics.segments import (
    MATCH_IOU,
    OperatingPoint,
    PanopticQuality,
    SegmentMatches,
    match_segments,
    panoptic_quality,
    precision_recall_curve,
)
from surfaces.metrics.statistics import bootstrap_interval, bootstrap_sums, calibration_error, percentile_interval

__all__ = [
    "BOUNDARY_RATIO",
    "MATCH_IOU",
    "AveragePrecision",
    "OperatingPoint",
    "PanopticQuality",
    "SegmentMatches",
    "TableAp",
    "bootstrap_interval",
    "bootstrap_sums",
    "boundary_counts",
    "calibration_error",
    "class_mask",
    "confusion_matrix",
    "counted_pixels",
    "iou_of_counts",
    "mask_boundary",
    "match_segments",
    "panoptic_quality",
    "percentile_interval",
    "precision_recall_curve",
    "region_counts",
]
