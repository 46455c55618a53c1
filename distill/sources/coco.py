"""COCO (Lin et al., ECCV 2014) and COCO panoptic (Kirillov et al., CVPR 2019): a file of any size, and its photos."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import ijson
import numpy as np

from distill.sources.annotation_index import IndexedSource, build_index
from distill.sources.base import PhotoShape, SourcePhoto, read_colours, shape_of
from surfaces.datasets.coco import PhotoFinder
from surfaces.datasets.named_labels import MapLabels, NamedLabels, RegionLabels
from surfaces.datasets.named_regions import NamedRegion
from surfaces.datasets.parquet import Provenance
from surfaces.datasets.reading import ReadOptions
from surfaces.detections import Mask
from surfaces.errors import DatasetError
from surfaces.io.local_files import plain_name
from surfaces.masks.rle import decode_segmentation
from surfaces.messages import brief

_INDEX = "coco.sqlite"


class CocoSource(IndexedSource):
    """A file of instances, stuff or panoptic segments; it is read once, entry by entry, into an index.

    Args:
        path: of the JSON file. Photos are searched for around it as `open_dataset` does; the panoptic PNG files are in
            the folder of the JSON file's name.
        work: the folder of the index.
        options: the photos' folder, and links.

    Raises:
        DatasetError: it is no COCO file.
    """

    def __init__(self, path: Path, work: Path, options: ReadOptions) -> None:
        if path.suffix.lower() != ".json":
            raise DatasetError(f"expected a COCO file (*.json), got {path}")
        super().__init__(path.parent, options, work / _INDEX, partial(_build, path))
        self._path = path
        self._finder = PhotoFinder(path, options)
        self._names: dict[str, str] = self._index.fact("names")
        self._licences: dict[str, str] = self._index.fact("licences")
        self._vocabulary = frozenset(self._names.values())
        self._is_panoptic: bool = self._index.fact("is_panoptic")

    def photo(self, index: int) -> SourcePhoto:
        """The photo at an index."""
        key, image = self._index.photo(index)
        name = str(image.get("file_name"))
        found = self._finder.find(name)
        if found is None:
            raise DatasetError(f"image {key} ({name}): expected its photo near {self._path}, got none")
        provenance = Provenance(
            split=found.path.parent.name,
            licence=self._licences.get(str(image.get("license")), ""),
            url=str(image.get("coco_url") or ""),
        )
        return SourcePhoto(found.sample_name, found.path, partial(self._labels, key, image, found.path), provenance)

    def _labels(self, key: str, image: dict[str, Any], photo: Path) -> NamedLabels:
        source = f"image {key} ({image['file_name']})"
        shape = shape_of(photo)
        annotations = self._index.annotations(key)
        if self._is_panoptic:
            if not annotations:
                raise DatasetError(f"{source}: expected its segments, got none")
            return self._panoptic(annotations[0], shape, source)
        size = _side(image, "height", source), _side(image, "width", source)
        return RegionLabels(
            size_hw=shape.upright_hw,
            vocabulary=self._vocabulary,
            regions=[self._region(annotation, size, shape, source) for annotation in annotations],
        )

    def _region(self, annotation: dict[str, Any], size: tuple[int, int], shape: PhotoShape, source: str) -> NamedRegion:
        source = f"annotation {brief(annotation.get('id'))} of {source}"

        def draw() -> Mask:
            try:
                mask = decode_segmentation(annotation.get("segmentation"), *size)
            except DatasetError as error:
                raise DatasetError(f"{source}: {error}") from error
            return shape.upright(mask, source)

        return NamedRegion(self._name(annotation, source), draw, is_crowd=annotation.get("iscrowd") in (1, True, "1"))

    def _panoptic(self, annotation: dict[str, Any], shape: PhotoShape, source: str) -> MapLabels:
        file = self.inside(self._path.with_suffix("") / plain_name(annotation.get("file_name")))
        red, green, blue = read_colours(file)
        numbers = shape.upright(red + 256 * green + 65536 * blue, source)
        names, crowds = {}, []
        for segment in annotation["segments_info"]:
            names[int(segment["id"])] = self._name(segment, source)
            if segment.get("iscrowd"):
                crowds.append(int(segment["id"]))
        instances = np.where(np.isin(numbers, crowds), 0, numbers)
        return MapLabels(
            size_hw=shape.upright_hw, vocabulary=self._vocabulary, numbers=numbers, names=names, instances=instances
        )

    def _name(self, entry: dict[str, Any], source: str) -> str:
        key = str(entry.get("category_id"))
        if key not in self._names:
            raise DatasetError(f"{source}: expected the id of a category, got {brief(entry.get('category_id'))}")
        return self._names[key]


def _build(path: Path, index: Path) -> None:
    names = {str(entry.get("id")): str(entry.get("name")) for entry in _entries(path, "categories")}
    if not names:
        raise DatasetError(f"expected a COCO file in {path}, got no categories")
    licences = {str(entry.get("id")): str(entry.get("name")) for entry in _entries(path, "licenses")}
    photos = ((str(entry.get("id")), entry) for entry in _entries(path, "images"))
    first = next(_entries(path, "annotations"), {})
    annotations = ((str(entry.get("image_id")), entry) for entry in _entries(path, "annotations"))
    facts = {"names": names, "licences": licences, "is_panoptic": "segments_info" in first}
    build_index(index, photos, annotations, facts)


def _entries(path: Path, key: str) -> Iterator[dict[str, Any]]:
    """The entries of one of the file's lists, one after the other."""
    try:
        with path.open("rb") as file:
            for entry in ijson.items(file, f"{key}.item", use_float=True):
                if not isinstance(entry, dict):
                    raise DatasetError(f"expected objects in `{key}` of {path}, got {brief(entry)}")
                yield entry
    except OSError as error:
        raise DatasetError(f"expected a readable file at {path}, got: {error.strerror}") from error
    except ijson.JSONError as error:
        raise DatasetError(f"expected a COCO file in {path}, got: {str(error).splitlines()[0]}") from error


def _side(image: dict[str, Any], key: str, source: str) -> int:
    value = image.get(key)
    if not isinstance(value, int) or value < 1:
        raise DatasetError(f"{source}: expected pixels from 1 as {key}, got {brief(value)}")
    return value
