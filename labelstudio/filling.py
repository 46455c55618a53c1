"""Polygons to masks, filled as the browser shows them."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from surfaces.detections import Mask


def fill_polygon(points_xy: npt.NDArray[np.float64], height: int, width: int) -> Mask:
    """The pixels whose centres lie inside a polygon by the non-zero winding rule, which HTML's canvas fills by.

    COCO's polygons are filled by the even-odd rule, and grow by half a pixel: not what the reviewer saw.

    Args:
        points_xy: float64 Nx2, pixels, the photo's upper left corner being 0, 0; may lie outside of the photo, cross
            itself, and turn either way. The last is joined to the first.
        height: of the photo, pixels.
        width: of the photo, pixels.

    Returns:
        bool HxW.
    """
    turns = np.zeros((height, width + 1), np.int32)
    for (x0, y0), (x1, y1) in zip(points_xy.tolist(), np.roll(points_xy, -1, axis=0).tolist(), strict=True):
        first, last = (min(max(math.ceil(y - 0.5), 0), height) for y in sorted((y0, y1)))
        if first < last:
            rows = np.arange(first, last)
            crossings = x0 + (rows + 0.5 - y0) * (x1 - x0) / (y1 - y0)
            columns = np.clip(np.ceil(crossings - 0.5), 0, width).astype(np.int64)
            turns[rows, columns] += 1 if y1 > y0 else -1
    inside: Mask = np.cumsum(turns, axis=1, dtype=np.int32)[:, :width] != 0
    return inside
