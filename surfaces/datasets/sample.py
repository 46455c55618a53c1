"""Labels of a photo, and the interface of labelled photos."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from surfaces.classes import DINING_TABLE
from surfaces.detections import Image, Mask
from surfaces.errors import DatasetError
from surfaces.images.encode import encode_jpeg

MAX_TABLES = 254
"""Of one photo, since label maps have one byte per pixel."""


@dataclass(frozen=True)
class LabelScope:
    """What a label map leaves open, and what is known of the photo as a whole.

    Attributes:
        unlabelled: COCO ids of classes that the map does not label: a pixel that is OTHER may be one of them.
        absent: COCO ids of classes that are nowhere in the photo, not even where it is unlabelled.
        present: COCO ids of classes that are somewhere in the photo, labelled or not.
    """

    unlabelled: frozenset[int] = frozenset()
    absent: frozenset[int] = frozenset()
    present: frozenset[int] = frozenset()


ALL_LABELLED = LabelScope()


@dataclass(frozen=True, eq=False)
class Labels:
    """The dense labels of one photo.

    Attributes:
        semantic: uint8 HxW: a COCO id (1 wall, 2 floor, 3 dining table), or OTHER (0), OTHER_TABLE (4), IGNORE (255).
        tables: uint8 HxW: k inside the k-th dining table, else 0, also in dining tables without instances (a crowd);
            positive only where semantic is 3.
        soft_labels: uint8 (4, h, w) at any resolution, covering the photo: a teacher's probabilities of other, wall,
            floor and dining table, 255 for certainty; None where there are none.
        scope: which classes are labelled, and the image-level labels.
    """

    semantic: npt.NDArray[np.uint8]
    tables: npt.NDArray[np.uint8]
    soft_labels: npt.NDArray[np.uint8] | None = None
    scope: LabelScope = ALL_LABELLED

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width of the photo."""
        height, width = self.semantic.shape
        return height, width

    def table_crowd(self) -> Mask:
        """Dining tables without instances, bool HxW, which count for pixels but not for instances."""
        crowd: Mask = (self.semantic == DINING_TABLE.coco_id) & (self.tables == 0)
        return crowd

    def table_masks(self) -> list[Mask]:
        """The mask of each dining table, bool HxW, by its number."""
        return [self.tables == number for number in range(1, int(self.tables.max(initial=0)) + 1)]


def shrink_labels(labels: Labels, size_wh: tuple[int, int]) -> Labels:
    """Resizes labels by nearest neighbour; soft labels keep their resolution."""
    semantic, tables = (
        np.asarray(cv2.resize(m, size_wh, interpolation=cv2.INTER_NEAREST_EXACT), np.uint8)
        for m in (labels.semantic, labels.tables)
    )
    return Labels(semantic, tables, labels.soft_labels, labels.scope)


class Sample(Protocol):
    """A labelled photo that is read on demand."""

    @property
    def name(self) -> str:
        """Unique within its dataset: the photo's path relative to the dataset without its suffix."""

    def image(self) -> Image:
        """The photo, uint8 HxWx3 RGB."""

    def encoded_image(self) -> bytes:
        """The photo's file, byte for byte."""

    def labels(self) -> Labels:
        """Its labels, of the photo's size."""


@dataclass(frozen=True, eq=False)
class MemorySample:
    """A labelled photo in memory.

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
        """Its labels, of the photo's size."""
        return self.known


@dataclass(frozen=True, eq=False)
class WrappedSample:
    """A sample as it is; subclasses change its name or its labels."""

    sample: Sample

    @property
    def name(self) -> str:
        """The sample's."""
        return self.sample.name

    def image(self) -> Image:
        """The photo, uint8 HxWx3 RGB."""
        return self.sample.image()

    def encoded_image(self) -> bytes:
        """The photo's file, byte for byte."""
        return self.sample.encoded_image()

    def labels(self) -> Labels:
        """Its labels, of the photo's size."""
        return self.sample.labels()


def unwrapped(sample: Sample) -> Sample:
    """The sample as its dataset gave it."""
    while isinstance(sample, WrappedSample):
        sample = sample.sample
    return sample


def read_sample(sample: Sample) -> tuple[Image, Labels]:
    """A sample's photo and labels.

    Raises:
        DatasetError: they cannot be read, or their sizes differ.
    """
    image, labels = sample.image(), sample.labels()
    if image.shape[:2] != labels.size_hw:
        raise DatasetError(
            f"expected labels of the photo's size {image.shape[:2]} for {sample.name}, got {labels.size_hw}"
        )
    return image, labels


def require_unique(names: Iterable[str]) -> None:
    """Checks the names of samples.

    Raises:
        DatasetError: two share a name.
    """
    given = list(names)
    if len(set(given)) == len(given):  # as ever: counting takes longer
        return
    for name, count in Counter(given).items():
        if count > 1:
            raise DatasetError(f"expected one sample a name, got {count} called {name}")
