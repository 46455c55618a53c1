"""Converts a mask with holes and separate parts to one polygon, for formats such as YOLO's."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from surfaces.detections import Mask, box_of_mask

Points = npt.NDArray[np.int64]
"""int64 Nx2: x and y of pixels."""

_FEWEST_POINTS = 3
_FIRST_TOLERANCE = 0.5  # pixels
_NEXT_TOLERANCE = 1.05  # times the one before
_SMALLEST_OUTLINE = 25  # pixels that an outline surrounds, in squares of the tolerance
_PAIRS_AT_ONCE = 1 << 20


def polygon_of_mask(mask: Mask, points_max: int | None = None) -> Points:
    """One closed polygon, a keyhole polygon, through the outermost pixels of a mask (bool HxW, not empty).

    The outlines of holes and separate parts are connected by the shortest bridges (their minimum spanning tree), each
    traversed in both directions. Filled as by `cv2.fillPoly` (even-odd rule, outline drawn), the polygon is the mask
    and the bridges, one pixel wide. It has three points or more; the last is connected to the first.

    A polygon of more points than allowed is simplified by Douglas and Peucker's algorithm (1973) with the smallest
    sufficient tolerance; outlines that surround less than 5x5 squares of it are left out.
    """
    left, top, right, bottom = box_of_mask(mask).astype(int)
    part = np.ascontiguousarray(mask[top:bottom, left:right], np.uint8)
    found, _ = cv2.findContours(part, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE, offset=(int(left), int(top)))
    outlines: list[Points] = [np.asarray(outline, np.int64).reshape(-1, 2) for outline in found]
    polygon = _connect(outlines if points_max is None else _simplify(outlines, points_max))
    missing = max(0, _FEWEST_POINTS - len(polygon))
    return np.concatenate([polygon, np.repeat(polygon[-1:], missing, axis=0)])


def mask_of_polygon(points: Points, size_hw: tuple[int, int]) -> Mask:
    """Fills a polygon by the even-odd rule with its outline drawn, as trainers do: bool HxW."""
    drawn = np.zeros(size_hw, np.uint8)
    cv2.fillPoly(drawn, [points.astype(np.int32)], 1)
    return drawn.astype(bool)


def _simplify(outlines: list[Points], points_max: int) -> list[Points]:
    """The outlines, simplified so that `_connect` makes a polygon of at most `points_max` points."""
    chosen, tolerance = outlines, _FIRST_TOLERANCE
    while sum(map(len, chosen)) + 2 * (len(chosen) - 1) > points_max:
        large = [outline for outline in outlines if _area(outline) >= _SMALLEST_OUTLINE * tolerance**2]
        chosen = [_approximate(outline, tolerance) for outline in large or [max(outlines, key=_area)]]
        tolerance *= _NEXT_TOLERANCE
    return chosen


def _approximate(outline: Points, tolerance: float) -> Points:
    simple = cv2.approxPolyDP(outline.astype(np.int32), tolerance, closed=True)
    return np.asarray(simple, np.int64).reshape(-1, 2)


def _area(outline: Points) -> float:
    """The number of pixels that an outline surrounds, its own included (Pick's theorem)."""
    points = outline.astype(np.int32)
    return cv2.contourArea(points) + cv2.arcLength(points, closed=True) / 2 + 1


def _connect(outlines: list[Points]) -> Points:
    """Connects outlines to one polygon by Prim's algorithm: the outline nearest to the polygon comes next."""
    polygon, waiting = outlines[0], np.concatenate([outlines[0][:0], *outlines[1:]])
    owner = np.repeat(np.arange(1, len(outlines)), [len(outline) for outline in outlines[1:]])
    anchor, distance = _nearest(waiting, polygon)
    while len(waiting):
        end = int(distance.argmin())
        outline = outlines[owner[end]]
        rotated = np.roll(outline, np.searchsorted(owner, owner[end]) - end, axis=0)
        polygon = _insert(polygon, anchor[end], rotated)
        rest = owner != owner[end]
        waiting, owner, anchor, distance = waiting[rest], owner[rest], anchor[rest], distance[rest]
        closer, closer_distance = _nearest(waiting, outline)
        is_closer = closer_distance < distance
        anchor[is_closer], distance[is_closer] = closer[is_closer], closer_distance[is_closer]
    return polygon


def _nearest(points: Points, outline: Points) -> tuple[Points, npt.NDArray[np.int64]]:
    """For each point, the nearest one of an outline and its squared distance."""
    rows = max(1, _PAIRS_AT_ONCE // len(outline))
    anchor, distance = np.empty_like(points), np.empty(len(points), np.int64)
    for row in range(0, len(points), rows):
        block = slice(row, row + rows)
        away = ((points[block, np.newaxis] - outline) ** 2).sum(axis=2)
        anchor[block], distance[block] = outline[away.argmin(axis=1)], away.min(axis=1)
    return anchor, distance


def _insert(polygon: Points, start: Points, outline: Points) -> Points:
    """Inserts an outline and a bridge to its first point into a polygon at one of the polygon's points."""
    here = int(np.flatnonzero((polygon == start).all(axis=1))[0])
    return np.concatenate([polygon[: here + 1], outline, outline[:1], polygon[here:]])
