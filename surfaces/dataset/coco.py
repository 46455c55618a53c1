"""The project's dataset format: COCO JSON and photos. Wall and floor are one annotation a photo, tables one each.

What nobody labelled is written as COCO knows it, as `iscrowd` regions, which evaluators leave out: a table of another
kind is a crowd of dining tables (calling it one is not punished), an unlabelled region a crowd of all three classes.
The format is that of Lin et al., Microsoft COCO, ECCV 2014 (https://cocodataset.org/#format-data).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from surfaces.classes import BY_NAME, CLASSES, DINING_TABLE, IGNORE, OTHER, OTHER_TABLE, STUFF, SurfaceClass
from surfaces.dataset.coco_writer import new_coco
from surfaces.dataset.codec import decode_image, read_bytes, suffix_of
from surfaces.dataset.names import inside, require_unique
from surfaces.dataset.sample import Labels, Sample
from surfaces.dataset.segmentation import decode_segmentation
from surfaces.dataset.tables import numbered_without_gaps
from surfaces.dataset.writing import new_folder
from surfaces.detections import Image, Mask
from surfaces.errors import DatasetError

_IMAGES = "images"
_MOST_TABLES = 254


@dataclass(frozen=True)
class CocoSample:
    """A photo and its annotations in a COCO file.

    Attributes:
        name: the photo's path below `images` (or below the file's folder) without its suffix.
        image_path: the photo's file.
        size_hw: height and width that the COCO file states.
        annotations: the photo's annotations, as in the file, each with its class.
    """

    name: str
    image_path: Path
    size_hw: tuple[int, int]
    annotations: tuple[tuple[SurfaceClass, dict[str, Any]], ...]

    def image(self) -> Image:
        """The photo, uint8 HxWx3 RGB."""
        image = decode_image(self.encoded_image(), str(self.image_path))
        if image.shape[:2] != self.size_hw:
            raise DatasetError(f"expected {self.image_path} of {self.size_hw} (rows, columns), got {image.shape[:2]}")
        return image

    def encoded_image(self) -> bytes:
        """The photo's file, byte for byte."""
        return read_bytes(self.image_path)

    def labels(self) -> Labels:
        """Its labels, of the photo's own size. Where regions overlap, tables win over floor, and floor over wall."""
        try:
            return _labels_of(self.annotations, self.size_hw)
        except DatasetError as error:
            raise DatasetError(f"{error} (annotations of {self.name})") from error


def open_coco(path: Path) -> list[Sample]:
    """The samples of a COCO file, in the file's order.

    Args:
        path: the file; photos are looked for beside it. Categories are told by name: `wall`, `floor` and
            `dining table` must be there, others are ignored.

    Raises:
        DatasetError: it is not such a file.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return _samples_of(content, path.parent)
    except OSError as error:
        raise DatasetError(f"expected a readable COCO file at {path}, got: {error.strerror}") from error
    except DatasetError as error:
        raise DatasetError(f"{error} ({path})") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DatasetError(f"expected a COCO file in {path}, got: {error!r}") from error


def write_coco(samples: Sequence[Sample], folder: Path) -> int:
    """Writes a dataset as COCO JSON and photos. The folder appears whole or not at all.

    Photos are copied byte for byte to `images/`. Regions are packed RLE: parts may be apart, holes stay holes.

    Args:
        samples: what to write; read one at a time.
        folder: where to; it must not exist yet.

    Returns:
        How many photos were written.

    Raises:
        DatasetError: two samples share a name, or a name leads out of the folder.
        OutputError: the folder exists or cannot be written.
    """
    require_unique(sample.name for sample in samples)
    with new_folder(folder) as partial, new_coco(partial) as coco:
        for sample in samples:
            photo, labels = sample.encoded_image(), sample.labels()
            file_name = f"{_IMAGES}/{inside(sample.name)}{suffix_of(photo)}"
            (partial / file_name).parent.mkdir(parents=True, exist_ok=True)
            (partial / file_name).write_bytes(photo)
            image_id = coco.add_image(file_name, (labels.semantic.shape[0], labels.semantic.shape[1]))
            for surface, mask, crowd in coco_regions(labels):
                coco.add_region(image_id, surface, mask, crowd)
    return len(samples)


def coco_regions(labels: Labels) -> Iterator[tuple[SurfaceClass, Mask, bool]]:
    """The regions of a photo, none of them empty: class, mask (bool HxW), and whether evaluators shall leave it out."""
    tables = [labels.tables == number for number in range(1, int(labels.tables.max(initial=0)) + 1)]
    unlabelled = labels.semantic == IGNORE
    regions = [
        *((surface, labels.semantic == surface.coco_id, False) for surface in STUFF),
        *((DINING_TABLE, table, False) for table in tables),
        (DINING_TABLE, labels.semantic == OTHER_TABLE, True),
        *((surface, unlabelled, True) for surface in CLASSES),
    ]
    return (region for region in regions if region[1].any())


def _samples_of(content: dict[str, Any], folder: Path) -> list[Sample]:
    classes = {entry["id"]: BY_NAME[entry["name"]] for entry in content["categories"] if entry["name"] in BY_NAME}
    if len(classes) != len(CLASSES):
        raise DatasetError(f"expected the categories {', '.join(BY_NAME)}, got {[c.name for c in classes.values()]}")
    annotations: dict[object, list[tuple[SurfaceClass, dict[str, Any]]]] = {}
    for entry in content["images"]:
        annotations[entry["id"]] = []
    for annotation in content["annotations"]:
        if annotation["category_id"] in classes:
            annotations[annotation["image_id"]].append((classes[annotation["category_id"]], annotation))
    names = [_name_of(inside(entry["file_name"])) for entry in content["images"]]
    require_unique(names)
    return [
        CocoSample(
            name=name,
            image_path=folder / entry["file_name"],
            size_hw=(int(entry["height"]), int(entry["width"])),
            annotations=tuple(annotations[entry["id"]]),
        )
        for name, entry in zip(names, content["images"], strict=True)
    ]


def _name_of(file_name: str) -> str:
    return str(PurePosixPath(file_name.removeprefix(f"{_IMAGES}/")).with_suffix(""))


def _labels_of(annotations: Iterable[tuple[SurfaceClass, dict[str, Any]]], size_hw: tuple[int, int]) -> Labels:
    def masks(surface: SurfaceClass, crowd: bool) -> Iterator[Mask]:
        for of, annotation in annotations:
            if of is surface and bool(annotation.get("iscrowd", 0)) is crowd:
                yield decode_segmentation(annotation.get("segmentation"), *size_hw)

    semantic = np.full(size_hw, OTHER, np.uint8)
    for surface, value in ((DINING_TABLE, OTHER_TABLE), *((stuff, IGNORE) for stuff in STUFF)):
        for mask in masks(surface, crowd=True):
            semantic[mask] = value
    for surface in STUFF:
        for mask in masks(surface, crowd=False):
            semantic[mask] = surface.coco_id
    tables = np.zeros(size_hw, np.uint8)
    for number, mask in enumerate(masks(DINING_TABLE, crowd=False), 1):
        if number > _MOST_TABLES:
            raise DatasetError(f"expected at most {_MOST_TABLES} dining tables in a photo, got more")
        tables[mask] = number
    semantic[tables > 0] = DINING_TABLE.coco_id
    return Labels(semantic, numbered_without_gaps(tables))
