"""Reads datasets in YOLO's format: a text file for each photo, and a YAML file with the class names.

The format is that of Ultralytics (https://docs.ultralytics.com/datasets/segment/), as CVAT, FiftyOne, Label Studio and
Roboflow write it too. A line is a class, counted from 0, and a polygon as shares of the photo, or a box. Polygons are
filled as by trainers, with their outlines; parts of one object are one polygon with bridges.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np

from surfaces.datasets.codec import read_bytes
from surfaces.datasets.foreign import Faults, ForeignSample, background_of, find_inside, finish, named_by_split
from surfaces.datasets.named_regions import REGIONS_MAX, NamedRegion, NamedRegions
from surfaces.datasets.reading import ReadOptions, note
from surfaces.datasets.sample import Sample
from surfaces.datasets.yolo_config import YoloConfig, read_config
from surfaces.detections import Mask
from surfaces.errors import DatasetError
from surfaces.io.photo_lists import is_photo_file
from surfaces.masks.polygons import mask_of_polygon
from surfaces.messages import brief, counted, listed

_IMAGES, _LABELS = "images", "labels"
_BOX_NUMBERS = 4
_FEWEST_NUMBERS = 6
_ROUNDING = 0.01  # pixels: shares have some six digits
_REACH = (-1.0, 2.0)  # shares: objects may lie partly outside of the photo


@dataclass(frozen=True)
class YoloLine:
    """A line of a label file: the class's name, and x, y of each point or a box's middle, width and height."""

    name: str
    shares: tuple[float, ...]

    def region(self, size_hw: tuple[int, int]) -> NamedRegion:
        """Its region of a photo."""
        is_box = len(self.shares) == _BOX_NUMBERS
        return NamedRegion(self.name, partial(_draw_box if is_box else _draw_polygon, self.shares, size_hw), is_box)


@dataclass(frozen=True)
class YoloAnnotation:
    """The lines of a photo's label file."""

    lines: tuple[YoloLine, ...]

    def read(self, photo_hw: tuple[int, int]) -> NamedRegions:
        """The regions of a photo of this size."""
        return NamedRegions(photo_hw, [line.region(photo_hw) for line in self.lines])


def open_yolo(path: Path, options: ReadOptions) -> list[Sample]:
    """The samples of a YOLO dataset, split by split, sorted by path; notes are written to stderr.

    Args:
        path: the YAML file, or the `classes.txt`, in the dataset's folder.
        options: how it is read.

    Raises:
        DatasetError: the files have faults, which are listed, or there are no photos.
    """
    root = path.parent
    faults = Faults(root, options)
    faults.inside(root, path)
    config = read_config(path, options.follow_links)
    photos = _find_photos(config, faults)
    samples, empty, absent = [], 0, 0
    for photo, splits in photos.items():
        label_path = _label_path(config.root, photo)
        if not (faults.inside(config.root, photo) and faults.inside(config.root, label_path)):
            continue
        lines, is_complete = _read_lines(label_path, config, faults) if label_path.is_file() else ((), True)
        absent += not label_path.is_file()
        empty += label_path.is_file() and not lines
        name = _sample_name(config.root, photo, next(iter(splits)) if len(splits) == 1 < len(config.splits) else "")
        annotation = YoloAnnotation(lines)
        samples.append(ForeignSample(name, photo, label_path, annotation, background_of(is_complete)))
    if samples and absent == len(samples):
        raise DatasetError(f"expected a label file such as {samples[0].label_path}, got none for any photo")
    _report_unused(config, photos, faults)
    found = finish(samples, config.names.values(), path, options, faults)
    if absent or empty:
        note(
            f"{path}: {counted(absent + empty, 'photo')} without an object, as {absent} have no label file "
            f"and {empty} an empty one: all of each is background"
        )
    return found


def parse_line(text: str, names: Mapping[int, str]) -> YoloLine:
    """Parses a line of a label file.

    Args:
        text: a class and 4 numbers (a box), or 6 or more (a polygon).
        names: the classes by their numbers.

    Raises:
        DatasetError: it is no such line.
    """
    first, *rest = text.split() or [""]
    try:
        number, shares = float(first), tuple(map(float, rest))
    except ValueError:
        raise DatasetError(f"expected a class and numbers, got {brief(text)}") from None
    if number not in names:
        raise DatasetError(f"expected one of {len(names)} classes by its number, got {brief(first)}")
    if len(shares) != _BOX_NUMBERS and (len(shares) < _FEWEST_NUMBERS or len(shares) % 2):
        raise DatasetError(f"expected 4 numbers (a box), or x and y of 3 points or more, got {len(shares)} numbers")
    if not all(_REACH[0] <= share <= _REACH[1] for share in shares):
        raise DatasetError(f"expected shares of the photo, 0 to 1, got {brief(text)}")
    if len(shares) == _BOX_NUMBERS and min(shares[2:]) <= 0:
        raise DatasetError(f"expected a box's width and height above 0, got {brief(text)}")
    return YoloLine(names[int(number)], shares)


