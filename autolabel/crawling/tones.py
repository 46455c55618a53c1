"""What the colours of a picture tell: whether it is grey, and whether it was drawn rather than photographed."""

from __future__ import annotations

import cv2
import numpy as np

from surfaces.detections import Image

_SIDE = 160  # pixels; noise and JPEG's blocks vanish, colours stay
_LEVELS = 16


def colour_spread(image: Image) -> float:
    """How far the colours of a photo depart from one tone.

    A black-and-white photo has one colour at each lightness, also where it is toned, such as in sepia. What counts is
    the distance from it in a*b* of CIE L*a*b*, which 1 % of the pixels exceed: 0 for black and white, above 10 for
    nearly all photos in colour.

    Args:
        image: uint8 HxWx3 RGB.
    """
    small = cv2.resize(image, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    lightness, *colours = cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_RGB2LAB).reshape(-1, 3).T
    level = np.minimum(lightness * (_LEVELS / 100), _LEVELS - 1).astype(np.int64)
    count = np.maximum(np.bincount(level, minlength=_LEVELS), 1)
    departure = [colour - (np.bincount(level, colour, _LEVELS) / count)[level] for colour in colours]
    return float(np.percentile(np.hypot(*departure), 99))


def lightness_entropy(image: Image) -> float:
    """Shannon's entropy of the grey levels in bits, 0 to 8; `image` is uint8 HxWx3 RGB.

    Photographs have all levels; drawings, plans, pages and screenshots are mostly paper.
    """
    shares = np.bincount(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).ravel(), minlength=256) / (image.size // 3)
    shares = shares[shares > 0]
    return float(-(shares * np.log2(shares)).sum())
