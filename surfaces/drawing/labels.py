"""Labels drawn over photos, to be looked at by those who label and train."""

from __future__ import annotations

import math

import cv2
import numpy as np

from surfaces.classes import CLASSES, DINING_TABLE, IGNORE, OTHER_TABLE, STUFF
from surfaces.datasets.sample import Labels
from surfaces.detections import Image, Mask

_TINT = 0.5
_HATCH_PERIOD = 8  # pixels
_GREY = (128, 128, 128)
_OTHER_TABLE_RGB = (120, 80, 160)


def draw_labels(image: Image, labels: Labels) -> Image:
    """Draws labels over a photo.

    Classes are tinted in their colours and outlined, every table by itself. Tables of another kind are hatched in
    violet, unlabelled pixels in grey.

    Args:
        image: uint8 HxWx3 RGB; left as it is.
        labels: of the photo's size.

    Returns:
        uint8 HxWx3 RGB.
    """
    scene = image.copy()
    hatch = _hatch(labels.semantic.shape)
    for value, colour, pattern in (
        *((surface.coco_id, surface.colour_rgb, None) for surface in CLASSES),
        (OTHER_TABLE, _OTHER_TABLE_RGB, hatch),
        (IGNORE, _GREY, hatch),
    ):
        mask = labels.semantic == value
        _tint(scene, mask if pattern is None else mask & pattern, colour)
    for surface in STUFF:
        _outline(scene, labels.semantic == surface.coco_id, surface.colour_rgb)
    for number in range(1, int(labels.tables.max(initial=0)) + 1):
        _outline(scene, labels.tables == number, DINING_TABLE.colour_rgb)
    return scene


def shrink_labels(labels: Labels, size_wh: tuple[int, int]) -> Labels:
    """Labels of another size, by nearest neighbour."""
    semantic, tables = (
        np.asarray(cv2.resize(m, size_wh, interpolation=cv2.INTER_NEAREST_EXACT), np.uint8)
        for m in (labels.semantic, labels.tables)
    )
    return Labels(semantic, tables)


def fitting_size(shape: tuple[int, ...], width: int, height: int) -> tuple[int, int]:
    """The width and height of a photo of this shape (HxW…) inside a place; a photo is never enlarged."""
    scale = min(1.0, width / shape[1], height / shape[0])
    return max(1, round(shape[1] * scale)), max(1, round(shape[0] * scale))


def _hatch(shape: tuple[int, ...]) -> Mask:
    rows, columns = np.indices(shape[:2])
    stripes: Mask = (rows + columns) % _HATCH_PERIOD < _HATCH_PERIOD // 2
    return stripes


def _tint(scene: Image, mask: Mask, colour_rgb: tuple[int, int, int]) -> None:
    colour = np.array(colour_rgb, np.float32)
    scene[mask] = ((1 - _TINT) * scene[mask] + _TINT * colour).astype(np.uint8)


def _outline(scene: Image, mask: Mask, colour_rgb: tuple[int, int, int]) -> None:
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    thickness = max(1, round(math.hypot(*mask.shape) / 600))
    cv2.drawContours(scene, contours, -1, colour_rgb, thickness, cv2.LINE_AA)