def _draw_polygon(shares: tuple[float, ...], size_hw: tuple[int, int]) -> Mask:
    points = np.array(shares).reshape(-1, 2) * (size_hw[1], size_hw[0])
    return mask_of_polygon(np.floor(points + _ROUNDING).astype(np.int64), size_hw)


def _draw_box(shares: tuple[float, ...], size_hw: tuple[int, int]) -> Mask:
    x, y, width, height = shares
    mask = np.zeros(size_hw, np.bool_)
    mask[_covered(y, height, size_hw[0]), _covered(x, width, size_hw[1])] = True
    return mask


def _covered(middle: float, length: float, pixels: int) -> slice:
    """The pixels that a box touches along one side of the photo."""
    first, last = (middle - length / 2) * pixels + _ROUNDING, (middle + length / 2) * pixels - _ROUNDING
    return slice(max(0, math.floor(first)), max(0, math.ceil(last)))


def _find_photos(config: YoloConfig, faults: Faults) -> dict[Path, dict[str, None]]:
    """The photos of all splits, with the names of their splits; missing splits are reported on stderr."""
    photos: dict[Path, dict[str, None]] = {}
    missing = []
    for split, entries in config.splits.items():
        for entry in entries:
            place = find_inside(config.root, entry)
            if place is None or not faults.inside(config.root, place):
                missing.append(f"{split} ({brief(entry)})")
                continue
            for photo in _photos_of(place, config, faults):
                photos.setdefault(photo, {})[split] = None
    if not photos:
        faults.report()
        raise DatasetError(f"expected photos in {config.root} ({config.path.name}), got none: {listed(missing)}")
    if missing:
        note(f"{config.path}: no photos inside {config.root} for {listed(missing)}")
    return photos


def _photos_of(place: Path, config: YoloConfig, faults: Faults) -> Iterator[Path]:
    if place.is_dir():
        yield from sorted(path for path in place.rglob("*") if is_photo_file(path) and path.is_file())
        return
    for number, line in enumerate(_read_text(place).splitlines(), 1):
        if line.strip():
            photo = find_inside(config.root, line, place.parent)
            if photo and is_photo_file(photo) and photo.is_file():
                yield photo
            else:
                faults.add(f"{place.relative_to(config.root)}:{number}", f"expected a photo, got {brief(line.strip())}")


def _label_path(root: Path, photo: Path) -> Path:
    """Where a photo's labels are: in `labels` instead of the last `images`, else beside it."""
    parts = list(photo.relative_to(root).parts)
    if _IMAGES in parts[:-1]:
        parts[len(parts) - 2 - parts[-2::-1].index(_IMAGES)] = _LABELS
    return root.joinpath(*parts).with_suffix(".txt")


def _sample_name(root: Path, photo: Path, split: str) -> str:
    parts = photo.relative_to(root).with_suffix("").parts
    name = PurePosixPath(*(part for part in parts[:-1] if part != _IMAGES), parts[-1])
    return named_by_split(str(name), split)


def _read_lines(path: Path, config: YoloConfig, faults: Faults) -> tuple[tuple[YoloLine, ...], bool]:
    """The lines of a label file, and whether all are valid."""
    place = path.relative_to(config.root)
    lines, is_complete = [], True
    try:
        texts = _read_text(path).splitlines()
    except DatasetError as error:
        faults.add(place, error)
        return (), False
    for number, text in enumerate(texts, 1):
        try:
            if text.strip():
                lines.append(parse_line(text, config.names))
        except DatasetError as error:
            faults.add(f"{place}:{number}", error)
            is_complete = False
    if len(lines) > REGIONS_MAX:
        faults.add(place, f"expected at most {REGIONS_MAX} lines, got {len(lines)}")
        return (), False
    return tuple(dict.fromkeys(lines)), is_complete


def _report_unused(config: YoloConfig, photos: Mapping[Path, object], faults: Faults) -> None:
    """Adds label files without a photo as faults, where a split is a folder of photos."""
    used = {_label_path(config.root, photo) for photo in photos}
    places = (find_inside(config.root, entry) for entries in config.splits.values() for entry in entries)
    for folder in {_label_path(config.root, place / "any").parent for place in places if place and place.is_dir()}:
        if _LABELS in folder.relative_to(config.root).parts:
            for path in sorted({*folder.rglob("*.txt")} - used - config.files):
                faults.add(path.relative_to(config.root), "expected a photo of this name, got none")


def _read_text(path: Path) -> str:
    try:
        return read_bytes(path).decode("utf-8-sig")
    except ValueError as error:
        raise DatasetError(f"expected text in UTF-8, got: {error}") from error
