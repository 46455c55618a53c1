"""Reads photos with maps of classes beside them: Roboflow's "Semantic Segmentation Masks", and Cityscapes.

Roboflow's photos `NAME.jpg` have maps `NAME_mask.png`, and `_classes.csv` in the folder of each split the classes by
number. Cityscapes (Cordts et al., The Cityscapes Dataset, CVPR 2016) has fixed numbers.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path

from surfaces.datasets.codec import read_bytes
from surfaces.datasets.foreign import Faults, ForeignSample, finish
from surfaces.datasets.id_maps import ClassMapAnnotation
from surfaces.datasets.reading import ReadOptions
from surfaces.datasets.sample import Sample
from surfaces.errors import DatasetError
from surfaces.io.photo_lists import is_photo_file
from surfaces.messages import brief

CLASSES_NAME = "_classes.csv"
CITYSCAPES_PHOTOS, CITYSCAPES_MAPS = "leftImg8bit", "gtFine"

_MASK = "_mask"
_CITYSCAPES_NAMES = dict(
    enumerate(
        [
            *("unlabeled", "unlabeled", "unlabeled", "unlabeled", "static", "dynamic", "ground", "road", "sidewalk"),
            *("parking", "rail track", "building", "wall", "fence", "guard rail", "bridge", "tunnel", "pole"),
            *("polegroup", "traffic light", "traffic sign", "vegetation", "terrain", "sky", "person", "rider", "car"),
            *("truck", "bus", "caravan", "trailer", "train", "motorcycle", "bicycle"),
        ]
    )
)
"""The first four are unlabelled: itself, ego vehicle, rectification border, out of region of interest."""


def class_lists(folder: Path) -> list[Path]:
    """The `_classes.csv` of a folder, or those of its folders, each of which is a split."""
    if (folder / CLASSES_NAME).is_file():
        return [folder / CLASSES_NAME]
    return sorted(path for path in folder.glob(f"*/{CLASSES_NAME}") if path.is_file())


def open_roboflow_masks(folder: Path, options: ReadOptions) -> list[Sample]:
    """The samples of Roboflow's masks, split by split.

    Raises:
        DatasetError: photos have no map, a class list is invalid, or there are no photos.
    """
    faults = Faults(folder, options)
    samples: list[ForeignSample] = []
    names: list[str] = []
    for classes in class_lists(folder):
        if faults.inside(folder, classes):
            by_number = _read_classes(classes)
            names += by_number.values()
            samples += list(_samples_beside(classes.parent, folder, by_number, faults))
    return finish(samples, names, folder, options, faults)


def open_cityscapes(folder: Path, options: ReadOptions) -> list[Sample]:
    """The samples of a folder with `leftImg8bit` and `gtFine`, named `SPLIT/CITY/NAME`.

    Raises:
        DatasetError: photos have no map, or there are none.
    """
    faults = Faults(folder, options)
    samples = []
    for photo in sorted((folder / CITYSCAPES_PHOTOS).glob(f"*/*/*_{CITYSCAPES_PHOTOS}.png")):
        place = photo.relative_to(folder / CITYSCAPES_PHOTOS).parent
        stem = photo.stem.removesuffix(f"_{CITYSCAPES_PHOTOS}")
        labels = folder / CITYSCAPES_MAPS / place / f"{stem}_{CITYSCAPES_MAPS}_labelIds.png"
        samples += _sample((place / stem).as_posix(), photo, labels, folder, _CITYSCAPES_NAMES, faults)
    return finish(samples, _CITYSCAPES_NAMES.values(), folder, options, faults)


def _samples_beside(place: Path, folder: Path, names: Mapping[int, str], faults: Faults) -> Iterator[ForeignSample]:
    photos = sorted(path for path in place.iterdir() if is_photo_file(path) and not path.stem.endswith(_MASK))
    for photo in photos:
        name = photo.relative_to(folder).with_suffix("").as_posix()
        yield from _sample(name, photo, photo.with_name(f"{photo.stem}{_MASK}.png"), folder, names, faults)


def _sample(
    name: str, photo: Path, labels: Path, folder: Path, names: Mapping[int, str], faults: Faults
) -> list[ForeignSample]:
    if not labels.is_file():
        faults.add(photo.relative_to(folder), f"expected a map of classes at {labels.relative_to(folder)}, got none")
        return []
    if not (faults.inside(folder, photo) and faults.inside(folder, labels)):
        return []
    return [ForeignSample(name, photo, labels, ClassMapAnnotation(labels, names))]


def _read_classes(path: Path) -> dict[int, str]:
    try:
        _, *rows = csv.reader(read_bytes(path).decode("utf-8-sig").splitlines(), skipinitialspace=True)
    except (ValueError, csv.Error) as error:
        raise DatasetError(
            f"expected `Pixel Value, Class` and a line for each class in {path}, got: {error}"
        ) from error
    names: dict[int, str] = {}
    for number, row in enumerate(rows, 2):
        if row:
            if len(row) != 2 or not row[0].strip().isdecimal():
                raise DatasetError(f"{path}:{number}: expected a number and a class, got {brief(','.join(row))}")
            names[int(row[0])] = row[1].strip()
    return names
