"""What is wrong in each photo: which class was taken for which, and how much of a dataset's IoU that costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from surfaces.classes import CLASSES, OTHER, OTHER_TABLE, SurfaceClass
from surfaces.datasets import Labels
from surfaces.detections import Detection
from surfaces.metrics.confusion import confusion_matrix

SAID = ("other", *(surface.name for surface in CLASSES))
"""What a pixel can be said to be; a class's place is its COCO id."""

TRUE = (*SAID, "other table")
"""What a pixel can be."""


@dataclass(frozen=True, eq=False)
class PhotoErrors:
    """What was taken for what in one photo.

    Attributes:
        name: the sample's.
        pixels: height times width, unlabelled ones too.
        confusion: int64 (len(TRUE), len(SAID)), pixels of each truth that were said to be each class; unlabelled pixels
            are left out.
    """

    name: str
    pixels: int
    confusion: npt.NDArray[np.int64]

    def missed(self, surface: SurfaceClass) -> dict[str, int]:
        """Pixels of a class that were not found, by what they were said to be."""
        row = self.confusion[surface.coco_id]
        return {name: int(row[said]) for said, name in enumerate(SAID) if said != surface.coco_id and row[said]}

    def false(self, surface: SurfaceClass) -> dict[str, int]:
        """Pixels wrongly said to be a class, by what they are; a table of another kind is no wrong dining table."""
        column = _counted(self.confusion, surface)[:, surface.coco_id]
        return {
            name: int(column[true])
            for true, name in enumerate(TRUE[: len(column)])
            if true != surface.coco_id and column[true]
        }

    def lost(self, surface: SurfaceClass) -> int:
        """Pixels that a class's union has more than its intersection: the missed and the false ones."""
        return sum(self.missed(surface).values()) + sum(self.false(surface).values())

    def union(self, surface: SurfaceClass) -> int:
        """Pixels that are a class or were said to be it."""
        return self.lost(surface) + int(self.confusion[surface.coco_id, surface.coco_id])

    def iou(self, surface: SurfaceClass) -> float:
        """IoU of a class in this photo; NaN where it is neither there nor said."""
        union = self.union(surface)
        return 1 - self.lost(surface) / union if union else float("nan")


@dataclass(frozen=True)
class LostIou:
    """What one photo takes from a dataset's IoU.

    Attributes:
        by_class: for each of `CLASSES` the photo's lost pixels over the dataset's union, so that all photos together
            have 1 - IoU; 0 for a class that is in no photo.
    """

    by_class: tuple[float, ...]

    @property
    def mean(self) -> float:
        """What the photo takes from the mean IoU of the classes."""
        return sum(self.by_class) / len(self.by_class)


def count_errors(name: str, detections: Sequence[Detection], labels: Labels) -> PhotoErrors:
    """Counts what was taken for what in one photo.

    Args:
        name: the sample's.
        detections: the prediction, its masks of the photo's size and without overlaps.
        labels: the truth.
    """
    confusion = confusion_matrix(detections, labels)[:, :-1]  # without the totals
    return PhotoErrors(name, labels.semantic.size, confusion)


def said_map(detections: Sequence[Detection], shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """The prediction as one map, uint8 HxW: COCO ids, OTHER where nothing was said."""
    said = np.full(shape, OTHER, np.uint8)
    for detection in detections:
        said[detection.mask] = detection.surface.coco_id
    return said


def lost_iou(photos: Sequence[PhotoErrors]) -> list[LostIou]:
    """What each photo takes from the IoU of all of them."""
    unions = [sum(photo.union(surface) for photo in photos) for surface in CLASSES]
    return [
        LostIou(tuple(photo.lost(surface) / max(union, 1) for surface, union in zip(CLASSES, unions, strict=True)))
        for photo in photos
    ]


def mean_iou(photo: PhotoErrors) -> float:
    """The mean IoU of the classes that are there or were said in a photo; 1 where none is."""
    ious = [photo.iou(surface) for surface in CLASSES if photo.union(surface)]
    return float(np.mean(ious)) if ious else 1.0


def _counted(confusion: npt.NDArray[np.int64], surface: SurfaceClass) -> npt.NDArray[np.int64]:
    """The rows on which a class is measured, as surfaces.metrics measures it."""
    return confusion[:OTHER_TABLE] if surface.is_thing else confusion
