"""Many pictures on one sheet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from surfaces.detections import Image

_PAPER = 245
_FONT, _FONT_SCALE = cv2.FONT_HERSHEY_SIMPLEX, 0.4


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
        text = _fitting_text(caption, layout.tile_width - 8)
        cv2.putText(row, text, (left + 4, cell_height - 5), _FONT, _FONT_SCALE, (30, 30, 30), 1, cv2.LINE_AA)
    return row


def _fitting_text(caption: str, width: int) -> str:
    """A caption's last letters, as many as fit into so many pixels: names of one dataset begin alike."""
    text = caption.encode("ascii", "replace").decode()  # OpenCV's letters are ASCII's
    while text and cv2.getTextSize(text, _FONT, _FONT_SCALE, 1)[0][0] > width:
        text = text[1:]
    return text


def _batches(tiles: Iterable[tuple[str, Image]], size: int) -> Iterator[list[tuple[str, Image]]]:
    batch: list[tuple[str, Image]] = []
    for tile in tiles:
        batch.append(tile)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
