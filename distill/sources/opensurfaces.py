"""OpenSurfaces (Bell et al., SIGGRAPH 2013): release 0 as JSON files, with `photos/` from its own script."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import ijson
import numpy as np
import numpy.typing as npt

from distill.sources.annotation_index import IndexedSource, build_index
from distill.sources.base import SourcePhoto, shape_of
from surfaces.datasets.named_labels import RegionLabels
from surfaces.datasets.named_regions import NamedRegion
from surfaces.datasets.parquet import Provenance
from surfaces.datasets.reading import ReadOptions
from surfaces.detections import Mask
from surfaces.errors import DatasetError

_INDEX = "opensurfaces.sqlite"
_UNNAMED = "no name"


class OpenSurfacesSource(IndexedSource):
    """The unpacked release: `opensurfaces/*.json` (or beside the photos), `photos/ID.jpg`.

    Photos and shapes are those that the release's own script takes: of a confirmed scene, of good quality, and not
    synthetic. A shape is of triangles; its class is its object's name. What no shape covers is unlabelled; so are
    shapes whose name the annotators disagreed on.

    Raises:
        DatasetError: a file is missing or of another form.
    """

    def __init__(self, path: Path, work: Path, options: ReadOptions) -> None:
        super().__init__(path, options, work / _INDEX, partial(_build, path))
        self._path = path
        self._vocabulary = frozenset(self._index.fact("names").values())

    def photo(self, index: int) -> SourcePhoto:
        """The photo at an index."""
        key, photo = self._index.photo(index)
        path = self.inside(self._path / "photos" / f"{key}.jpg")
        provenance = Provenance(room=photo["room"], licence=photo["licence"], url=photo["url"])
        return SourcePhoto(key, path, partial(self._labels, key, path), provenance)

    def _labels(self, key: str, photo: Path) -> RegionLabels:
        size = shape_of(photo).upright_hw
        masks = [(shape["name"], _draw(shape, size)) for shape in self._index.annotations(key)]
        covered = np.zeros(size, np.bool_)
        for name, mask in masks:
            if name != _UNNAMED:
                covered |= mask
        return RegionLabels(
            size_hw=size,
            vocabulary=self._vocabulary,
            regions=[NamedRegion(name, partial(np.copy, mask)) for name, mask in masks if name != _UNNAMED],
            unlabelled=~covered,
        )


def _draw(shape: dict[str, Any], size_hw: tuple[int, int]) -> Mask:
    """A shape's triangles, filled; its vertices are shares of the photo's width and height."""
    try:
        vertices = np.array(shape["vertices"].split(","), np.float64).reshape(-1, 2)
        triangles = np.array(shape["triangles"].split(","), np.int64).reshape(-1, 3)
        points: npt.NDArray[np.int32] = (vertices * size_hw[::-1]).astype(np.int32)[triangles]
    except (ValueError, IndexError) as error:
        raise DatasetError(f"shape {shape['id']}: expected vertices and triangles, got: {error}") from error
    drawn = np.zeros(size_hw, np.uint8)
    for triangle in points:
        cv2.fillConvexPoly(drawn, triangle, 1)
    return drawn.astype(np.bool_)


def _build(path: Path, index: Path) -> None:
    names = {key: str(entry["name"]) for key, entry in _entries(path, "shapes.shapename") if not entry.get("fail")}
    scenes = {key: str(entry["name"]) for key, entry in _entries(path, "photos.photoscenecategory")}
    licences = {key: str(entry["name"]) for key, entry in _entries(path, "licenses.license")}
    users = {key: str(entry["username"]) for key, entry in _entries(path, "photos.flickruser")}

    def photo(entry: dict[str, Any]) -> dict[str, str]:
        user = users.get(str(entry.get("flickr_user")))
        return {
            "room": scenes.get(str(entry.get("scene_category")), ""),
            "licence": licences.get(str(entry.get("license")), "All Rights Reserved"),
            "url": f"https://www.flickr.com/photos/{user}/{entry.get('flickr_id')}/" if user else "",
        }

    photos = (
        (key, photo(entry))
        for key, entry in _entries(path, "photos.photo")
        if entry.get("scene_category_correct") and not entry.get("special")
    )
    shapes = (
        (
            str(entry["photo"]),
            {
                "id": key,
                "name": names.get(str(entry.get("name")), _UNNAMED),
                "vertices": entry["vertices"],
                "triangles": entry["triangles"],
            },
        )
        for key, entry in _entries(path, "shapes.materialshape")
        if entry.get("high_quality") and not entry.get("special")
    )
    build_index(index, photos, shapes, {"names": names})


def _entries(path: Path, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Keys and fields of one of the release's files, entry by entry."""
    places = [path / f"{name}.json", path / "opensurfaces" / f"{name}.json"]
    file = next((place for place in places if place.is_file()), None)
    if file is None:
        raise DatasetError(f"expected {name}.json of OpenSurfaces' release in {path}, got none")
    try:
        with file.open("rb") as stream:
            for entry in ijson.items(stream, "item", use_float=True):
                yield str(entry["pk"]), entry["fields"]
    except (OSError, KeyError, TypeError, ijson.JSONError) as error:
        raise DatasetError(f"expected entries with pk and fields in {file}, got: {error}") from error
