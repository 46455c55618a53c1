"""Reads datasets in Pascal VOC's format (Everingham et al., The Pascal Visual Object Classes Challenge, IJCV 2010).

Photos are in `JPEGImages`, maps of classes in `SegmentationClass`, maps of objects in `SegmentationObject`, and the
names of each split's photos in `ImageSets`; CVAT ("Segmentation mask", with `labelmap.txt`) and LabelMe (with
`class_names.txt`) write the same. Where there are no maps, `Annotations` has boxes.
"""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from surfaces.datasets.codec import read_bytes
from surfaces.datasets.foreign import Faults, ForeignSample, finish, named_by_split
from surfaces.datasets.id_maps import ClassMapAnnotation, colour_id
from surfaces.datasets.named_regions import REGIONS_MAX, NamedRegion, NamedRegions
from surfaces.datasets.reading import ReadOptions, note
from surfaces.datasets.sample import Sample
from surfaces.detections import Mask
from surfaces.errors import DatasetError
from surfaces.io.photo_lists import is_photo_file
from surfaces.messages import brief, counted, listed

CLASS_MAPS, BOXES = "SegmentationClass", "Annotations"
_CLASS_MAPS = ("SegmentationClassPNG", CLASS_MAPS)  # LabelMe's old converter writes both, and arrays in the second

