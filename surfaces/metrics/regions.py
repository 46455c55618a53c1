"""Moved to `surfaces.metrics.confusion`."""

from surfaces.metrics.confusion import boundary_counts as boundary_counts
from surfaces.metrics.confusion import counted_pixels as counted_pixels
from surfaces.metrics.confusion import iou_of_counts as iou_of_counts
from surfaces.metrics.confusion import region_counts as region_counts
