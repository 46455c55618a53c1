"""Draws labels over photos."""

from __future__ import annotations

import math

import cv2
import numpy as np

from surfaces.classes import CLASSES, DINING_TABLE, IGNORE, OTHER_TABLE, STUFF
from surfaces.datasets.sample import Labels
from surfaces.detections import Image, Mask

_TINT = 0.5
_HATCH_PERIOD = 8  # pixels
_IGNORE_RGB = (128, 128, 128)
_OTHER_TABLE_RGB = (120, 80, 160)


def draw_labels(image: Image, labels: Labels) -> Image:
    """Draws labels over a copy of a photo, uint8 HxWx3 RGB, of the same size.

    Classes are tinted in their colours and outlined, each table separately. Tables of another kind are hatched in
    violet, unlabelled pixels in grey.
    """
    scene = image.copy()
    rows, columns = np.indices(labels.size_hw)
    hatch = (rows + columns) % _HATCH_PERIOD < _HATCH_PERIOD // 2
    for surface in CLASSES:
        _tint(scene, labels.semantic == surface.coco_id, surface.colour_rgb)
    _tint(scene, (labels.semantic == OTHER_TABLE) & hatch, _OTHER_TABLE_RGB)
    _tint(scene, (labels.semantic == IGNORE) & hatch, _IGNORE_RGB)
    for surface in STUFF:
        _outline(scene, labels.semantic == surface.coco_id, surface.colour_rgb)
    for mask in labels.table_masks():
        _outline(scene, mask, DINING_TABLE.colour_rgb)
    return scene


def fitting_size(shape: tuple[int, ...], width: int, height: int) -> tuple[int, int]:
    """The width and height at which a photo of a shape (HxW…) fits into a box; photos are never enlarged."""
    scale = min(1.0, width / shape[1], height / shape[0])
    return max(1, round(shape[1] * scale)), max(1, round(shape[0] * scale))


def _tint(scene: Image, mask: Mask, colour_rgb: tuple[int, int, int]) -> None:
    colour = np.array(colour_rgb, np.float32)
    scene[mask] = ((1 - _TINT) * scene[mask] + _TINT * colour).astype(np.uint8)


def _outline(scene: Image, mask: Mask, colour_rgb: tuple[int, int, int]) -> None:
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    thickness = max(1, round(math.hypot(*mask.shape) / 600))
    cv2.drawContours(scene, contours, -1, colour_rgb, thickness, cv2.LINE_AA)
