"""COCO's three ways to write a region (polygons, RLE, packed RLE) to masks, refusing what is none of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from surfaces.detections import Mask
from surfaces.errors import DatasetError
from surfaces.messages import brief

LONGEST_OUTLINE = 1_000_000
"""Pixels that the edges of a region's polygons may cross; each takes pycocotools a hundred bytes."""

_MERGED_AT_ONCE = 16
_MOST_CHARACTERS = 7  # of one packed run: 35 bits, more pixels than any photo has


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
        runs = _checked_runs(segmentation, height, width)
        inside = np.arange(len(runs)) % 2 == 1
        return np.ascontiguousarray(np.repeat(inside, runs).reshape(width, height).T)
    polygons = _checked_polygons(segmentation, height, width)
    from pycocotools import mask as coco  # RLE needs none of it

    drawn = coco.frPyObjects(polygons, height, width)
    while len(drawn) > 1:  # all at once takes the square of their number
        drawn = [coco.merge(drawn[start : start + _MERGED_AT_ONCE]) for start in range(0, len(drawn), _MERGED_AT_ONCE)]
    filled = coco.decode(drawn[0])
    return np.ascontiguousarray(filled, dtype=np.bool_)


def check_segmentation(segmentation: Any, height: int, width: int) -> None:
    """Checks that `decode_segmentation` can decode a segmentation, without the memory of its mask.

    Raises:
        DatasetError: as `decode_segmentation`.
    """
    check = _checked_runs if isinstance(segmentation, dict) else _checked_polygons
    check(segmentation, height, width)


def draws_nothing(segmentation: Any, height: int, width: int) -> bool:
    """Whether a checked segmentation has no pixel: RLE of background, polygons without area or outside the photo."""
    if isinstance(segmentation, dict):
        return not _checked_runs(segmentation, height, width)[1::2].any()
    polygons = _checked_polygons(segmentation, height, width)
    if any(_surely_draws(polygon, height, width) for polygon in polygons):
        return False
    from pycocotools import mask as coco

    return not coco.area(coco.frPyObjects(polygons, height, width)).any()


def outline_length(points: npt.NDArray[np.float64]) -> float:
    """How many pixels the edges of a polygon (Nx2: x and y in pixels) cross."""
    return float(abs(points - np.roll(points, -1, axis=0)).max(axis=1).sum())


def _surely_draws(polygon: list[float], height: int, width: int) -> bool:
    """Whether a polygon lies on the photo and covers a few pixels; quicker than drawing it."""
    x, y = np.array(polygon).reshape(-1, 2).T
    area = abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2
    return bool(area > 9 and x.min() >= 0 and y.min() >= 0 and x.max() <= width and y.max() <= height)


def _checked_runs(rle: dict[str, Any], height: int, width: int) -> npt.NDArray[np.int64]:
    # Not left to pycocotools: given runs that end early it returns what the memory happened to hold.
    if rle.get("size") != [height, width]:
        raise DatasetError(f"expected RLE of size {[height, width]}, got {brief(rle.get('size'))}")
    counts = rle.get("counts")
    if isinstance(counts, str):
        runs = _unpack(counts)
    elif isinstance(counts, list) and all(type(run) is int and 0 <= run <= height * width for run in counts):
        runs = np.array(counts, np.int64)
    else:
        raise DatasetError(f"expected RLE with counts as a list or a string, got {brief(counts)}")
    total = int(runs.sum())
    if total != height * width or runs.min(initial=0) < 0:
        raise DatasetError(f"expected RLE of {height * width} pixels, got runs of {total}")
    return runs


def _unpack(counts: str) -> npt.NDArray[np.int64]:
    """The runs in COCO's packing: 6 bits a character, 5 of them a number's; from the fourth on, differences."""
    bits = np.frombuffer(counts.encode("utf-8", "surrogatepass"), np.uint8).astype(np.int64) - 48
    if not ((bits >= 0) & (bits < 64)).all():
        raise DatasetError(f"expected RLE counts in COCO's packing, got {brief(counts)}")
    if not len(bits):
        return bits
    if bits[-1] & 0x20:
        raise DatasetError(f"expected whole RLE counts, got {brief(counts)}, which is cut off")
    ends = np.flatnonzero(bits & 0x20 == 0)
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts + 1
    if lengths.max() > _MOST_CHARACTERS:
        raise DatasetError(f"expected RLE counts of a photo, got {brief(counts)}")
    places = np.arange(len(bits)) - np.repeat(starts, lengths)
    runs = np.add.reduceat((bits & 0x1F) << (5 * places), starts)
    runs -= np.where(bits[ends] & 0x10, np.int64(1) << (5 * lengths), 0)
    for first in (1, 2):
        runs[first::2] = np.cumsum(runs[first::2])
    return np.asarray(runs, np.int64)


def _checked_polygons(polygons: Any, height: int, width: int) -> list[list[float]]:
    if not isinstance(polygons, list) or not polygons:
        raise DatasetError(f"expected polygons or RLE as segmentation, got {brief(polygons)}")
    checked = [_points_of(polygon, height, width) for polygon in polygons]
    most = min(LONGEST_OUTLINE, 4 * (height + 1) * (width + 1))
    length = sum(outline_length(np.array(polygon).reshape(-1, 2)) for polygon in checked)
    if length > most:
        raise DatasetError(f"expected polygons with an outline of at most {most} pixels, got {length:.0f}")
    return checked


def _points_of(polygon: Any, height: int, width: int) -> list[float]:
    if not isinstance(polygon, list) or any(type(number) not in (int, float) for number in polygon):
        raise DatasetError(f"expected a polygon's numbers, got {brief(polygon)}")
    if polygon and all(0 <= number <= 1 for number in polygon):
        raise DatasetError(f"expected points in pixels, got shares of the photo: {brief(polygon)}")
    if len(polygon) < 6 or len(polygon) % 2:
        raise DatasetError(f"expected three points or more as x, y, x, y, …, got {brief(polygon)}")
    # pycocotools draws each edge pixel by pixel: a far point takes it down, NaN keeps it for ever.
    reach = max(height, width)
    if not all(-reach <= number <= 2 * reach for number in polygon):
        raise DatasetError(f"expected points near the photo ({width}x{height}), got {brief(polygon)}")
    return [float(number) for number in polygon]
