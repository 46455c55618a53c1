"""Writes datasets as COCO, photo by photo, without holding them in memory."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from surfaces.classes import CLASSES, DINING_TABLE, IGNORE, OTHER, OTHER_TABLE, STUFF, SurfaceClass
from surfaces.datasets.sample import Labels, Sample, read_sample, require_unique
from surfaces.detections import Detection, Mask, box_of_mask
from surfaces.errors import OutputError
from surfaces.images.encode import encode_jpeg, is_normalized, suffix_of
from surfaces.io.atomic_files import new_folder
from surfaces.io.local_files import relative_path
from surfaces.masks.rle import encode

COCO_NAME = "annotations.json"
IMAGES_NAME = "images"


@dataclass(frozen=True, eq=False)
class LabelRegion:
    """A region of a photo's labels that is not empty, as in COCO.

    Attributes:
        crowd: whether evaluators leave it out: it is ignored, or objects without instances.
        ignored: whether its pixels are unlabelled.
    """

    surface: SurfaceClass
    mask: Mask
    crowd: bool = False
    ignored: bool = False


class CocoWriter:
    """Collects a COCO file in temporary files, so that memory does not grow; ids count from 1.

    Raises:
        OutputError: a temporary file cannot be made or written.
    """

    def __init__(self) -> None:
        with _temporary_errors():
            self._images = tempfile.TemporaryFile()  # noqa: SIM115, open until the writer is gone
            self._annotations = tempfile.TemporaryFile()  # noqa: SIM115
        self.images = self.annotations = 0

    def add_image(self, file_name: str, size_hw: tuple[int, int], **more: object) -> int:
        """Adds a photo and returns its id; the file name is relative to the COCO file, `more` are further keys."""
        self.images += 1
        entry = {"id": self.images, "file_name": file_name, "width": size_hw[1], "height": size_hw[0], **more}
        _append(self._images, entry, first=self.images == 1)
        return self.images

    def add_region(self, image_id: int, surface: SurfaceClass, mask: Mask, crowd: bool, **more: object) -> None:
        """Adds a region of a photo; `more` are further keys."""
        self.add_annotation(image_id, {**coco_annotation(surface, mask, crowd), **more})

    def add_annotation(self, image_id: int, annotation: Mapping[str, object]) -> None:
        """Adds an annotation of a photo that has all keys but the ids."""
        self.annotations += 1
        entry = {"id": self.annotations, "image_id": image_id, **annotation}
        _append(self._annotations, entry, first=self.annotations == 1)

    def write(self, file: IO[bytes], info: Mapping[str, object] | None = None) -> None:
        """Writes what was collected as one document."""
        head = {"info": dict(info or {}), "categories": coco_categories()}
        for words, part in (
            (json.dumps(head)[:-1] + ',\n"images": [', self._images),
            ('\n],\n"annotations": [', self._annotations),
        ):
            file.write(words.encode())
            with _temporary_errors():
                part.seek(0)
            shutil.copyfileobj(part, file)
        file.write(b"\n]}\n")


def write_coco(samples: Sequence[Sample], folder: Path) -> int:
    """Writes a dataset as COCO JSON and photos, one at a time; returns the number of photos.

    Upright JPEG and PNG files are copied byte for byte to `images/`, other photos are converted. Regions are packed
    RLE, which keeps holes and separate parts. The folder appears whole or not at all.

    Raises:
        DatasetError: two samples share a name, a name leads out of the folder, or a photo or its labels are invalid.
        OutputError: the folder exists or cannot be written.
    """
    require_unique(sample.name for sample in samples)
    with new_folder(folder) as partial, new_coco(partial) as coco:
        for sample in samples:
            image, labels = read_sample(sample)
            photo = sample.encoded_image()
            photo = photo if is_normalized(photo) else encode_jpeg(image)
            file_name = f"{IMAGES_NAME}/{relative_path(sample.name)}{suffix_of(photo)}"
            (partial / file_name).parent.mkdir(parents=True, exist_ok=True)
            (partial / file_name).write_bytes(photo)
            image_id = coco.add_image(file_name, labels.size_hw)
            for region in coco_regions(labels):
                coco.add_region(image_id, region.surface, region.mask, region.crowd, ignore=int(region.ignored))
    return len(samples)


@contextmanager
def new_coco(folder: Path, info: Mapping[str, object] | None = None) -> Iterator[CocoWriter]:
    """A writer of the COCO file of an existing folder; the file is written when the block ends."""
    writer = CocoWriter()
    yield writer
    with (folder / COCO_NAME).open("wb") as file:
        writer.write(file, info)


def coco_regions(labels: Labels) -> Iterator[LabelRegion]:
    """The regions of a photo; pixels that are left out of evaluation are `crowd` regions."""

    def void(surface: SurfaceClass) -> Mask:
        """The pixels that may be of a class although they are not labelled so."""
        if surface.coco_id in labels.scope.absent:
            return np.zeros(labels.size_hw, np.bool_)
        either = labels.semantic == OTHER if surface.coco_id in labels.scope.unlabelled else False
        return np.asarray((labels.semantic == IGNORE) | either, np.bool_)

    regions = [
        *(LabelRegion(surface, labels.semantic == surface.coco_id) for surface in STUFF),
        *(LabelRegion(DINING_TABLE, mask) for mask in labels.table_masks()),
        LabelRegion(DINING_TABLE, labels.table_crowd(), crowd=True),
        LabelRegion(DINING_TABLE, labels.semantic == OTHER_TABLE, crowd=True, ignored=True),
        *(LabelRegion(surface, void(surface), crowd=True, ignored=True) for surface in CLASSES),
    ]
    return (region for region in regions if region.mask.any())


def coco_categories() -> list[dict[str, Any]]:
    """The classes as COCO's `categories`."""
    return [{"id": c.coco_id, "name": c.name, "isthing": int(c.is_thing)} for c in CLASSES]


def coco_annotation(surface: SurfaceClass, mask: Mask, crowd: bool) -> dict[str, Any]:
    """A region as a COCO annotation without `id` and `image_id`; a crowd is also `ignore`."""
    left, top, right, bottom = (int(side) for side in box_of_mask(mask))
    return {
        "category_id": surface.coco_id,
        "segmentation": encode(mask),
        "area": int(mask.sum()),
        "bbox": [left, top, right - left, bottom - top],
        "iscrowd": int(crowd),
        "ignore": int(crowd),
    }


def detection_annotation(detection: Detection) -> dict[str, Any]:
    """A detected segment as a COCO annotation, with its score, without `id` and `image_id`."""
    box = detection.box_xyxy
    return {
        "category_id": detection.surface.coco_id,
        "bbox": [round(float(value), 2) for value in (*box[:2], *(box[2:] - box[:2]))],
        "area": int(detection.mask.sum()),
        "iscrowd": 0,
        "segmentation": encode(detection.mask),
        "score": round(float(detection.score), 4),
    }


def _append(file: IO[bytes], entry: Mapping[str, object], first: bool) -> None:
    with _temporary_errors():
        file.write((("\n" if first else ",\n") + json.dumps(entry)).encode())


@contextmanager
def _temporary_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(f"could not write a temporary file: {error.strerror or error}") from error
