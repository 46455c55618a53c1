"""Contact sheets: many pictures with captions in one image."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np

from surfaces.detections import Image

_BACKGROUND = 245
_TEXT_RGB = (30, 30, 30)
_FONT, _FONT_SCALE = cv2.FONT_HERSHEY_SIMPLEX, 0.4


@dataclass(frozen=True)
class SheetLayout:
    """The layout of a contact sheet; sizes in pixels, those of a tile without its caption."""

    columns: int = 6
    tile_width: int = 320
    tile_height: int = 240
    caption_height: int = 18


def contact_sheet(tiles: Iterable[tuple[str, Image]], layout: SheetLayout) -> Image:
    """Arranges captioned pictures (uint8 HxWx3 RGB, no larger than a tile) in rows; returns one picture."""
    row_height = layout.tile_height + layout.caption_height
    rows: list[Image] = []
    for index, (caption, picture) in enumerate(tiles):
        column = index % layout.columns
        if column == 0:
            rows.append(np.full((row_height, layout.columns * layout.tile_width, 3), _BACKGROUND, np.uint8))
        left = column * layout.tile_width
        height, width = picture.shape[:2]
        rows[-1][:height, left : left + width] = picture
        text = _fit_text(caption, layout.tile_width - 8)
        cv2.putText(rows[-1], text, (left + 4, row_height - 5), _FONT, _FONT_SCALE, _TEXT_RGB, 1, cv2.LINE_AA)
    return np.concatenate(rows)


def _fit_text(caption: str, width: int) -> str:
    """The end of a caption that fits into a width in pixels, since the names of a dataset begin alike."""
    text = caption.encode("ascii", "replace").decode()  # OpenCV draws only ASCII
    while text and cv2.getTextSize(text, _FONT, _FONT_SCALE, 1)[0][0] > width:
        text = text[1:]
    return text
