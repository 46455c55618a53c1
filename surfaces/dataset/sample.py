"""One labelled photo, as every dataset reader yields it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from surfaces.dataset.codec import encode_jpeg
from surfaces.detections import Image


@dataclass(frozen=True, eq=False)
class Labels:
    """The dense labels of one photo.

    Attributes:
        semantic: uint8 HxW: a COCO id (1 wall, 2 floor, 3 dining table), or OTHER (0), OTHER_TABLE (4), IGNORE (255).
        tables: uint8 HxW: 0 outside dining tables, k inside the k-th one; positive exactly where semantic is 3.
        belief: uint8 (4, h, w) at any resolution, covering the photo: a teacher's probabilities of other, wall, floor
            and dining table, 255 for certainty; None where nobody stated any, as people don't.
    """

    semantic: npt.NDArray[np.uint8]
    tables: npt.NDArray[np.uint8]
    belief: npt.NDArray[np.uint8] | None = None


class Sample(Protocol):
    """A labelled photo that is read only when asked for."""

    @property
    def name(self) -> str:
        """Unique within its dataset; the photo's path relative to the dataset without its suffix."""

    def image(self) -> Image:
        """The photo, uint8 HxWx3 RGB."""

    def encoded_image(self) -> bytes:
        """The photo as a JPEG or PNG file, byte for byte as the dataset holds it."""

    def labels(self) -> Labels:
        """Its labels, of the photo's own size."""


@dataclass(frozen=True, eq=False)
class MemorySample:
    """A labelled photo held in memory: what a teacher or a renderer just made.

    Attributes:
        name: unique within its dataset.
        pixels: the photo, uint8 HxWx3 RGB.
        known: its labels.
    """

    name: str
    pixels: Image
    known: Labels

    def image(self) -> Image:
        """The photo, uint8 HxWx3 RGB."""
        return self.pixels

    def encoded_image(self) -> bytes:
        """The photo as a JPEG file."""
        return encode_jpeg(self.pixels)

    def labels(self) -> Labels:
        """Its labels, of the photo's own size."""
        return self.known
