"""Open Images V6 and V7 (Kuznetsova et al., IJCV 2020): masks, boxes and image-level labels from its CSV files."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from distill.sources.annotation_index import IndexedSource, build_index
from distill.sources.base import PhotoShape, SourcePhoto, read_numbers, shape_of
from surfaces.datasets.named_labels import RegionLabels
from surfaces.datasets.named_regions import NamedRegion
from surfaces.datasets.parquet import Provenance
from surfaces.datasets.reading import ReadOptions, note
from surfaces.detections import Mask
from surfaces.errors import DatasetError
from surfaces.images.load import TRANSPOSED, turn_upright
from surfaces.io.local_files import plain_name
from surfaces.messages import listed

_INDEX = "open-images.sqlite"
_NAMES = (
    *("oidv7-class-descriptions-boxable.csv", "class-descriptions-boxable.csv", "oidv7-class-descriptions.csv"),
    *("oidv6-class-descriptions.csv", "class-descriptions.csv"),
)
_SPLITS = ("train", "validation", "test")
# The names of the files by what is in them; releases add a prefix, and V7 says "val".
_FILES = {
    "mask": ("annotations-object-segmentation",),
    "box": ("annotations-bbox",),
    "level": ("annotations-human-imagelabels-boxable", "annotations-human-imagelabels"),
}
_PREFIXES = ("", "oidv6-", "oidv7-")


class OpenImagesSource(IndexedSource):
    """A folder with the CSV files, photos in `train/`, …, and masks in `masks/` or `train-masks/`, ….

    A photo's vocabulary are the classes with masks; classes that people denied are absent; within a box without a mask
    pixels are unlabelled. Only photos that are there are read. Masks of rotated photos are turned where their shape
    tells that they were drawn unrotated.

    Raises:
        DatasetError: a file is missing or has other columns.
    """

    def __init__(self, path: Path, work: Path, options: ReadOptions) -> None:
        super().__init__(path, options, work / _INDEX, partial(_build, path))
        self._path = path

    def photo(self, index: int) -> SourcePhoto:
        """The photo at an index."""
        image_id, found = self._index.photo(index)
        photo = self.inside(self._path / found["photo"])
        url = f"https://storage.googleapis.com/openimages/web/visualizer/index.html?id={image_id}"
        provenance = Provenance(split=found["split"], url=url, licence="CC-BY-2.0")
        return SourcePhoto(f"{found['split']}/{image_id}", photo, partial(self._labels, image_id, photo), provenance)

    def _labels(self, image_id: str, photo: Path) -> RegionLabels:
        shape = shape_of(photo)
        rows = self._index.annotations(image_id)
        levels = {row["name"]: row["confidence"] for row in rows if row["kind"] == "level"}
        masks = [row for row in rows if row["kind"] == "mask"]
        drawn = {row["box"] for row in masks}
        regions = [NamedRegion(row["name"], partial(self._mask, row["file"], shape)) for row in masks]
        for row in rows:
            if row["kind"] == "box" and row["box"] not in drawn:
                regions.append(NamedRegion(row["name"], partial(_box, row, shape), is_box=True))
        named = {region.name for region in regions}
        return RegionLabels(
            size_hw=shape.upright_hw,
            vocabulary={row["name"] for row in masks},
            absent={name for name, confidence in levels.items() if confidence == 0} - named,
            present={name for name, confidence in levels.items() if confidence == 1} | named,
            regions=regions,
        )

    def _mask(self, name: str, shape: PhotoShape) -> Mask:
        """A mask file, which may be smaller or larger than the photo."""
        places = [self._path / "masks", *(self._path / f"{split}-masks" for split in _SPLITS)]
        file = next((place / name for place in places if (place / name).is_file()), None)
        if file is None:
            raise DatasetError(f"expected the mask {name} in masks or train-masks of {self._path}, got none")
        mask = (read_numbers(self.inside(file)) > 0).astype(np.uint8)
        size = shape.upright_hw
        if not _same_shape(mask.shape, size):
            mask = turn_upright(mask, shape.orientation)
            if not _same_shape(mask.shape, size):
                raise DatasetError(f"expected the mask {name} of the photo's shape {size}, got {mask.shape}")
        return np.asarray(cv2.resize(mask, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT), np.bool_)


def _same_shape(one_hw: tuple[int, ...], other_hw: tuple[int, int]) -> bool:
    """Whether two sizes have one aspect ratio, but for rounding of the sides."""
    return abs(one_hw[0] * other_hw[1] - one_hw[1] * other_hw[0]) <= max(*one_hw, *other_hw)


def _box(row: dict[str, Any], shape: PhotoShape) -> Mask:
    turned = shape.orientation in TRANSPOSED
    height, width = shape.upright_hw[::-1] if turned else shape.upright_hw  # boxes are of the stored photo
    mask = np.zeros((height, width), np.bool_)
    left, right, top, bottom = row["sides"]
    rows = slice(int(top * height), int(np.ceil(bottom * height)))
    mask[rows, int(left * width) : int(np.ceil(right * width))] = True
    return turn_upright(mask, shape.orientation) if turned else mask


def _build(path: Path, index: Path) -> None:
    names = _class_names(path)
    photos: dict[str, dict[str, str]] = {}
    for split in _SPLITS:
        for place in (path / split, path / "images" / split):
            for file in sorted(place.glob("*.jpg")):
                photos.setdefault(file.stem, {"photo": str(file.relative_to(path)), "split": split})
    if not photos:
        raise DatasetError(f"expected photos in {_SPLITS[0]}, {_SPLITS[1]} or {_SPLITS[2]} of {path}, got none")
    rows = ((key, row) for key, row in _rows(path, names) if key in photos)
    build_index(index, sorted(photos.items()), rows, {})


def _class_names(path: Path) -> dict[str, str]:
    """The names of the classes by their ids (`/m/04bcr3`)."""
    file = next((path / name for name in _NAMES if (path / name).is_file()), None)
    if file is None:
        raise DatasetError(f"expected {_NAMES[1]} in {path}, got none")
    return {row[0]: row[1] for row in _csv(file) if len(row) > 1}


def _rows(path: Path, names: dict[str, str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """All annotations by the photo's id."""
    files = [
        (kind, path / f"{prefix}{split}-{stem}.csv")
        for kind, stems in _FILES.items()
        for stem in stems
        for split in (*_SPLITS, "val")
        for prefix in _PREFIXES
    ]
    found = [(kind, file) for kind, file in files if file.is_file()]
    if not found:
        raise DatasetError(f"expected train-annotations-object-segmentation.csv or others in {path}, got none")
    note(f"{path}: annotations of {listed([file.name for _, file in found])}")
    for kind, file in found:
        yield from _rows_of(file, kind, names)


