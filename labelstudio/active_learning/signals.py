"""What a queue goes by, measured on one photo's labels: expected areas and errors, borders, layout, colours."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from surfaces.classes import NUM_CHANNELS
from surfaces.detections import Image
from surfaces.errors import DecodeError
from surfaces.images.load import check_photo
from surfaces.store.records import ScoredLabels

Floats = npt.NDArray[np.float32]

LONGEST_SIDE = 96
"""Of the raster on which photos are measured, so that lengths in photos of all sizes can be compared."""

_LAYOUT_CELLS = 6
_COLOUR_CELLS = 6


def belief_raster(labels: ScoredLabels) -> Floats:
    """The probabilities behind a photo's labels on a raster whose longer side is `LONGEST_SIDE` at the most.

    Where the teacher stated none they are read off the labels: a segment's class is as probable as its score and the
    rest is "other", unsure pixels may be anything, and "other" is certain.

    Returns:
        float32 (4, h, w): other, wall, floor, dining table; sums to 1.
    """
    height, width = labels.ignore_mask.shape
    scale = min(1.0, LONGEST_SIDE / max(height, width))
    rows, columns = (max(1, round(side * scale)) for side in (height, width))
    if labels.soft_labels is not None:
        stated = labels.soft_labels.transpose(1, 2, 0).astype(np.float32)
        shrunk = cv2.resize(stated, (columns, rows), interpolation=cv2.INTER_AREA).transpose(2, 0, 1)
        return np.asarray(shrunk / np.maximum(shrunk.sum(axis=0), 1), np.float32)
    sampled = np.ix_(_centres(rows, height), _centres(columns, width))
    soft_labels = np.zeros((NUM_CHANNELS, rows, columns), np.float32)
    soft_labels[0] = 1
    for segment in labels.segments:
        found = segment.detection
        inside = found.mask[sampled]
        soft_labels[0, inside] = 1 - found.score
        soft_labels[found.surface.coco_id, inside] = found.score
    soft_labels[:, labels.ignore_mask[sampled]] = 1 / NUM_CHANNELS
    return soft_labels


def class_shares(soft_labels: Floats) -> Floats:
    """Share of the photo that each class is expected to cover, float32 (4,)."""
    return np.asarray(soft_labels.mean(axis=(1, 2)), np.float32)


def class_doubt(soft_labels: Floats) -> Floats:
    """Share of the photo that each class is expected to have wrong where the most probable class is taken.

    A pixel that is called a class is not of it with probability 1 - p, and one that is called another is missed by it
    with probability p.

    Returns:
        float32 (4,).
    """
    called = soft_labels.argmax(axis=0) == np.arange(NUM_CHANNELS)[:, None, None]
    return np.asarray(np.where(called, 1 - soft_labels, soft_labels).mean(axis=(1, 2)), np.float32)


def border_share(soft_labels: Floats) -> float:
    """Share of a belief's places, (classes, h, w), whose right or lower neighbour is called another class."""
    called = soft_labels.argmax(axis=0)
    border = np.zeros(called.shape, bool)
    border[:, :-1] |= called[:, :-1] != called[:, 1:]
    border[:-1] |= called[:-1] != called[1:]
    return float(border.mean())


def descriptor(soft_labels: Floats, photo: bytes) -> Floats:
    """Where the classes and the colours lie, coarsely: photos of one corner of a room from one place are near.

    Args:
        belief: as `belief_raster` returns it.
        photo: its file; where it is empty, cannot be decoded or is beyond the limits of photos, the classes alone tell.

    Returns:
        float32 (D,), 0 to 1 each: the classes' shares and the Lab colours of cells.
    """
    layout = _cells(soft_labels.transpose(1, 2, 0), _LAYOUT_CELLS)
    small = cv2.resize(_shrunk(photo), (4 * _COLOUR_CELLS, 4 * _COLOUR_CELLS), interpolation=cv2.INTER_AREA)
    colours = np.divide(cv2.cvtColor(small, cv2.COLOR_BGR2LAB), 255, dtype=np.float32)
    return np.concatenate([layout, _cells(colours, _COLOUR_CELLS)])


def _shrunk(photo: bytes) -> Image:
    """A photo in BGR, at an eighth of its size, which JPEG decodes fastest; grey where it cannot be decoded."""
    try:
        check_photo(photo)
    except DecodeError:
        pixels = None
    else:
        pixels = cv2.imdecode(np.frombuffer(photo, np.uint8), cv2.IMREAD_REDUCED_COLOR_8)
    return np.full((1, 1, 3), 127, np.uint8) if pixels is None else np.asarray(pixels, np.uint8)


def _cells(planes: Floats, cells: int) -> Floats:
    """Means of float32 (h, w, channels) over cells x cells parts, flat."""
    return np.asarray(cv2.resize(planes, (cells, cells), interpolation=cv2.INTER_AREA), np.float32).ravel()


def _centres(count: int, side: int) -> npt.NDArray[np.intp]:
    """Pixels of a side in the middle of `count` equal parts."""
    return ((np.arange(count) + 0.5) * side / count).astype(np.intp)
