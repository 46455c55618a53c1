"""Gives a surface of a photo another colour and keeps its shading, texture and edges."""

from __future__ import annotations

import math
import operator

import cv2
import numpy as np
import numpy.typing as npt
from PIL import ImageColor

from surfaces.detections import Image, Mask
from surfaces.errors import SurfacesError
from surfaces.messages import brief

MATTE_SHARE = 0.003
"""Radius, as a share of the photo's diagonal, within which the mask's edge follows edges of the photo."""
MATTE_SMOOTHNESS = 1e-4
"""Of the guided filter: brightness differences below its square root are no edge."""
DARKEST = 0.01
"""Linear; a surface's darker channels count as this bright, so that their noise is not multiplied without limit."""
_ROWS_AT_ONCE = 256

_Floats = npt.NDArray[np.float32]

_LEVELS = np.arange(256, dtype=np.float64) / 255
_TO_LINEAR = np.where(_LEVELS <= 0.04045, _LEVELS / 12.92, ((_LEVELS + 0.055) / 1.055) ** 2.4).astype(np.float32)
"""sRGB (IEC 61966-2-1), 8 bits, to linear light, 0 to 1."""


def recolour(image: Image, mask: Mask, colour_rgb: tuple[int, int, int]) -> Image:
    """Paints a surface in another colour.

    In linear light each pixel is its surface's colour times the light that falls on it. So each is multiplied by the
    ratio of the new colour to the surface's median: shadows, coloured light and texture stay, and the median becomes
    the new colour. What becomes brighter than white is clipped. At the edges old and new are mixed by a matte, the mask
    after a guided filter (He, Sun, Tang: Guided Image Filtering, 2010).

    Args:
        image: uint8 HxWx3 sRGB; it is not changed.
        mask: bool HxW, the surface. Where it is empty, the photo is returned as it is.
        colour_rgb: 0 to 255, sRGB.
    """
    painted = image.copy()
    if not mask.any():
        return painted
    ratio = _TO_LINEAR[list(colour_rgb)] / np.maximum(median_colour(image, mask), DARKEST)
    opacity = matte(image, mask)
    for top in range(0, len(image), _ROWS_AT_ONCE):
        rows = slice(top, top + _ROWS_AT_ONCE)
        touched = opacity[rows] > 0
        old, share = _TO_LINEAR[image[rows][touched]], opacity[rows][touched][:, None]
        painted[rows][touched] = to_srgb(old + share * (np.minimum(old * ratio, 1) - old))
    return painted


def parse_colour(colour: str | tuple[int, int, int]) -> tuple[int, int, int]:
    """A colour's sRGB levels, 0 to 255: of `#8fa3ad`, of a name of CSS such as `teal`, or as given.

    Raises SurfacesError where it is none, or partly transparent.
    """
    try:
        levels = ImageColor.getrgb(colour) if isinstance(colour, str) else tuple(map(operator.index, colour))
        if len(levels) == 3 and all(0 <= level <= 255 for level in levels):
            return levels[0], levels[1], levels[2]
    except (TypeError, ValueError):
        pass
    raise SurfacesError(f"expected a colour such as '#8fa3ad' or 'teal', got {brief(str(colour))}")


def median_colour(image: Image, mask: Mask) -> _Floats:
    """The median of each channel (sRGB) over a mask that is not empty, in linear light; float32 (3,)."""
    medians = [np.median(channel[mask]) for channel in np.moveaxis(image, 2, 0)]
    return np.asarray(_TO_LINEAR[np.round(medians).astype(int)], np.float32)


def matte(image: Image, mask: Mask) -> _Floats:
    """A mask with soft edges that follow the photo's, float32 HxW, 0 to 1; within a few pixels of the mask's edge."""
    radius = max(1, round(MATTE_SHARE * math.hypot(*mask.shape)))
    hard = mask.astype(np.float32)
    guide = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32) / np.float32(255)
    side = (2 * radius + 1, 2 * radius + 1)

    def mean(values: npt.ArrayLike) -> _Floats:
        return cv2.blur(np.asarray(values, np.float32), side, borderType=cv2.BORDER_REFLECT)  # type: ignore[return-value]

    mean_guide, mean_hard = mean(guide), mean(hard)
    slope = (mean(guide * hard) - mean_guide * mean_hard) / (mean(guide * guide) - mean_guide**2 + MATTE_SMOOTHNESS)
    soft = mean(slope) * guide + mean(mean_hard - slope * mean_guide)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, side)
    # Far from the edge the matte is the mask, whatever the photo looks like there.
    surely, possibly = cv2.erode(hard, kernel, borderValue=1), cv2.dilate(hard, kernel, borderValue=0)
    return np.clip(soft, surely, possibly).astype(np.float32)


def to_srgb(linear: _Floats) -> npt.NDArray[np.uint8]:
    """Linear light, 0 to 1, as sRGB of 8 bits."""
    curved = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * np.maximum(linear, 0.0031308) ** (1 / 2.4) - 0.055)
    return np.round(255 * np.clip(curved, 0, 1)).astype(np.uint8)
