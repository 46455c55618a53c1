"""Telling dining tables apart."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from surfaces.detections import Mask

_LARGEST_GAP = 0.1  # of the diagonal: a chair's width; parts that are nearer belong to one table
_SMALLEST_TABLE_SHARE = 0.1  # of the photo's largest table: smaller parts are a leg or a corner of the nearest table
_SPECK_SHARE = 0.0005  # of the photo: nobody could say what it is


def group_table_parts(mask: Mask) -> npt.NDArray[np.uint8]:
    """Tells tables apart in a semantic mask: regions near each other are one table.

    Parts join where the gap between them is at most a tenth of the photo's diagonal; then what is far smaller than the
    largest table joins the table nearest to it. Where no part reaches 0.05 % of the photo there is no table.

    Args:
        mask: bool HxW, True on dining tables.

    Returns:
        uint8 HxW: 0 outside tables, k in the k-th table.
    """
    tables = np.zeros(mask.shape, np.uint8)
    if not mask.any():
        return tables
    reach = _LARGEST_GAP * math.hypot(*mask.shape) / 2
    count, groups = cv2.connectedComponents((distance_to(mask) <= reach).astype(np.uint8))
    groups[~mask] = 0
    areas = np.zeros(count, np.int64)
    for row in groups:  # at once it takes eight bytes a pixel
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
    """A map of tables (uint8 HxW, 0 outside) with its numbers in the same order, counted from 1 without gaps."""
    present = np.unique(tables[tables > 0])
    numbers = np.zeros(256, np.uint8)
    numbers[present] = np.arange(1, present.size + 1)
    return numbers[tables]


def distance_to(mask: Mask) -> npt.NDArray[np.float32]:
    """Each pixel's distance to a mask (bool HxW), float32 HxW in pixels; large everywhere where the mask is empty."""
    distance = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return distance.astype(np.float32, copy=False)
