"""Labels drawn over photos, and many photos on one sheet."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from surfaces.classes import DINING_TABLE, FLOOR, IGNORE, OTHER_TABLE, WALL
from surfaces.dataset import Labels
from surfaces.detections import Image, Mask

_TINT = 0.5
_HATCH_PERIOD = 8  # pixels
_GREY = (128, 128, 128)
_OTHER_TABLE_RGB = (120, 80, 160)
_PAPER = 245


@dataclass(frozen=True)
class SheetLayout:
    """How a contact sheet is laid out, all in pixels.

    Attributes:
        columns: photos in a row.
        tile_width: of a photo's place.
        tile_height: of a photo's place, its caption not counted.
        caption_height: of the line with its name.
    """

    columns: int = 6
    tile_width: int = 320
    tile_height: int = 240
    caption_height: int = 18


def draw_labels(image: Image, labels: Labels) -> Image:
    """Draws labels over a photo, to be looked at by those who label and train.

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
        (WALL.coco_id, WALL.colour_rgb, None),
        (FLOOR.coco_id, FLOOR.colour_rgb, None),
        (DINING_TABLE.coco_id, DINING_TABLE.colour_rgb, None),
        (OTHER_TABLE, _OTHER_TABLE_RGB, hatch),
        (IGNORE, _GREY, hatch),
    ):
        mask = labels.semantic == value
        _tint(scene, mask if pattern is None else mask & pattern, colour)
    for surface in (WALL, FLOOR):
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


def contact_sheet(tiles: Iterable[tuple[str, Image]], layout: SheetLayout) -> Image:
    """Lays pictures out in rows, each above its caption.

    Args:
        tiles: caption and picture (uint8 HxWx3 RGB, no larger than the layout's tile) of each.
        layout: of the sheet.

    Returns:
        uint8 HxWx3 RGB.
    """
    rows = [_row(row, layout) for row in _batches(tiles, layout.columns)]
    return np.concatenate(rows)


def _row(tiles: list[tuple[str, Image]], layout: SheetLayout) -> Image:
    cell_height = layout.tile_height + layout.caption_height
    row = np.full((cell_height, layout.columns * layout.tile_width, 3), _PAPER, np.uint8)
    for column, (caption, picture) in enumerate(tiles):
        left = column * layout.tile_width
        height, width = picture.shape[:2]
        row[:height, left : left + width] = picture
        text = caption.encode("ascii", "replace").decode()  # OpenCV's letters are ASCII's
        baseline = (left + 4, cell_height - 5)
        cv2.putText(row, text, baseline, cv2.FONT_HERSHEY_SIMPLEX, 0.4, (30, 30, 30), 1, cv2.LINE_AA)
    return row


def _batches(tiles: Iterable[tuple[str, Image]], size: int) -> Iterator[list[tuple[str, Image]]]:
    batch: list[tuple[str, Image]] = []
    for tile in tiles:
        batch.append(tile)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


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