_OBJECT_MAPS, _SETS, _LABEL_MAP, _CLASS_NAMES = "SegmentationObject", "ImageSets", "labelmap.txt", "class_names.txt"
_PHOTOS = ("JPEGImages", "images")
_BOX_SIDES = ("xmin", "ymin", "xmax", "ymax")
_VOID = 255
_VOC_NAMES = [  # by number
    *("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
]


@dataclass(frozen=True)
class VocBoxes:
    """The boxes of a photo.

    Attributes:
        size_hw: of the photo as the file says; None where it does not.
        boxes: class and xmin, ymin, xmax, ymax: pixels, counted from 1, the last ones inside.
    """

    size_hw: tuple[int, int] | None
    boxes: tuple[tuple[str, tuple[float, ...]], ...]

    def read(self, photo_hw: tuple[int, int]) -> NamedRegions:
        """The regions of the boxes."""
        size_hw = self.size_hw or photo_hw
        return NamedRegions(
            size_hw, [NamedRegion(name, partial(_draw_box, box, size_hw), is_box=True) for name, box in self.boxes]
        )


def open_voc(folder: Path, options: ReadOptions) -> list[Sample]:
    """The samples of a folder with `SegmentationClass` or `Annotations`, split by split.

    Raises:
        DatasetError: the files have faults, which are listed, or there are no photos.
    """
    faults = Faults(folder, options)
    maps = next((folder / name for name in _CLASS_MAPS if (folder / name).is_dir()), None)
    labels, suffix = (folder / BOXES, ".xml") if maps is None else (maps, ".png")
    names, colours = _read_classes(folder, faults)
    photos = _photos_by_name(folder)
    samples = []
    for stem, split in _listed_names(folder, labels, suffix, faults):
        label_path, photo = labels / f"{stem}{suffix}", photos.get(stem)
        if photo is None or not label_path.is_file():
            expected = "a photo of this name" if photo is None else f"labels of this name in {labels.name}"
            faults.add(stem, f"expected {expected}, got none")
            continue
        if not (faults.inside(folder, photo) and faults.inside(folder, label_path)):
            continue
        try:
            annotation = _annotation(folder, label_path, names, colours, faults)
        except DatasetError as error:
            faults.add(label_path.relative_to(folder), error)
            continue
        samples.append(ForeignSample(named_by_split(stem, split), photo, label_path, annotation))
    boxes = [sample.annotation.boxes for sample in samples if isinstance(sample.annotation, VocBoxes)]
    has_list = maps is not None or (folder / _LABEL_MAP).is_file()
    listed_names = names.values() if has_list else (name for found in boxes for name, _ in found)
    return finish(samples, listed_names, folder, options, faults)


def _annotation(
    folder: Path, labels: Path, names: dict[int, str], colours: dict[int, str], faults: Faults
) -> ClassMapAnnotation | VocBoxes:
    if labels.suffix == ".xml":
        return parse_boxes(read_bytes(labels))
    objects = folder.joinpath(_OBJECT_MAPS, *labels.relative_to(folder).parts[1:])
    has_objects = objects.is_file() and faults.inside(folder, objects)
    return ClassMapAnnotation(labels, names, colours, objects if has_objects else None)


def parse_boxes(data: bytes) -> VocBoxes:
    """Parses the XML file of a photo's boxes.

    Raises:
        DatasetError: it is none, or has a document type, which could define entities of any size.
    """
    try:
        text = data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
        if "<!DOCTYPE" in text:
            raise DatasetError("expected XML without a document type, got one")
        root = ET.fromstring(text)
    except (ValueError, ET.ParseError, RecursionError) as error:
        raise DatasetError(f"expected an XML file, got: {error}") from error
    sides = [_number(root.findtext(f"size/{side}"), 0) for side in ("height", "width")]
    if max(sides) == math.inf:
        raise DatasetError(f"expected a size in pixels, got {brief(sides)}")
    size_hw = (int(sides[0]), int(sides[1])) if min(sides) >= 1 else None
    found = root.findall("object")
    if len(found) > REGIONS_MAX:
        raise DatasetError(f"expected at most {REGIONS_MAX} objects, got {len(found)}")
    boxes = []
    for number, entry in enumerate(found, 1):
        name = (entry.findtext("name") or "").strip()
        box = tuple(_number(entry.findtext(f"bndbox/{side}"), math.nan) for side in _BOX_SIDES)
        if not name or not (0 <= box[0] <= box[2] and 0 <= box[1] <= box[3]) or not math.isfinite(sum(box)):
            raise DatasetError(f"expected a name and a box in object {number}, got {brief(name)} and {brief(box)}")
        boxes.append((name, box))
    return VocBoxes(size_hw, tuple(boxes))


def _number(text: str | None, default: float) -> float:
    try:
        return float(text or "")
    except ValueError:
        return default


def _draw_box(box: Sequence[float], size_hw: tuple[int, int]) -> Mask:
    left, top, right, bottom = box
    mask = np.zeros(size_hw, np.bool_)
    mask[max(0, math.floor(top) - 1) : math.ceil(bottom), max(0, math.floor(left) - 1) : math.ceil(right)] = True
    return mask


def _photos_by_name(folder: Path) -> dict[str, Path]:
    """The photos by their paths below their folder, without suffix."""
    photos = next((folder / name for name in _PHOTOS if (folder / name).is_dir()), None)
    if photos is None:
        raise DatasetError(f"expected the photos in {folder / _PHOTOS[0]}, got no such folder")
    paths = sorted(path for path in photos.rglob("*") if is_photo_file(path) and path.is_file())
    return {path.relative_to(photos).with_suffix("").as_posix(): path for path in paths}


def _listed_names(folder: Path, labels: Path, suffix: str, faults: Faults) -> list[tuple[str, str]]:
    """The names of the dataset's photos, each with its split's: "" where there is one split or none."""
    existing = [path.relative_to(labels).with_suffix("").as_posix() for path in sorted(labels.rglob(f"*{suffix}"))]
    sets = folder / _SETS / ("Main" if labels.name == BOXES else "Segmentation")
    files = sorted(sets.glob("*.txt"), key=lambda path: (path.stem == "trainval", path.name))
    if labels.name == BOXES:
        files = [file for file in files if "_" not in file.stem]  # the others list the photos of a class
    if not files:
        return [(name, "") for name in existing]
    splits: dict[str, str] = {}
    for file in files:
        if faults.inside(folder, file):
            for line in _lines(file):
                splits.setdefault(line, file.stem)
    several = len(set(splits.values())) > 1
    if unlisted := [name for name in existing if name not in splits]:
        note(f"{folder}: left out {counted(len(unlisted), 'photo')} that no file of {sets} lists: {listed(unlisted)}")
    return [(name, split if several else "") for name, split in splits.items()]


def _read_classes(folder: Path, faults: Faults) -> tuple[dict[int, str], dict[int, str]]:
    """The classes by number, and by colour: that of `labelmap.txt`, or where it gives none, VOC's of the number."""
    names: list[str] = _VOC_NAMES
    given: dict[int, str] = {}
    if (path := folder / _CLASS_NAMES).is_file() and faults.inside(folder, path):
        names = _lines(path)
    elif (path := folder / _LABEL_MAP).is_file() and faults.inside(folder, path):
        names = []
        for number, line in enumerate(_lines(path), 1):
            try:
                if not line.startswith("#"):
                    name, colour = parse_label_map_line(line)
                    names.append(name)
                    given |= {} if colour is None else {colour: name}
            except DatasetError as error:
                faults.add(f"{path.name}:{number}", error)
    by_number = dict(enumerate(names))
    by_number.setdefault(_VOID, "void")
    return by_number, given or {voc_colour(number): name for number, name in by_number.items()}


def parse_label_map_line(line: str) -> tuple[str, int | None]:
    """Parses `name:red,green,blue:parts:actions`: the name, and the colour (as in `DecodedMap`) where there is one.

    Raises:
        DatasetError: it is no such line.
    """
    name, _, rest = line.partition(":")
    colour = rest.split(":")[0].strip()
    parts = [part.strip() for part in colour.split(",")] if colour else []
    if not name or (parts and len(parts) != 3) or not all(part.isdecimal() and int(part) < 256 for part in parts):
        raise DatasetError(f"expected `name:red,green,blue::`, got {brief(line)}")
    return name, colour_id(*map(int, parts)) if parts else None


def voc_colour(number: int) -> int:
    """The colour of a number in VOC's palette, as in `DecodedMap`: its bits in turn go to red, green and blue."""
    channels = [0, 0, 0]
    for bit in range(24):
        channels[bit % 3] |= (number >> bit & 1) << (7 - bit // 3)
    return colour_id(*channels)


def _lines(path: Path) -> list[str]:
    try:
        lines = read_bytes(path).decode("utf-8-sig").splitlines()
    except ValueError as error:
        raise DatasetError(f"expected text in UTF-8 in {path}, got: {error}") from error
    return [line.strip() for line in lines if line.strip()]
