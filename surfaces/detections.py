"""Segments of one photo, found by a network, a teacher or a person."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from surfaces.classes import SurfaceClass

Image = npt.NDArray[np.uint8]
"""uint8 HxWx3, RGB, EXIF orientation already applied."""

Mask = npt.NDArray[np.bool_]
"""bool HxW, True inside."""


@dataclass(frozen=True, eq=False)
class Detection:
    """One segment.

    Attributes:
        score: confidence from 0 to 1.
        box_xyxy: float32 (4,), absolute pixels, right and bottom exclusive.
        mask: bool HxW of the photo's size; may have holes and separate parts.
    """

    surface: SurfaceClass
    score: float
    box_xyxy: npt.NDArray[np.float32]
    mask: Mask

    @property
    def area_share(self) -> float:
        """Share of the photo that the mask covers, 0 to 1."""
        return float(self.mask.mean())


def box_of_mask(mask: Mask) -> npt.NDArray[np.float32]:
    """The tight box around a mask, float32 (4,) xyxy, right and bottom exclusive; zeros for an empty mask."""
    columns = np.flatnonzero(mask.any(axis=0))
    rows = np.flatnonzero(mask.any(axis=1))
    if columns.size == 0:
        return np.zeros(4, np.float32)
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.float32)
