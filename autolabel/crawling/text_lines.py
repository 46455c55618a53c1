"""How much of a picture is text: lines of characters on a plain ground.

Characters are told as connected components and joined to lines along the rows, as in Wong, Casey and Wahl, Document
Analysis System, 1982.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from surfaces.detections import Image, Mask

Ints = npt.NDArray[np.int32]

_WINDOW, _OFFSET = 31, 18  # ink differs from the mean of a window by so many grey levels
_HEIGHT_LEAST, _HEIGHT_MOST = 5, 0.15  # of a character: pixels, share of the picture's height
_OCTAVES = 1.5  # a line's characters are of similar heights: from one step of this to twice as many pixels
_REACH = 0.45  # characters of a line are no further apart than twice this share of their heights
_CHARACTERS_LEAST = 5
_BASELINE_LEAST = 0.6  # share of a line's characters that stand on it; rows of tiles and books are less straight
_CONTRAST_LEAST = 3.0  # between ink and ground, in standard deviations of the ground, which is plain under text


def text_share(image: Image) -> float:
    """The share of a picture, 0 to 1, that lines of text cover; `image` is uint8 HxWx3 RGB, its longer side about 640
    pixels, the letters at least 5 of them high."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    covered = np.zeros(grey.shape, bool)
    for ground in (grey, 255 - grey):
        _cover_lines(np.asarray(ground, np.uint8), covered)
    return float(covered.mean())


def _cover_lines(grey: npt.NDArray[np.uint8], covered: Mask) -> None:
    """Marks the lines of text that is darker than its ground."""
    ink = cv2.adaptiveThreshold(grey, 255, cv2.ADAPTIVE_THRESH_MEAN_C, cv2.THRESH_BINARY_INV, _WINDOW, _OFFSET).astype(
        np.uint8
    )
    characters = _characters(ink)
    heights = characters[:, cv2.CC_STAT_HEIGHT]
    least = float(_HEIGHT_LEAST)
    while least <= heights.max(initial=0):
        for left, top, right, bottom in _lines(characters[(heights >= least) & (heights < 2 * least)], grey.shape):
            place = np.s_[top:bottom, left:right]
            if _is_on_plain_ground(grey[place], ink[place] > 0):
                covered[place] = True
        least *= _OCTAVES


def _characters(ink: npt.NDArray[np.uint8]) -> Ints:
    """Boxes (left, top, width, height, area) of the components that may be characters."""
    boxes = np.asarray(cv2.connectedComponentsWithStats(ink, connectivity=8)[2][1:], np.int32)
    _, _, width, height, area = boxes.T
    filled = area / (width * height)
    likely = (height >= _HEIGHT_LEAST) & (height <= _HEIGHT_MOST * ink.shape[0])
    likely &= (width >= 0.15 * height) & (width <= 2.5 * height) & (filled > 0.12) & (filled < 0.95)
    characters: Ints = boxes[likely]
    return characters


def _lines(characters: Ints, shape: tuple[int, ...]) -> list[tuple[int, int, int, int]]:
    """Boxes xyxy of the lines that characters of similar height form."""
    joined = np.zeros(shape, np.uint8)
    for left, top, width, height, _ in characters:
        reach = int(_REACH * height) + 1
        joined[top : top + height, max(0, left - reach) : left + width + reach] = 1
    _, numbers, boxes, _ = cv2.connectedComponentsWithStats(joined, connectivity=4)
    left, top, width, height, _ = characters.T
    line_of = np.asarray(numbers)[top + height // 2, left + width // 2]
    found = []
    for number in np.flatnonzero(np.bincount(line_of, minlength=1) >= _CHARACTERS_LEAST):
        members = line_of == number
        line_left, line_top, line_width, line_height, _ = map(int, boxes[number])
        usual = float(np.median(height[members]))
        bottoms = (top + height)[members]
        straight = np.mean(np.abs(bottoms - np.median(bottoms)) <= 0.08 * usual + 1)
        if line_height < 2.2 * usual and line_width > 3 * line_height and straight >= _BASELINE_LEAST:
            found.append((line_left, line_top, line_left + line_width, line_top + line_height))
    return found


def _is_on_plain_ground(grey: npt.NDArray[np.uint8], ink: Mask) -> bool:
    ground = grey[~ink]
    return bool(ground.mean() - grey[ink].mean() > _CONTRAST_LEAST * ground.std())
