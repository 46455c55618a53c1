"""Parses and checks a COCO file."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from surfaces.classes import BY_ID, BY_NAME, CLASSES, DINING_TABLE, OTHER, OTHER_TABLE, WALL, SurfaceClass
from surfaces.datasets.codec import COCO_BYTES_MAX, LIMITS, read_bytes
from surfaces.datasets.named_regions import target_of
from surfaces.datasets.reading import ReadOptions, note, refuse_faults
from surfaces.datasets.sample import MAX_TABLES
from surfaces.errors import DatasetError
from surfaces.masks.rle import draws_nothing
from surfaces.messages import brief, counted, listed

_WHOLE_NUMBER = re.compile(r"0|-?[1-9][0-9]{0,18}")
_REGIONS_MAX = 2048  # of a photo: each is decoded at its full size
_OWN_KEYS = {"id", "name", "isthing"}
_FLAGS = {0: False, 1: True, "0": False, "1": True, None: False}

Id = int | str
"""Of an image, an annotation or a category; text of an integer is that integer."""


@dataclass(frozen=True)
class CocoImage:
    """An entry of `images`."""

    id: Id
    file_name: str
    size_hw: tuple[int, int]


@dataclass(frozen=True)
class CocoRegion:
    """An annotation of one of our classes, its segmentation checked; `crowd` is several objects without instances."""

    surface: SurfaceClass
    segmentation: Any
    crowd: bool
    ignored: bool


def read_coco(path: Path, options: ReadOptions) -> CocoContent:
    """Reads and checks a COCO file (UTF-8, UTF-16 or UTF-32); notes on its peculiarities are written to stderr.

    Raises DatasetError where it is no COCO file, or has none of our classes.
    """
    require_small(path)
    try:
        content = json.loads(read_bytes(path, COCO_BYTES_MAX))
    except (ValueError, RecursionError, MemoryError) as error:
        raise DatasetError(f"expected a COCO file in {path}, got: {error or 'more than memory holds'}") from error
    for key in ("images", "annotations", "categories"):
        if not isinstance(content, dict) or not isinstance(content.get(key), list):
            raise DatasetError(f"expected a COCO file in {path}, got no list of {key}")
    coco = CocoContent(content, options)
    given = listed([repr(name) for name in coco.categories.values()]) or "none"
    if not coco.classes:
        refuse_faults(coco.faults, str(path))
        raise DatasetError(f"expected the categories {', '.join(BY_NAME)}, got {given} ({path})")
    missing = [surface.name for surface in CLASSES if surface not in coco.classes]
    if missing:
        note(f"{path}: no category for {', '.join(missing)} among {given}: pixels outside the others are unlabelled")
    if coco.others:
        count = counted(coco.others.total(), "annotation")
        note(f"{path}: left out {count} of other categories: {listed([repr(name) for name in coco.others])}")
    if coco.empty:
        note(f"{path}: left out {counted(len(coco.empty), 'annotation')} without a pixel: {listed(coco.empty)}")
    if shared := [brief(key) for key, count in coco.annotation_ids.items() if count > 1]:
        note(f"{path}: {counted(len(shared), 'id')} of several annotations, each of which is read: {listed(shared)}")
    if not coco.is_own:
        coco.regions = _resolve_crowds(coco.regions, path, options)
    return coco


def require_small(path: Path) -> None:
    """Raises DatasetError, with advice, for a file that is too large to be held in memory."""
    size = path.stat().st_size if path.is_file() else 0
    if size > COCO_BYTES_MAX:
        raise DatasetError(
            f"expected a COCO file of at most {COCO_BYTES_MAX / 1e9:g} GB in {path}, got {size / 1e9:.1f} GB: "
            "`python -m distill data import coco` reads it entry by entry and writes a Parquet dataset"
        )


class CocoContent:
    """The content of a COCO file for our classes, checked entry by entry.

    Attributes:
        images: in the file's order.
        regions: the valid ones by the image's id, in the file's order.
        classes: those among the file's categories; the others are unlabelled.
        faults: a line for each fault of categories and images, which refuse the file.
        invalid: a line for each invalid annotation, which can be left out.
        incomplete: the images that have one; their pixels outside of all regions are unlabelled.
    """

    def __init__(self, content: dict[str, list[Any]], options: ReadOptions) -> None:
        self.faults: list[str] = []
        self.invalid: list[str] = []
        self.incomplete: set[Id] = set()
        self.empty: list[str] = []
        self.annotation_ids: Counter[Id] = Counter()
        self.others: Counter[str] = Counter()
        self.options = options
        self.categories = self._categories(content["categories"])
        self.targets = {key: target_of(name, options.targets) for key, name in self.categories.items()}
        self.classes = frozenset(BY_ID[target] for target in self.targets.values() if target in BY_ID)
        # In this project's oldest files, recognised by their categories, each crowd is ignored.
        self.is_own = all(
            isinstance(entry, dict) and entry.keys() == _OWN_KEYS and str(entry["name"]) in BY_NAME
            for entry in content["categories"]
        )
        self.file_names: dict[Id, str] = {}
        self.images = list(self._images(content["images"]))
        self.sizes = {image.id: image.size_hw for image in self.images}
        self.regions: dict[Id, list[CocoRegion]] = {image.id: [] for image in self.images}
        for position, entry in enumerate(content["annotations"]):
            self._annotation(position, entry)
        for image in self.images:
            if (count := len(self.regions[image.id])) > _REGIONS_MAX:
                self.faults.append(f"{describe_image(image)}: expected at most {_REGIONS_MAX} annotations, got {count}")
            tables = sum(region.surface is DINING_TABLE for region in self.regions[image.id])
            if tables > MAX_TABLES:
                self.faults.append(
                    f"{describe_image(image)}: expected at most {MAX_TABLES} dining tables, got {tables}"
                )

    def _categories(self, entries: list[Any]) -> dict[Id, str]:
        categories: dict[Id, str] = {}
        for position, entry in enumerate(entries):
            try:
                key, name = _id_of(entry, "id"), _text_of(entry, "name")
                if categories.setdefault(key, name) != name:
                    raise DatasetError(f"expected one category an id, got {categories[key]!r} and {name!r}")
            except DatasetError as error:
                self.faults.append(f"category {_describe_id(entry, position)}: {error}")
        return categories

    def _images(self, entries: list[Any]) -> Iterator[CocoImage]:
        for position, entry in enumerate(entries):
            try:
                key, name = _id_of(entry, "id"), _text_of(entry, "file_name")
                if key in self.file_names:
                    raise DatasetError(f"expected one image an id, got {brief(self.file_names[key])} and {brief(name)}")
                self.file_names[key] = name
                height, width = _side_of(entry, "height"), _side_of(entry, "width")
                if height * width > LIMITS.pixels_max:
                    raise DatasetError(f"expected at most {LIMITS.pixels_max / 1e6:g} megapixels, got {width}x{height}")
                yield CocoImage(key, name, (height, width))
            except DatasetError as error:
                self.faults.append(f"image {_describe_id(entry, position)}: {error}")

    def _annotation(self, position: int, entry: Any) -> None:
        described = f"annotation {_describe_id(entry, position)}"
        image_id: Id | None = None
        try:
            if isinstance(entry, dict) and entry.get("id") is not None:
                self.annotation_ids[_id_of(entry, "id")] += 1
            image_id = _id_of(entry, "image_id")
            if image_id not in self.file_names:
                raise DatasetError(f"expected the id of an image as image_id, got {brief(entry['image_id'])}")
            described += f" of image {brief(image_id)} ({brief(self.file_names[image_id])})"
            category = _id_of(entry, "category_id")
            if category not in self.categories:
                raise DatasetError(f"expected the id of a category as category_id, got {brief(entry['category_id'])}")
            if self.targets[category] == OTHER:
                self.others[self.categories[category]] += 1
            elif image_id in self.sizes:
                is_empty = draws_nothing(entry.get("segmentation"), *self.sizes[image_id])
                region = self._region(entry, self.targets[category])
                if is_empty:
                    self.empty.append(described)
                else:
                    self.regions[image_id].append(region)
        except DatasetError as error:
            self.invalid.append(f"{described}: {error}")
            if image_id is not None:
                self.incomplete.add(image_id)

    def _region(self, entry: dict[str, Any], target: int) -> CocoRegion:
        surface = BY_ID.get(target, DINING_TABLE if target == OTHER_TABLE else WALL)
        crowd = _flag_of(entry, "iscrowd")
        ignored = _flag_of(entry, "ignore") if "ignore" in entry else self.is_own and crowd
        ignored = ignored or target not in BY_ID
        if crowd and not ignored and surface.is_thing and self.options.crowds == "refuse":
            raise DatasetError(f"expected single tables, got a crowd (iscrowd {brief(entry['iscrowd'])})")
        return CocoRegion(surface, entry["segmentation"], crowd and not ignored, ignored)


def _resolve_crowds(
    regions: dict[Id, list[CocoRegion]], path: Path, options: ReadOptions
) -> dict[Id, list[CocoRegion]]:
    """The regions of another tool's file, by image, with its crowds read as the options say."""
    regions = {key: _ignore_shared_crowds(of_image) for key, of_image in regions.items()}
    tables = [r for of_image in regions.values() for r in of_image if r.surface is DINING_TABLE and not r.ignored]
    crowds = sum(region.crowd for region in tables)
    if not crowds:
        return regions
    count = f"{path}: {crowds} of {counted(len(tables), 'dining-table annotation')} are crowds (iscrowd 1), read as"
    if options.crowds != "instances" and crowds < len(tables):
        note(f"{count} tables that are not told apart; --crowds instances reads each as one, --crowds refuse refuses")
        return regions
    if options.crowds == "auto":
        note(f"{count} one table each, since some tools mark all RLE so; --crowds refuse refuses them")
    return {key: [replace(region, crowd=False) for region in of_image] for key, of_image in regions.items()}


