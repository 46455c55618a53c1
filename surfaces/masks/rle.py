"""COCO's segmentations: encodes masks as RLE; decodes RLE and polygons of untrusted files."""

from __future__ import annotations

from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt

from surfaces.detections import Mask
from surfaces.errors import DatasetError
from surfaces.messages import brief

LONGEST_OUTLINE = 1_000_000
"""Pixels that the edges of a region's polygons may cross; each takes pycocotools a hundred bytes."""

_MERGED_AT_ONCE = 16
_RUN_CHARACTERS_MAX = 7  # 35 bits, more pixels than any photo has


class Rle(TypedDict):
    """A run-length encoded mask.

    Attributes:
        size: height and width.
        counts: the runs, column by column from the upper left, background first: a list, or COCO's ASCII packing.
    """

    size: list[int]
    counts: str | list[int]


def encode(mask: Mask) -> Rle:
    """Encodes a mask (bool HxW) as packed RLE."""
    from pycocotools import mask as coco  # decoding RLE does not need it

    rle = coco.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": [int(side) for side in rle["size"]], "counts": rle["counts"].decode("ascii")}


def decode(rle: Rle) -> Mask:
    """Decodes packed or plain RLE to bool HxW; errors as of `decode_segmentation`."""
    height, width = rle["size"]
    return decode_segmentation(rle, height, width)


def decode_segmentation(segmentation: Any, height: int, width: int) -> Mask:
    """Decodes the `segmentation` of an annotation (RLE, or polygons `[x0, y0, x1, y1, …]` in pixels) to bool HxW.

    Polygons are filled as by pycocotools. Raises DatasetError where it does not fit a photo of this size.
    """
    if isinstance(segmentation, dict):
        runs = _checked_runs(segmentation, height, width)
        inside = np.arange(len(runs)) % 2 == 1
        return np.ascontiguousarray(np.repeat(inside, runs).reshape(width, height).T)
    polygons = _checked_polygons(segmentation, height, width)
    from pycocotools import mask as coco

    drawn = coco.frPyObjects(polygons, height, width)
    while len(drawn) > 1:  # merging all at once takes quadratic time
        drawn = [coco.merge(drawn[start : start + _MERGED_AT_ONCE]) for start in range(0, len(drawn), _MERGED_AT_ONCE)]
    return np.ascontiguousarray(coco.decode(drawn[0]), dtype=np.bool_)


def draws_nothing(segmentation: Any, height: int, width: int) -> bool:
    """Checks a segmentation as `decode_segmentation` does, without decoding it, and says whether its mask is empty."""
    if isinstance(segmentation, dict):
        return not _checked_runs(segmentation, height, width)[1::2].any()
    polygons = _checked_polygons(segmentation, height, width)
    if any(_surely_draws(polygon, height, width) for polygon in polygons):
        return False
    from pycocotools import mask as coco

    return not coco.area(coco.frPyObjects(polygons, height, width)).any()


def outline_length(points: npt.NDArray[np.float64]) -> float:
    """The number of pixels that the edges of a polygon (Nx2: x and y in pixels) cross."""
    return float(abs(points - np.roll(points, -1, axis=0)).max(axis=1).sum())


def _surely_draws(polygon: list[float], height: int, width: int) -> bool:
    """Whether a polygon is inside the photo and covers a few pixels; quicker than drawing it."""
    x, y = np.array(polygon).reshape(-1, 2).T
    area = abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2
    return bool(area > 9 and x.min() >= 0 and y.min() >= 0 and x.max() <= width and y.max() <= height)


def _checked_runs(rle: dict[str, Any], height: int, width: int) -> npt.NDArray[np.int64]:
    # Not by pycocotools, which returns uninitialized memory where the runs end early.
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
    """The runs of COCO's packing: 6 bits per character, 5 of them data; differences from the fourth number on."""
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
    if lengths.max() > _RUN_CHARACTERS_MAX:
        raise DatasetError(f"expected RLE counts of a photo, got {brief(counts)}")
    positions = np.arange(len(bits)) - np.repeat(starts, lengths)
    runs = np.add.reduceat((bits & 0x1F) << (5 * positions), starts)
    runs -= np.where(bits[ends] & 0x10, np.int64(1) << (5 * lengths), 0)
    for first in (1, 2):
        runs[first::2] = np.cumsum(runs[first::2])
    return np.asarray(runs, np.int64)


def _checked_polygons(polygons: Any, height: int, width: int) -> list[list[float]]:
    if not isinstance(polygons, list) or not polygons:
        raise DatasetError(f"expected polygons or RLE as segmentation, got {brief(polygons)}")
    checked = [_checked_polygon(polygon, height, width) for polygon in polygons]
    most = min(LONGEST_OUTLINE, 4 * (height + 1) * (width + 1))
    length = sum(outline_length(np.array(polygon).reshape(-1, 2)) for polygon in checked)
    if length > most:
        raise DatasetError(f"expected polygons with an outline of at most {most} pixels, got {length:.0f}")
    return checked


def _checked_polygon(polygon: Any, height: int, width: int) -> list[float]:
    if not isinstance(polygon, list) or any(type(number) not in (int, float) for number in polygon):
        raise DatasetError(f"expected a polygon's numbers, got {brief(polygon)}")
    if polygon and all(0 <= number <= 1 for number in polygon):
        raise DatasetError(f"expected points in pixels, got shares of the photo: {brief(polygon)}")
    if len(polygon) < 6 or len(polygon) % 2:
        raise DatasetError(f"expected three points or more as x, y, x, y, …, got {brief(polygon)}")
    # pycocotools draws each edge pixel by pixel: far points crash it, NaN makes it loop forever.
    reach = max(height, width)
    if not all(-reach <= number <= 2 * reach for number in polygon):
        raise DatasetError(f"expected points near the photo ({width}x{height}), got {brief(polygon)}")
    return [float(number) for number in polygon]
