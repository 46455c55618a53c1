"""Measures and clean-up of masks, quick on large photos."""

from __future__ import annotations

import math

import cv2
import numpy as np

from models.runtime.merge import without_specks
from surfaces.detections import Mask, box_of_mask

COUNTED_PIXELS = 1 << 17
"""Shares of large photos are counted on about so many of their pixels."""


def area(mask: Mask) -> int:
    """How many pixels a mask has, on large photos counted on each k-th pixel of each k-th row: good for shares."""
    return int(np.count_nonzero(_thinned(mask)))


def share_inside(mask: Mask, other: Mask) -> float:
    """The share of a mask that lies in another one; 0 where it is empty."""
    return _common_area(mask, other) / max(area(mask), 1)


def mask_iou(mask: Mask, other: Mask) -> float:
    """Intersection over union of two masks; 0 where both are empty."""
    common = _common_area(mask, other)
    return common / max(area(mask) + area(other) - common, 1)


def _common_area(mask: Mask, other: Mask) -> int:
    return int(np.count_nonzero(_thinned(mask) & _thinned(other)))


def _thinned(mask: Mask) -> Mask:
    step = max(1, math.isqrt(mask.size // COUNTED_PIXELS))
    return mask[::step, ::step]


def cleaned(mask: Mask, smallest_share: float) -> Mask:
    """A mask (not empty) without its connected parts of less than a share of the photo; itself where there are none."""
    window = window_of(mask)
    inside = mask[window]
    kept = without_specks(inside, smallest_share * mask.size / inside.size)
    return mask if kept is inside else _placed(kept, window, mask)


def filled(mask: Mask, largest_share: float) -> Mask:
    """A mask (not empty) with its holes of less than a share of the photo filled; itself where there are none.

    A hole is enclosed: what touches the photo's border is none.
    """
    window = window_of(mask)
    inside = mask[window]
    outside = cv2.copyMakeBorder((~inside).astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=1)
    _, regions, stats, _ = cv2.connectedComponentsWithStats(outside, connectivity=4)
    small = stats[:, cv2.CC_STAT_AREA] < largest_share * mask.size
    small[[0, regions[0, 0]]] = False
    if not small.any():
        return mask
    return _placed(inside | small[regions[1:-1, 1:-1]], window, mask)


def window_of(mask: Mask) -> tuple[slice, slice]:
    """The rows and columns of a mask's tight box."""
    left, top, right, bottom = box_of_mask(mask).astype(int).tolist()
    return slice(top, bottom), slice(left, right)


def _placed(inside: Mask, window: tuple[slice, slice], mask: Mask) -> Mask:
    changed = mask.copy()
    changed[window] = inside
    return changed
