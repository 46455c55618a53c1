"""Reads LabelMe's files (https://github.com/wkentaro/labelme): a JSON file for each photo, which may contain it.

Shapes are drawn as LabelMe's own converters do, with Pillow and their outlines. Shapes of one label with the same
`group_id` are parts of one object. The dataset's classes are the labels that occur in it.
"""

from __future__ import annotations

import base64
import io
import json
import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw

from surfaces.datasets.codec import check_png, read_bytes, require_photo
from surfaces.datasets.foreign import Faults, ForeignSample, background_of, find_inside, finish
from surfaces.datasets.named_regions import REGIONS_MAX, NamedRegion, NamedRegions
from surfaces.datasets.reading import ReadOptions, note
from surfaces.datasets.sample import Sample
from surfaces.detections import Mask
from surfaces.errors import DatasetError
from surfaces.io.photo_lists import is_photo_file
from surfaces.messages import brief, counted, listed

_KEYS = (b'"shapes"', b'"imagePath"')
_POINTS = {"polygon": (3, None), "rectangle": (2, 2), "circle": (2, 2), "mask": (2, 2), "oriented_rectangle": (4, 4)}
_WITHOUT_AREA = ("point", "points", "line", "linestrip")
_BYTES_MAX = 200_000_000  # a photo of 50 MB as base64, and masks


@dataclass(frozen=True)
class Shape:
    """A shape with an area.

    Attributes:
        label: the class.
        group: shapes of one label and group are one object; None: alone.
        kind: polygon, rectangle, circle, mask or oriented_rectangle.
        points: x and y, in pixels.
        png: of a mask, its pixels from the first point on.
    """

    label: str
    group: object
    kind: str
    points: tuple[tuple[float, float], ...]
    png: bytes = b""

    def draw(self, size_hw: tuple[int, int]) -> Mask:
        """Its mask, bool HxW."""
        if self.kind == "mask":
            return self._place_mask(size_hw)
        image = Pillow.new("1", (size_hw[1], size_hw[0]))
        draw = ImageDraw.Draw(image)
        if self.kind == "circle":
            (x, y), edge = self.points
            radius = math.dist((x, y), edge)
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=1, outline=1)
        elif self.kind == "rectangle":
            columns, rows = zip(*self.points, strict=True)
            draw.rectangle((min(columns), min(rows), max(columns), max(rows)), fill=1, outline=1)
        else:
            draw.polygon(self.points, fill=1, outline=1)
        return np.array(image, np.bool_)

    def _place_mask(self, size_hw: tuple[int, int]) -> Mask:
        with Pillow.open(io.BytesIO(self.png), formats=("PNG",)) as image:
            crop = np.array(image.convert("L")) > 0
        left, top = (round(number) for number in self.points[0])
        mask = np.zeros(size_hw, np.bool_)
        inside = mask[max(0, top) : max(0, top + len(crop)), max(0, left) : max(0, left + crop.shape[1])]
        start = max(0, -top), max(0, -left)
        inside[:] = crop[start[0] : start[0] + inside.shape[0], start[1] : start[1] + inside.shape[1]]
        return mask


@dataclass(frozen=True)
class LabelMeFile:
    """The content of a JSON file.

    Attributes:
        photo: the path of the photo as the file says.
        size_hw: of the photo as the file says; None where it does not.
        shapes: the valid ones.
        has_photo: whether the file contains the photo.
        without_area: the number of points and lines.
        faults: a line for each invalid shape.
    """

    photo: str
    size_hw: tuple[int, int] | None
    shapes: tuple[Shape, ...]
    has_photo: bool
    without_area: int
    faults: tuple[str, ...]

    def read(self, photo_hw: tuple[int, int]) -> NamedRegions:
        """The regions of the shapes."""
        size_hw = self.size_hw or photo_hw
        parts = defaultdict[object, list[Shape]](list)
        for number, shape in enumerate(self.shapes):
            parts[shape.label, ("alone", number) if shape.group is None else shape.group].append(shape)
        regions = [NamedRegion(shapes[0].label, partial(_draw_all, shapes, size_hw)) for shapes in parts.values()]
        return NamedRegions(size_hw, regions)


@dataclass(frozen=True)
class EmbeddedSample(ForeignSample):
    """A photo inside the JSON file of its labels."""

    def encoded_image(self) -> bytes:
        """The photo's file, byte for byte."""
        return require_photo(_bytes_of(_load(self.image_path)["imageData"]), str(self.image_path))


def labelme_files(folder: Path) -> tuple[list[Path], list[Path]]:
    """LabelMe's files in a folder and its folders, and other JSON files."""
    paths = sorted(path for path in folder.rglob("*.json") if path.is_file() and not path.name.startswith("."))
    ours = [path for path in paths if all(key in read_bytes(path, _BYTES_MAX) for key in _KEYS)]
    return ours, [path for path in paths if path not in set(ours)]