def _rows_of(file: Path, kind: str, names: dict[str, str]) -> Iterator[tuple[str, dict[str, Any]]]:
    rows = _csv(file)
    header = next(rows, [])
    for row in rows:
        values = dict(zip(header, row, strict=False))
        try:
            yield values["ImageID"], _annotation(values, kind, names)
        except (KeyError, ValueError) as error:
            raise DatasetError(f"expected the columns of Open Images in {file}, got: {error!r} in {row[:4]}") from error


def _annotation(values: dict[str, str], kind: str, names: dict[str, str]) -> dict[str, Any]:
    name = names.get(values["LabelName"], values["LabelName"])
    if kind == "level":
        return {"kind": kind, "name": name, "confidence": float(values["Confidence"])}
    sides = ("BoxXMin", "BoxXMax", "BoxYMin", "BoxYMax") if kind == "mask" else ("XMin", "XMax", "YMin", "YMax")
    numbers = [float(values[side]) for side in sides]
    box = f"{name} {' '.join(f'{number:.3f}' for number in numbers)}"
    if kind == "mask":
        return {"kind": kind, "name": name, "file": plain_name(values["MaskPath"]), "box": box}
    return {"kind": kind, "name": name, "sides": numbers, "box": box}


def _csv(file: Path) -> Iterator[list[str]]:
    try:
        with file.open(newline="", encoding="utf-8") as lines:
            yield from csv.reader(lines)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"expected a CSV file at {file}, got: {error}") from error
