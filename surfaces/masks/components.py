"""Measures of masks, and removal of small parts and holes, quick on large photos."""

from __future__ import annotations

import math

import cv2
import numpy as np

from surfaces.detections import Mask, box_of_mask

_MEASURED_PIXELS = 1 << 17
PARTED_CELLS = 1 << 20
"""Large masks are searched for parts on at least this many cells."""


def thinned(mask: Mask) -> Mask:
    """Subsamples a large mask evenly, to 131,072 pixels or more, to measure shares; returns a small one as is."""
    step = max(1, math.isqrt(mask.size // _MEASURED_PIXELS))
    return np.ascontiguousarray(mask[::step, ::step])


def area(mask: Mask) -> int:
    """The number of pixels of a mask."""
    return int(np.count_nonzero(mask))


def share_inside(mask: Mask, other: Mask) -> float:
    """The share of a mask that is inside another one; 0 for an empty mask."""
    return area(mask & other) / max(area(mask), 1)


def mask_iou(mask: Mask, other: Mask) -> float:
    """Intersection over union of two masks; 0 where both are empty."""
    return area(mask & other) / max(area(mask | other), 1)


def cleaned(mask: Mask, smallest_share: float) -> Mask:
    """Removes connected parts of less than a share of the photo from a mask that is not empty."""
    window = _window_of(mask)
    small = small_parts(mask[window], smallest_share * mask.size)
    return _replace(mask, window, mask[window] & ~small) if small.any() else mask


def filled(mask: Mask, largest_share: float) -> Mask:
    """Fills holes of less than a share of the photo, off its border, in a mask that is not empty."""
    window = _window_of(mask)
    small = small_parts(~mask[window], largest_share * mask.size, enclosed=True)
    return _replace(mask, window, mask[window] | small) if small.any() else mask


def small_parts(mask: Mask, least_area: float, enclosed: bool = False) -> Mask:
    """The connected parts of a mask that have less than `least_area` pixels, bool HxW.

    Large masks are reduced to cells of k x k pixels for speed; parts closer than a cell count as one. `enclosed` leaves
    out parts that touch the border.
    """
    step = max(1, math.isqrt(mask.size // PARTED_CELLS))
    touched = cv2.dilate(mask.astype(np.uint8), np.ones((step, step), np.uint8), anchor=(0, 0))[::step, ::step]
    _, parts, stats, _ = cv2.connectedComponentsWithStats(np.ascontiguousarray(touched), connectivity=8)
    left, top, width, height, cells = stats.T
    small: Mask = np.asarray(cells * step**2 < least_area)
    if enclosed:
        small &= (left > 0) & (top > 0) & (left + width < parts.shape[1]) & (top + height < parts.shape[0])
    small[0] = False
    if not small.any():
        return np.zeros_like(mask)
    upsampled = cv2.resize(small[parts].astype(np.uint8), None, fx=step, fy=step, interpolation=cv2.INTER_NEAREST)
    found: Mask = upsampled[: mask.shape[0], : mask.shape[1]].astype(bool) & mask
    return found


def _window_of(mask: Mask) -> tuple[slice, slice]:
    left, top, right, bottom = box_of_mask(mask).astype(int).tolist()
    return slice(top, bottom), slice(left, right)


def _replace(mask: Mask, window: tuple[slice, slice], inside: Mask) -> Mask:
    changed = mask.copy()
    changed[window] = inside
    return changed
