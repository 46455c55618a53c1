"""The network's output for one photo, and its input size."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

SIZE_MULTIPLE = 128
TARGET_AREA = 640 * 512
MAX_AREA = 768 * 512
MAX_SIDE = 1536
AREA_WEIGHT = 0.15
"""Weight of the area's error relative to the aspect ratio's, both as logarithms."""


@dataclass(frozen=True, eq=False)
class ModelOutput:
    """The network's outputs, in its own coordinates.

    Attributes:
        probabilities: float32 (4, h, w): other, wall, floor, dining table; they cover the whole photo and sum to 1.
        boxes: float32 (T, 4) xyxy as shares of the photo's width and height; dining tables by descending score.
        masks: float32 (T, M, M): each box's mask probabilities, stretched over the box.
    """

    probabilities: Floats
    boxes: Floats
    scores: Floats
    masks: Floats


def choose_input_size(height: int, width: int) -> tuple[int, int]:
    """The network's input (height, width) for a photo: about TARGET_AREA, multiples of SIZE_MULTIPLE, its aspect."""
    sides = range(SIZE_MULTIPLE, MAX_SIDE + 1, SIZE_MULTIPLE)
    candidates = [(h, w) for h in sides for w in sides if h * w <= MAX_AREA]

    def misfit(size: tuple[int, int]) -> float:
        h, w = size
        return abs(math.log(w / h * height / width)) + AREA_WEIGHT * abs(math.log(h * w / TARGET_AREA))

    return min(candidates, key=misfit)
