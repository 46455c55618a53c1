"""Writes a COCO file photo by photo, whatever the number of photos: nothing is gathered in memory."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from surfaces.classes import CLASSES, SurfaceClass
from surfaces.datasets.folders import COCO_NAME
from surfaces.detections import Mask, box_of_mask
from surfaces.masks.rle import encode

_ANNOTATIONS_PART = ".annotations.part"


class CocoWriter:
    """A COCO file in the making; ids count from 1 in the order of what is added."""

    def __init__(self, images: IO[str], annotations: IO[str]) -> None:
        self._images = images
        self._annotations = annotations
        self.images = self.annotations = 0

    def add_image(self, file_name: str, size_hw: tuple[int, int], **more: object) -> int:
        """Adds a photo; returns its id.

        Args:
            file_name: relative to the COCO file.
            size_hw: height and width in pixels.
            more: further keys.
        """
        self.images += 1
        entry = {"id": self.images, "file_name": file_name, "width": size_hw[1], "height": size_hw[0], **more}
        _append(self._images, entry, first=self.images == 1)
        return self.images

    def add_region(self, image_id: int, surface: SurfaceClass, mask: Mask, crowd: bool, **more: object) -> None:
        """Adds a region, bool HxW, of a photo; further arguments are further keys. See `coco_annotation`."""
        self.annotations += 1
        entry = {"id": self.annotations, "image_id": image_id, **coco_annotation(surface, mask, crowd), **more}
        _append(self._annotations, entry, first=self.annotations == 1)


@contextmanager
def new_coco(folder: Path, info: Mapping[str, object] | None = None) -> Iterator[CocoWriter]:
    """The COCO file of a folder, to be filled in the block; whole when the block ends.

    Args:
        folder: an existing folder.
        info: what COCO's `info` shall say.
    """
    part = folder / _ANNOTATIONS_PART
    with (
        (folder / COCO_NAME).open("w", encoding="utf-8", newline="\n") as images,
        part.open("w+", encoding="utf-8", newline="\n") as annotations,
    ):
        head = {"info": dict(info or {}), "categories": coco_categories()}
        images.write(json.dumps(head)[:-1] + ',\n"images": [')
        yield CocoWriter(images, annotations)
        images.write('\n],\n"annotations": [')
        annotations.seek(0)
        shutil.copyfileobj(annotations, images)
        images.write("\n]}\n")
    part.unlink()


def coco_categories() -> list[dict[str, Any]]:
    """The three classes as COCO's `categories`."""
    return [{"id": c.coco_id, "name": c.name, "isthing": int(c.is_thing)} for c in CLASSES]


def coco_annotation(surface: SurfaceClass, mask: Mask, crowd: bool) -> dict[str, Any]:
    """A region as a COCO annotation, but for `id` and `image_id`; a crowd is one to ignore.

    Args:
        surface: its class.
        mask: bool HxW.
        crowd: whether evaluators shall leave the region out.
    """
    left, top, right, bottom = (int(side) for side in box_of_mask(mask))
    return {
        "category_id": surface.coco_id,
        "segmentation": encode(mask),
        "area": int(mask.sum()),
        "bbox": [left, top, right - left, bottom - top],
        "iscrowd": int(crowd),
        "ignore": int(crowd),
    }


def _append(file: IO[str], entry: Mapping[str, object], first: bool) -> None:
    file.write(("\n" if first else ",\n") + json.dumps(entry))