def _ignore_shared_crowds(regions: Sequence[CocoRegion]) -> list[CocoRegion]:
    """A crowd region that is listed under several classes is of unknown class: it is ignored."""
    keys = [json.dumps(region.segmentation) if region.crowd else "" for region in regions]
    classes: dict[str, set[str]] = defaultdict(set)
    for key, region in zip(keys, regions, strict=True):
        classes[key].add(region.surface.name)
    return [
        replace(region, crowd=False, ignored=True) if key and len(classes[key]) > 1 else region
        for key, region in zip(keys, regions, strict=True)
    ]


def _id_of(entry: Any, key: str) -> Id:
    value = entry.get(key) if isinstance(entry, dict) else None
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, bool) or not isinstance(value, (int, str)) or value == "":
        raise DatasetError(f"expected a number or a text as {key}, got {brief(entry if value is None else value)}")
    return int(value) if isinstance(value, str) and _WHOLE_NUMBER.fullmatch(value) else value


def _text_of(entry: Any, key: str) -> str:
    value = entry.get(key)
    if not isinstance(value, str):
        raise DatasetError(f"expected a text as {key}, got {brief(value)}")
    return value


def _side_of(entry: Any, key: str) -> int:
    value = _id_of(entry, key)
    if not isinstance(value, int) or value < 1:
        raise DatasetError(f"expected pixels from 1 as {key}, got {brief(value)}")
    return value


def _flag_of(entry: dict[str, Any], key: str) -> bool:
    value = entry.get(key)
    if isinstance(value, (list, dict)) or value not in _FLAGS:
        raise DatasetError(f"expected 0 or 1 as {key}, got {brief(value)}")
    return _FLAGS[value]


def _describe_id(entry: Any, position: int) -> str:
    """The id of an entry for messages, or its index."""
    value = entry.get("id") if isinstance(entry, dict) else None
    return f"at index {position}" if value is None else brief(value)


def describe_image(image: CocoImage) -> str:
    """An image's id and file name for messages."""
    return f"image {brief(image.id)} ({brief(image.file_name)})"
