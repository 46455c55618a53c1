"""Sliding-window prediction: multi-scale testing for networks of fixed input size."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import cv2
import numpy as np

from models.teachers.base import Floats
from surfaces.detections import Image

_LEAST_WEIGHT = 1e-3  # at a window's edge: where no other window sees a pixel this one decides

Window = tuple[slice, slice]
"""Rows and columns of a photo."""


def predict_windows(
    images: Sequence[Image], scale: float, predict: Callable[[Sequence[Image]], Sequence[Floats]]
) -> list[Floats]:
    """The probabilities of photos enlarged `scale` times, predicted in overlapping windows.

    Args:
        images: uint8 HxWx3 RGB.
        scale: from 1; the windows' sides are the photo's divided by it.
        predict: gives the probabilities (4, h, w) of each of several windows, or photos; of no more than there are
            photos.

    Returns:
        float32 (4, h', w') over each whole photo; pixels count more the nearer they are to a window's middle.
    """
    if scale == 1:
        return list(predict(images))
    totals: list[Floats] = [np.zeros((0, 0, 0), np.float32)] * len(images)
    sizes = [(image.shape[0], image.shape[1]) for image in images]
    remaining = ((index, window) for index, size in enumerate(sizes) for window in windows_of(*size, scale))
    while batch := list(islice(remaining, len(images))):
        parts = predict([np.ascontiguousarray(images[index][window]) for index, window in batch])
        for (index, window), part in zip(batch, parts, strict=True):
            totals[index] = _add_window(totals[index], part, window, sizes[index], scale)
    return [np.ascontiguousarray((total[:, :, :-1] / total[:, :, -1:]).transpose(2, 0, 1)) for total in totals]


def _add_window(total: Floats, part: Floats, window: Window, photo_hw: tuple[int, int], scale: float) -> Floats:
    """Adds a window's probabilities (4, h, w) and weights to a photo's sum (h', w', 5), empty before the first."""
    if total.size == 0:
        rows, columns = round(part.shape[1] * scale), round(part.shape[2] * scale)
        total = np.zeros((rows, columns, 1 + len(part)), np.float32)
    weight = _weight(part.shape[1], part.shape[2])
    weighted = np.concatenate([part * weight, weight[np.newaxis]]).transpose(1, 2, 0)
    total += _place(weighted, window, photo_hw, (total.shape[0], total.shape[1]))
    return total


def windows_of(height: int, width: int, scale: float) -> Iterator[Window]:
    """Windows of the photo's shape that cover it and overlap, row by row; one where `scale` is 1."""
    for rows in _spans(height, scale):
        for columns in _spans(width, scale):
            yield rows, columns


def _spans(length: int, scale: float) -> list[slice]:
    size = math.ceil(length / scale)  # rounded down, windows might leave a gap between them
    count = math.floor(scale) + 1 if scale > 1 else 1
    starts = np.round(np.linspace(0, length - size, count)).astype(int)
    return [slice(int(start), int(start) + size) for start in starts]


def _weight(rows: int, columns: int) -> Floats:
    """Largest in the middle, falling evenly to the edges."""
    across, down = (
        np.minimum(np.arange(side) + 0.5, side - np.arange(side) - 0.5) / (side / 2) + _LEAST_WEIGHT
        for side in (columns, rows)
    )
    return np.outer(down, across).astype(np.float32)


def _place(part: Floats, window: Window, photo_hw: tuple[int, int], raster_hw: tuple[int, int]) -> Floats:
    """A window's raster (h, w, n) on a raster of the whole photo, zeros outside; half-pixel centres.

    The weight is one of its channels, so that the others can be divided by it after the bilinear resampling.
    """
    step_y, first_y = _sampling(part.shape[0], window[0], photo_hw[0], raster_hw[0])
    step_x, first_x = _sampling(part.shape[1], window[1], photo_hw[1], raster_hw[1])
    matrix = np.array([[step_x, 0, first_x], [0, step_y, first_y]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    placed = cv2.warpAffine(part, matrix, raster_hw[::-1], flags=flags, borderMode=cv2.BORDER_CONSTANT)
    return np.asarray(placed, np.float32)


def _sampling(pixels: int, span: slice, length: int, raster: int) -> tuple[float, float]:
    """Along one axis, in pixels of a window's raster: the distance and the first position of the photo's raster."""
    per_photo_pixel = pixels / (span.stop - span.start)
    step = length / raster * per_photo_pixel
    return step, step / 2 - span.start * per_photo_pixel - 0.5
