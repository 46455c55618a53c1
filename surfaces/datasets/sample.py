"""One labelled photo, as every dataset reader yields it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from surfaces.classes import DINING_TABLE
from surfaces.datasets.codec import encode_jpeg
from surfaces.detections import Image, Mask
from surfaces.errors import DatasetError


@dataclass(frozen=True, eq=False)
class Labels:
    """The dense labels of one photo.

    Attributes:
        semantic: uint8 HxW: a COCO id (1 wall, 2 floor, 3 dining table), or OTHER (0), OTHER_TABLE (4), IGNORE (255).
        tables: uint8 HxW: k inside the k-th dining table, 0 outside and in dining tables that are not told apart (a
            crowd); positive only where semantic is 3.
        belief: uint8 (4, h, w) at any resolution, covering the photo: a teacher's probabilities of other, wall, floor
            and dining table, 255 for certainty; None where nobody stated any, as people don't.
    """

    semantic: npt.NDArray[np.uint8]
    tables: npt.NDArray[np.uint8]
    soft_labels: npt.NDArray[np.uint8] | None = None

    def table_crowd(self) -> Mask:
        """Dining tables that are not told apart, bool HxW: pixels of tables, which teach and score no instances."""
        crowd: Mask = (self.semantic == DINING_TABLE.coco_id) & (self.tables == 0)
        return crowd


class Sample(Protocol):
    """A labelled photo that is read only when asked for."""

    @property
    def name(self) -> str:
        """Unique within its dataset; the photo's path relative to the dataset without its suffix."""

    def image(self) -> Image:
        """The photo, uint8 HxWx3 RGB."""

    def encoded_image(self) -> bytes:
        """The photo's file, byte for byte as the dataset holds it."""

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


def read_sample(sample: Sample) -> tuple[Image, Labels]:
    """A sample's photo and labels.

    Raises:
        DatasetError: they cannot be read, or their sizes differ.
    """
    image, labels = sample.image(), sample.labels()
    photo, labelled = image.shape[:2], labels.semantic.shape
    if photo != labelled:
        raise DatasetError(f"expected labels of the photo's size {photo} for {sample.name}, got {labelled}")
    return image, labels
