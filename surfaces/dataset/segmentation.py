"""COCO's three ways to write a region (polygons, RLE, packed RLE) to masks, refusing what is none of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from surfaces.detections import Mask
from surfaces.errors import DatasetError
from surfaces.wording import brief


def decode_segmentation(segmentation: Any, height: int, width: int) -> Mask:
    """Decodes the `segmentation` of an annotation.

    Args:
        segmentation: a list of polygons `[x0, y0, x1, y1, …]` in pixels; or `{"size": [height, width], "counts": …}`
            with the runs as a list or in COCO's ASCII packing.
        height: of the photo, pixels.
        width: of the photo, pixels.

    Returns:
        bool HxW. Polygons are filled as pycocotools fills them.

    Raises:
        DatasetError: it is neither, or does not fit a photo of this size.
    """
    if isinstance(segmentation, dict):
        return _decode_rle(segmentation, height, width)
    if isinstance(segmentation, list) and segmentation:
        return _fill_polygons(segmentation, height, width)
    raise DatasetError(f"expected polygons or RLE as segmentation, got {brief(segmentation)}")


def _decode_rle(rle: dict[str, Any], height: int, width: int) -> Mask:
    # Not left to pycocotools: given runs that end early it returns what the memory happened to hold.
    if rle.get("size") != [height, width]:
        raise DatasetError(f"expected RLE of size {[height, width]}, got {brief(rle.get('size'))}")
    counts = rle.get("counts")
    runs = _unpack(counts) if isinstance(counts, str) else counts
    if not isinstance(runs, list) or not all(type(run) is int and run >= 0 for run in runs):
        raise DatasetError(f"expected RLE with counts as a list or a string, got {brief(counts)}")
    if sum(runs) != height * width:
        raise DatasetError(f"expected RLE of {height * width} pixels, got runs of {sum(runs)}")
    inside = np.arange(len(runs)) % 2 == 1
    return np.ascontiguousarray(np.repeat(inside, runs).reshape(width, height).T)


def _unpack(counts: str) -> list[int]:
    """The runs in COCO's packing: 6 bits a character, 5 of them a number's; from the fourth on, differences."""
    runs: list[int] = []
    number = shift = 0
    for byte in counts.encode("utf-8"):
        bits = byte - 48
        if not 0 <= bits < 64:
            raise DatasetError(f"expected RLE counts in COCO's packing, got {brief(counts)}")
        number |= (bits & 0x1F) << shift
        shift += 5
        if bits & 0x20:
            continue
        if bits & 0x10:
            number -= 1 << shift
        runs.append(number + runs[-2] if len(runs) > 2 else number)
        number = shift = 0
    if shift:
        raise DatasetError(f"expected whole RLE counts, got {brief(counts)}, which is cut off")
    return runs


def _fill_polygons(polygons: list[Any], height: int, width: int) -> Mask:
    from pycocotools import mask as coco  # RLE needs none of it

    points = [_points_of(polygon, height, width) for polygon in polygons]
    filled = coco.decode(coco.merge(coco.frPyObjects(points, height, width)))
    return np.ascontiguousarray(filled, dtype=np.bool_)


def _points_of(polygon: Any, height: int, width: int) -> list[float]:
    try:
        points: npt.NDArray[np.float64] = np.asarray(polygon, np.float64)
    except (TypeError, ValueError) as error:
        raise DatasetError(f"expected a polygon's numbers, got {brief(polygon)}") from error
    if points.ndim != 1 or points.size < 6 or points.size % 2:
        raise DatasetError(f"expected three points or more as x, y, x, y, …, got {brief(polygon)}")
    # pycocotools draws each edge pixel by pixel: a far point takes it down, NaN keeps it for ever.
    reach = max(height, width)
    if not ((points >= -reach) & (points <= 2 * reach)).all():
        raise DatasetError(f"expected points near the photo ({width}x{height}), got {brief(polygon)}")
    return [float(point) for point in points]
