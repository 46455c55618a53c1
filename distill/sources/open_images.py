"""Open Images V6 and V7 (Kuznetsova et al., IJCV 2020): masks, boxes and image-level labels from its CSV files."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from distill.sources.annotation_index import AnnotationIndex, build_index
from distill.sources.base import PhotoShape, SourcePhoto, read_numbers, shape_of
from surfaces.datasets.named_labels import RegionLabels
from surfaces.datasets.named_regions import NamedRegion
from surfaces.datasets.parquet import Provenance
from surfaces.datasets.reading import ReadOptions
from surfaces.detections import Mask
from surfaces.errors import DatasetError
from surfaces.io.local_files import plain_name

_INDEX = "open-images.sqlite"
_NAMES = ("oidv7-class-descriptions-boxable.csv", "class-descriptions-boxable.csv", "class-descriptions.csv")
_SPLITS = ("train", "validation", "test")
# The names of the files, after the split's; several releases spell them differently.
_MASKS = ("annotations-object-segmentation",)
_BOXES = ("annotations-bbox",)
_LEVELS = ("annotations-human-imagelabels-boxable", "annotations-human-imagelabels")


class OpenImagesSource:
    """A folder with the CSV files, photos in `train/`, …, and masks in `masks/` or `train-masks/`, ….

    A photo's vocabulary are the classes that people confirmed in it, and whose masks are drawn; classes that they
    denied are absent; a box without a mask is a loose region. Only photos that are there are read, and of them those
    with a row in one of the files.

    Raises:
        DatasetError: a file is missing or has other columns.
    """

    def __init__(self, path: Path, work: Path, options: ReadOptions) -> None:  # noqa: ARG002
        self._path = path
        if not (work / _INDEX).is_file():
            _build(path, work / _INDEX)
        self._index = AnnotationIndex(work / _INDEX)
        self.vocabulary: frozenset[str] = frozenset()

    def __len__(self) -> int:
        return len(self._index)

    def photo(self, index: int) -> SourcePhoto:
        """The photo at an index."""
        image_id, found = self._index.photo(index)
        photo = self._path / found["photo"]
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
        mask = (read_numbers(file) > 0).astype(np.uint8)
        size = shape.upright_hw
        return np.asarray(cv2.resize(mask, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT), np.bool_)


def _box(row: dict[str, Any], shape: PhotoShape) -> Mask:
    height, width = shape.upright_hw
    mask = np.zeros((height, width), np.bool_)
    left, right, top, bottom = row["sides"]
    rows = slice(int(top * height), int(np.ceil(bottom * height)))
    mask[rows, int(left * width) : int(np.ceil(right * width))] = True
    return mask


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
    found = False
    for split in _SPLITS:
        for kind, stems in (("mask", _MASKS), ("box", _BOXES), ("level", _LEVELS)):
            for stem in stems:
                for prefix in ("", "oidv6-"):
                    file = path / f"{prefix}{split}-{stem}.csv"
                    if file.is_file():
                        found = True
                        yield from _rows_of(file, kind, names)
    if not found:
        raise DatasetError(f"expected {_SPLITS[0]}-{_MASKS[0]}.csv or another file of annotations in {path}, got none")


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
    return {"kind": kind, "name": name, "sides": numbers, "box": box, "group": values["IsGroupOf"] == "1"}


def _csv(file: Path) -> Iterator[list[str]]:
    try:
        with file.open(newline="", encoding="utf-8") as lines:
            yield from csv.reader(lines)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"expected a CSV file at {file}, got: {error}") from error