def open_labelme(folder: Path, paths: Iterable[Path], others: Iterable[Path], options: ReadOptions) -> list[Sample]:
    """The samples of a folder's LabelMe files, sorted by path.

    Args:
        folder: of the dataset.
        paths: its LabelMe files.
        others: further JSON files, which are reported.
        options: how they are read.

    Raises:
        DatasetError: the files have faults, which are listed.
    """
    faults = Faults(folder, options)
    samples: list[ForeignSample] = []
    labels: dict[str, None] = {}
    without_area = 0
    for path in paths:
        place = path.relative_to(folder)
        try:
            if not faults.inside(folder, path):
                continue
            content = parse_labelme(_load(path))
            for fault in content.faults:
                faults.add(place, fault)
            photo = find_inside(folder, content.photo, path.parent)
            has_file = photo is not None and is_photo_file(photo) and photo.is_file()
            if not has_file and not content.has_photo:
                raise DatasetError(f"expected a photo in the dataset as imagePath, got {brief(content.photo)}")
        except DatasetError as error:
            faults.add(place, error)
            continue
        if photo is not None and has_file and not faults.inside(folder, photo):
            continue
        name, background = place.with_suffix("").as_posix(), background_of(not content.faults)
        labels |= dict.fromkeys(shape.label for shape in content.shapes)
        without_area += content.without_area
        if photo is not None and has_file:
            samples.append(ForeignSample(name, photo, path, content, background))
        else:
            samples.append(EmbeddedSample(name, path, path, content, background))
    found = finish(samples, labels, folder, options, faults)
    if without_area:
        note(f"{folder}: left out {counted(without_area, 'shape')} without an area ({', '.join(_WITHOUT_AREA)})")
    if other_names := [path.relative_to(folder) for path in others]:
        note(f"{folder}: passed over {counted(len(other_names), 'JSON file')} not of LabelMe: {listed(other_names)}")
    return found


def parse_labelme(content: Any) -> LabelMeFile:
    """Checks the content of a LabelMe file, shape by shape.

    Raises:
        DatasetError: it is no such content, apart from its shapes.
    """
    if not isinstance(content, dict) or not isinstance(content.get("shapes"), list):
        raise DatasetError("expected a LabelMe file with a list of shapes, got none")
    photo = content.get("imagePath")
    if not isinstance(photo, str):
        raise DatasetError(f"expected a text as imagePath, got {brief(photo)}")
    if len(content["shapes"]) > REGIONS_MAX:
        raise DatasetError(f"expected at most {REGIONS_MAX} shapes, got {len(content['shapes'])}")
    sides = content.get("imageHeight"), content.get("imageWidth")
    if any(side is not None and (type(side) is not int or not 1 <= side <= 65_535) for side in sides):
        raise DatasetError(f"expected pixels as imageHeight and imageWidth, got {brief(sides)}")
    size_hw = None if None in sides else (int(sides[0] or 0), int(sides[1] or 0))
    shapes, faults, without_area = [], [], 0
    for number, entry in enumerate(content["shapes"], 1):
        try:
            if isinstance(entry, dict) and entry.get("shape_type") in _WITHOUT_AREA:
                without_area += 1
            else:
                shapes.append(_parse_shape(entry, max(size_hw or (65_535,))))
        except DatasetError as error:
            faults.append(f"shape {number}: {error}")
    has_photo = isinstance(content.get("imageData"), str)
    return LabelMeFile(photo, size_hw, tuple(shapes), has_photo, without_area, tuple(faults))


def _parse_shape(entry: Any, reach: int) -> Shape:
    """A shape whose points are at most `reach` pixels from the photo."""
    if not isinstance(entry, dict) or not isinstance(entry.get("label"), str):
        raise DatasetError(f"expected a shape with a label, got {brief(entry)}")
    kind = entry.get("shape_type") or "polygon"
    if not isinstance(kind, str) or kind not in _POINTS:
        raise DatasetError(f"expected one of {', '.join([*_POINTS, *_WITHOUT_AREA])} as shape_type, got {brief(kind)}")
    points = entry.get("points")
    if not isinstance(points, list) or not all(_is_point(point, reach) for point in points):
        raise DatasetError(f"expected points near the photo as [x, y], got {brief(points)}")
    fewest, most = _POINTS[kind]
    if len(points) < fewest or (most and len(points) > most):
        raise DatasetError(f"expected {fewest} points{'' if most else ' or more'} for a {kind}, got {len(points)}")
    group = entry.get("group_id")
    if isinstance(group, list | dict):
        raise DatasetError(f"expected a number as group_id, got {brief(group)}")
    png = _bytes_of(entry.get("mask")) if kind == "mask" else b""
    if kind == "mask":
        check_png(png, "mask")
        try:
            with Pillow.open(io.BytesIO(png), formats=("PNG",)) as image:
                image.load()
        except Exception as error:  # the decoder raises nearly anything for corrupt bytes
            raise DatasetError(f"expected a whole PNG file as mask, got: {error}".splitlines()[0]) from error
    return Shape(entry["label"], group, kind, tuple((float(x), float(y)) for x, y in points), png)


def _is_point(point: Any, reach: int) -> bool:
    return (
        isinstance(point, list)
        and len(point) == 2
        and all(type(number) in (int, float) and -reach <= number <= 2 * reach for number in point)
    )


def _draw_all(shapes: Iterable[Shape], size_hw: tuple[int, int]) -> Mask:
    mask = np.zeros(size_hw, np.bool_)
    for shape in shapes:
        mask |= shape.draw(size_hw)
    return mask


def _bytes_of(text: Any) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (TypeError, ValueError) as error:
        raise DatasetError(f"expected bytes as base64, got {brief(text)}") from error


def _load(path: Path) -> Any:
    try:
        return json.loads(read_bytes(path, _BYTES_MAX))
    except (ValueError, RecursionError, MemoryError) as error:
        raise DatasetError(f"expected a JSON file in {path}, got: {error}") from error
