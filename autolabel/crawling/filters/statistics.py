"""Statistics of a photo that filters use: colours, text, collages."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from surfaces.detections import Image, Mask


@dataclass(frozen=True)
class ImageStats:
    """Measures of one photo; measuring stops at the first reason to drop it, and later measures are then missing."""

    sha256: str  # of the bytes, hexadecimal
    size: int  # in bytes
    width: int = 0  # pixels, upright, as `height`; 0 where the photo cannot be decoded
    height: int = 0
    unreadable: str = ""  # why the photo cannot be decoded, one line
    thumbnail: bytes = b""  # a small JPEG
    near_hash: str = ""  # see `surfaces.images.near_duplicates`
    text: float | None = None  # see `text_share`
    entropy: float | None = None  # see `lightness_entropy`
    colour: float | None = None  # see `colour_spread`
    seams: int | None = None  # see `count_seams`
    wall: float | None = None  # see `interiors.SceneShares`, as the following
    floor: float | None = None
    table: float | None = None
    room: float | None = None

    @property
    def worth(self) -> tuple[int, int]:
        """Pixels, then bytes: of two copies of a photo the one of greater worth is kept."""
        return self.width * self.height, self.size


Ints = npt.NDArray[np.int32]
Grey = npt.NDArray[np.uint8]

_COLOUR_SIDE = 160  # pixels; noise and JPEG's blocks vanish, colours stay
_LEVELS = 16


def colour_spread(image: Image) -> float:
    """Returns how far the colours of a photo (uint8 HxWx3 RGB) depart from one tone.

    A black-and-white photo has one colour at each lightness, even if it is toned. The result is the 99th percentile of
    the distance from it in a*b* of CIE L*a*b*: 0 for black and white, above 10 for nearly all photos in colour.
    """
    small = cv2.resize(image, (_COLOUR_SIDE, _COLOUR_SIDE), interpolation=cv2.INTER_AREA)
    lightness, *colours = cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_RGB2LAB).reshape(-1, 3).T
    level = np.minimum(lightness * (_LEVELS / 100), _LEVELS - 1).astype(np.int64)
    count = np.maximum(np.bincount(level, minlength=_LEVELS), 1)
    departure = [colour - (np.bincount(level, colour, _LEVELS) / count)[level] for colour in colours]
    return float(np.percentile(np.hypot(*departure), 99))


def lightness_entropy(image: Image) -> float:
    """Shannon's entropy of the grey levels in bits, 0 to 8; drawings and pages have less than photos (RGB)."""
    shares = np.bincount(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).ravel(), minlength=256) / (image.size // 3)
    shares = shares[shares > 0]
    return float(-(shares * np.log2(shares)).sum())


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


def _cover_lines(grey: Grey, covered: Mask) -> None:
    """Marks the lines of text that is darker than its ground."""
    mean, below = cv2.ADAPTIVE_THRESH_MEAN_C, cv2.THRESH_BINARY_INV
    ink = np.asarray(cv2.adaptiveThreshold(grey, 255, mean, below, _WINDOW, _OFFSET), np.uint8)
    characters = _characters(ink)
    heights = characters[:, cv2.CC_STAT_HEIGHT]
    least = float(_HEIGHT_LEAST)
    while least <= heights.max(initial=0):
        for left, top, right, bottom in _lines(characters[(heights >= least) & (heights < 2 * least)], grey.shape):
            place = np.s_[top:bottom, left:right]
            letters, ground = grey[place][ink[place] > 0], grey[place][ink[place] == 0]
            if ground.mean() - letters.mean() > _CONTRAST_LEAST * ground.std():
                covered[place] = True
        least *= _OCTAVES


def _characters(ink: Grey) -> Ints:
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


_STEP_LEAST = 15  # grey levels between two photos that meet
_SHARPNESS_LEAST = 3  # how many times the steps beside it
_BANDS, _BANDS_LEAST = 8, 6  # bands of the picture, and those a seam goes through: photos may look the same in some
_SHARE_LEAST = 0.56  # of a band's rows, in which a seam is such a step
_PLAIN_TOLERANCE = 8  # grey levels in a margin, after JPEG
_PLAIN_LEAST = 0.98  # share of a margin's column that is plain
_EDGE = 0.12  # share of the picture in which no seam is looked for, at each side: captions stand there


def count_seams(image: Image) -> int:
    """Counts straight steps from edge to edge of a picture (uint8 HxWx3 RGB), where the photos of a collage meet.

    Doors, corners of rooms and shelves are less sharp or shorter; margins do not count. Scaling blurs seams.
    """
    grey = _trim(np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8))
    return sum(_count_upright(np.ascontiguousarray(turned)) for turned in (grey, grey.T))


def _trim(grey: Grey) -> Grey:
    """The picture without margins of one colour."""
    for _ in range(2):
        inside = np.flatnonzero(~_plain_columns(grey))
        if inside.size:
            grey = grey[:, inside[0] : inside[-1] + 1]
        grey = np.ascontiguousarray(grey.T)
    return grey


def _plain_columns(grey: Grey) -> Mask:
    usual = np.median(grey, axis=0).astype(np.uint8)
    plain = cv2.absdiff(grey, np.ascontiguousarray(np.broadcast_to(usual, grey.shape))) <= _PLAIN_TOLERANCE
    return np.asarray(plain.mean(axis=0) >= _PLAIN_LEAST, bool)


def _count_upright(grey: Grey) -> int:
    """Seams from top to bottom."""
    if len(grey) < _BANDS or grey.shape[1] < 2:
        return 0
    edge = round(_EDGE * grey.shape[1])
    steps = cv2.absdiff(grey[:, 1:], grey[:, :-1])[:, edge : max(edge, grey.shape[1] - 1 - edge)]
    if not steps.size:
        return 0
    padded = np.pad(steps, ((0, 0), (1, 1))).astype(np.int16)
    sharp = (steps >= _STEP_LEAST) & (steps > _SHARPNESS_LEAST * np.maximum(padded[:, :-2], padded[:, 2:]))
    bands = np.stack([band.mean(axis=0) for band in np.array_split(sharp, _BANDS)])
    return int((np.sort(bands, axis=0)[_BANDS - _BANDS_LEAST] >= _SHARE_LEAST).sum())
