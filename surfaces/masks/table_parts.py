"""Splits a semantic mask of dining tables into instances."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from surfaces.detections import Mask

_LARGEST_GAP = 0.1  # of the diagonal, a chair's width: nearer parts belong to one table
_SMALLEST_TABLE_SHARE = 0.1  # of the largest table: smaller parts are a leg or a corner of the nearest table
_SPECK_SHARE = 0.0005  # of the photo


def group_table_parts(mask: Mask) -> npt.NDArray[np.uint8]:
    """Groups the parts of a mask of dining tables by distance: uint8 HxW, 0 outside tables, k in the k-th table.

    Parts join where the gap between them is at most a tenth of the photo's diagonal; then parts far smaller than the
    largest table join the nearest table. Where no part reaches 0.05 % of the photo, there is no table.
    """
    tables = np.zeros(mask.shape, np.uint8)
    if not mask.any():
        return tables
    reach = _LARGEST_GAP * math.hypot(*mask.shape) / 2
    count, groups = cv2.connectedComponents((distance_to(mask) <= reach).astype(np.uint8))
    groups[~mask] = 0
    areas = np.zeros(count, np.int64)
    for row in groups:  # all at once would take eight bytes per pixel
        areas += np.bincount(row, minlength=count)
    areas[0] = 0  # outside of tables
    main = np.flatnonzero(areas >= max(_SMALLEST_TABLE_SHARE * areas.max(), _SPECK_SHARE * mask.size))
    nearest = np.full(mask.shape, np.inf, np.float32)
    for number, group in enumerate(main, 1):
        distance = distance_to(groups == group)
        closer = mask & (distance < nearest)
        nearest[closer], tables[closer] = distance[closer], number
    return tables


def numbered_without_gaps(tables: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Renumbers a map of tables (uint8 HxW, 0 outside) from 1 without gaps, in the same order."""
    present = np.unique(tables[tables > 0])
    numbers = np.zeros(256, np.uint8)
    numbers[present] = np.arange(1, present.size + 1)
    return numbers[tables]


def distance_to(mask: Mask) -> npt.NDArray[np.float32]:
    """Each pixel's distance to a mask, float32 HxW in pixels; large everywhere for an empty mask."""
    distance = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return distance.astype(np.float32, copy=False)
