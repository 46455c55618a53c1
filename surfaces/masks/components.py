"""Measures and clean-up of masks, quick on large photos."""

from __future__ import annotations

import math

import cv2
import numpy as np

from surfaces.detections import Mask, box_of_mask

COUNTED_PIXELS = 1 << 17
"""Regions of large photos are compared on at least so many of their pixels."""

PARTED_CELLS = 1 << 20
"""Parts of large masks are told apart on at least so many cells."""


def thinned(mask: Mask) -> Mask:
    """Each k-th pixel of each k-th row of a large mask, good enough for shares; a small mask as it is."""
    step = max(1, math.isqrt(mask.size // COUNTED_PIXELS))
    return np.ascontiguousarray(mask[::step, ::step])


def area(mask: Mask) -> int:
    """How many pixels a mask has."""
    return int(np.count_nonzero(mask))


def share_inside(mask: Mask, other: Mask) -> float:
    """The share of a mask that lies in another one; 0 where it is empty."""
    return area(mask & other) / max(area(mask), 1)


def mask_iou(mask: Mask, other: Mask) -> float:
    """Intersection over union of two masks; 0 where both are empty."""
    return area(mask & other) / max(area(mask | other), 1)


def cleaned(mask: Mask, smallest_share: float) -> Mask:
    """A mask (not empty) without its connected parts of less than a share of the photo; itself where there are none."""
    window = _window_of(mask)
    small = small_parts(mask[window], smallest_share * mask.size)
    return _placed(mask[window] & ~small, window, mask) if small.any() else mask


def filled(mask: Mask, largest_share: float) -> Mask:
    """A mask (not empty) with its holes of less than a share of the photo filled; itself where there are none.

    A hole is enclosed: what touches the photo's border is none.
    """
    window = _window_of(mask)
    small = small_parts(~mask[window], largest_share * mask.size, enclosed=True)
    return _placed(mask[window] | small, window, mask) if small.any() else mask


def small_parts(mask: Mask, least_area: float, enclosed: bool = False) -> Mask:
    """The connected parts of a mask (bool HxW) that have less than `least_area` pixels.

    Large masks are looked at in cells of k x k pixels, since it is slow: parts that are nearer than that are one.

    Args:
        mask: bool HxW.
        least_area: in pixels.
        enclosed: leave out parts that touch the border.
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
    grown = cv2.resize(small[parts].astype(np.uint8), None, fx=step, fy=step, interpolation=cv2.INTER_NEAREST)
    found: Mask = grown[: mask.shape[0], : mask.shape[1]].astype(bool) & mask
    return found


def _window_of(mask: Mask) -> tuple[slice, slice]:
    """The rows and columns of a mask's tight box."""
    left, top, right, bottom = box_of_mask(mask).astype(int).tolist()
    return slice(top, bottom), slice(left, right)


def _placed(inside: Mask, window: tuple[slice, slice], mask: Mask) -> Mask:
    changed = mask.copy()
    changed[window] = inside
    return changed
