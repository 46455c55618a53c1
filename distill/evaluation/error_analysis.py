"""Error analysis: confusions in each photo, their contributions to IoU, and their categories."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from surfaces.classes import BY_NAME, CLASSES, OTHER_TABLE, SurfaceClass
from surfaces.cli.progress import track
from surfaces.datasets import Labels, Sample
from surfaces.datasets.sample import read_sample
from surfaces.detections import Detection, Image
from surfaces.errors import DatasetError
from surfaces.io.local_files import read_text
from surfaces.metrics import confusion_matrix

Contributions = npt.NDArray[np.float64]
"""Shares of the IoU of each of `CLASSES` that are lost, float64 … x C."""

PREDICTED = ("other", *BY_NAME)
"""The predictions of a pixel; a class's position is its COCO id."""
TRUE = (*PREDICTED, "other table")
"""The labels of a pixel."""

ORDERS = ("lost", "iou", *BY_NAME)
"""Of photos: by contribution to the mean IoU of the dataset, by mean IoU of the photo, by contribution to a class."""

CATEGORIES = {
    "label": "the label is wrong, coarse or missing, and the prediction is as good or better",
    "definition": "labellers may differ: half-walls, columns, partitions, boards, the wall inside a niche",
    "low contrast": "two surfaces of nearly one colour and no visible edge between them, such as white on white",
    "light": "too dark, burnt out or out of focus to tell",
    "mirror or glass": "a reflection, a glossy floor, a glass top, or what is seen through a pane",
    "cabinet or door": "doors and casings, cabinets, wardrobes, shelves, appliances and wall confused",
    "hanging": "pictures, boards, curtains, blinds and wall confused",
    "pattern": "a mural, wallpaper, panelling or a floor's inlay takes a surface apart",
    "ceiling": "ceiling, beams or a sloping roof and wall confused",
    "rug": "a rug and the floor confused",
    "furniture": "chairs, beds, sofas, counters or steps and wall, floor or table confused",
    "clutter": "many small things stand before the surface or lie on it",
    "thin": "legs, rails, slats, frames, and the gaps between them",
    "other table": "a desk, counter, coffee or other table is taken for a dining table",
    "missed table": "a dining table in plain view is not found",
    "table part": "a table is found, but a part of its top, cloth or legs goes to another class",
    "cut table": "a dining table at the photo's edge, far away or mostly hidden is not found, or hardly",
    "odd view": "a close-up, or a place such as a shop or corridor, where little tells what stands where",
    "outline": "the surface is found; what is lost lies along its edges",
}
"""Error categories, and when they apply."""

UNCATEGORIZED = "no cause given"


@dataclass(frozen=True, eq=False)
class PhotoErrors:
    """The confusion matrix of one photo.

    Attributes:
        name: the sample's.
        pixels: height times width, with unlabelled ones.
        confusion: int64 (len(TRUE), len(PREDICTED)), pixels by label and prediction, without unlabelled ones.
        unlabelled: COCO ids of the classes that are not measured in it.
    """

    name: str
    pixels: int
    confusion: npt.NDArray[np.int64]
    unlabelled: frozenset[int] = frozenset()

    def missed(self, surface: SurfaceClass) -> dict[str, int]:
        """False negatives of a class: pixels by their prediction; none where it is unlabelled."""
        if surface.coco_id in self.unlabelled:
            return {}
        return _by_name(PREDICTED, self.confusion[surface.coco_id], surface)

    def false(self, surface: SurfaceClass) -> dict[str, int]:
        """False positives of a class: pixels by their label; none where it is unlabelled.

        Tables of other kinds are none of dining tables.
        """
        if surface.coco_id in self.unlabelled:
            return {}
        rows = self.confusion[:OTHER_TABLE] if surface.is_thing else self.confusion
        return _by_name(TRUE, rows[:, surface.coco_id], surface)

    def lost(self, surface: SurfaceClass) -> int:
        """False negatives and false positives of a class, pixels."""
        return sum(self.missed(surface).values()) + sum(self.false(surface).values())

    def union(self, surface: SurfaceClass) -> int:
        """Union of a class's label and prediction, pixels; 0 where it is unlabelled."""
        if surface.coco_id in self.unlabelled:
            return 0
        return self.lost(surface) + int(self.confusion[surface.coco_id, surface.coco_id])

    def iou(self, surface: SurfaceClass) -> float:
        """IoU of a class in this photo; NaN where it is neither present nor predicted."""
        union = self.union(surface)
        return 1 - self.lost(surface) / union if union else float("nan")

    def present(self) -> list[SurfaceClass]:
        """The classes that are labelled or predicted."""
        return [surface for surface in CLASSES if self.union(surface)]

    def mean_iou(self) -> float:
        """The mean IoU of `present`; 1 where there is none."""
        return float(np.mean([self.iou(surface) for surface in self.present()] or [1.0]))


@dataclass(frozen=True)
class PhotoCategories:
    """The error categories that a person assigned to one photo, by the class's name, and a note."""

    by_class: Mapping[str, str] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True, eq=False)
class CategoryContribution:
    """The contribution of one of `CATEGORIES`, or of `UNCATEGORIZED`, over the worst photos.

    Attributes:
        photos: in which it is assigned to at least one class.
        main: in which it contributes most.
        lost: float64 (C,).
    """

    category: str
    photos: int
    main: int
    lost: Contributions


@dataclass(frozen=True, eq=False)
class ErrorAnalysis:
    """The errors of a network on a dataset.

    Attributes:
        photos: of the whole dataset, in its order.
        lost: float64 (N, C).
        worst: indices of the worst photos, the worst first.
        categories: by the photo's name.
        by_category: the largest contribution first.
    """

    photos: Sequence[PhotoErrors]
    lost: Contributions
    worst: Sequence[int]
    categories: Mapping[str, PhotoCategories]
    by_category: Sequence[CategoryContribution]


def analyze_errors(
    predict: Callable[[Image], list[Detection]],
    samples: Sequence[Sample],
    count: int,
    by: str = ORDERS[0],
    categories: Mapping[str, PhotoCategories] = MappingProxyType({}),
) -> ErrorAnalysis:
    """Counts the errors of a model, one photo at a time, and picks the worst photos.

    Args:
        predict: from a photo (uint8 HxWx3 RGB) to its segments, masks of the photo's size and without overlaps.
        samples: the dataset.
        count: photos to pick at most; those without an error are left out.
        by: one of `ORDERS`.
        categories: by the photo's name.

    Raises:
        DatasetError: a photo or its labels cannot be read, or their sizes differ.
    """
    photos = []
    for sample in track(samples):
        image, labels = read_sample(sample)
        photos.append(count_errors(sample.name, predict(image), labels))
    lost = iou_contributions(photos)
    errors = {
        "lost": lost.mean(axis=1),
        "iou": np.array([1 - photo.mean_iou() for photo in photos]),
        **dict(zip(BY_NAME, lost.T, strict=True)),
    }[by]
    worst = [int(index) for index in np.argsort(-errors, kind="stable")[:count] if errors[index] > 0]
    by_category = category_contributions([(photos[index].name, lost[index]) for index in worst], categories)
    return ErrorAnalysis(photos, lost, worst, categories, by_category)


def count_errors(name: str, detections: Sequence[Detection], labels: Labels) -> PhotoErrors:
    """Counts the confusions in one photo; masks are of its size and do not overlap."""
    confusion = confusion_matrix(detections, labels)[:, :-1]  # without the totals
    return PhotoErrors(name, labels.semantic.size, confusion, labels.scope.unlabelled)


def iou_contributions(photos: Sequence[PhotoErrors]) -> Contributions:
    """Wrong pixels of each photo over the dataset's union, float64 (N, C).

    The sum over photos is 1 - IoU; 0 for a class that is in no photo.
    """
    lost = np.array([[photo.lost(surface) for surface in CLASSES] for photo in photos])
    union = np.sum([[photo.union(surface) for surface in CLASSES] for photo in photos], axis=0)
    return np.asarray(lost / np.maximum(union, 1), np.float64)


def category_contributions(
    photos: Iterable[tuple[str, Contributions]], assigned: Mapping[str, PhotoCategories]
) -> list[CategoryContribution]:
    """The contribution of each error category, the largest first, to photos with a name and a contribution."""
    by_photo = [_split(lost, assigned.get(name, PhotoCategories())) for name, lost in photos]
    main = [max(parts, key=lambda category: parts[category].sum()) for parts in by_photo if parts]
    contributions = []
    for category in dict.fromkeys(category for parts in by_photo for category in parts):
        parts_of = [parts[category] for parts in by_photo if category in parts]
        lost = np.sum(parts_of, axis=0)
        contributions.append(CategoryContribution(category, len(parts_of), main.count(category), lost))
    return sorted(contributions, key=lambda one: -one.lost.mean())


def read_categories(path: Path) -> tuple[str, dict[str, PhotoCategories]]:
    """Reads the sha256 of a network, and error categories of its photos, from TOML.

    The keys are `model`, and `[photos.NAME]` with entries such as `wall = "rug"`, and `note`.

    Raises:
        DatasetError: the file cannot be read, or names a category or class that does not exist.
    """
    try:
        document = tomllib.loads(read_text(path))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise DatasetError(f"expected a TOML file of causes at {path}: {error}") from error
    photos, model = document.get("photos", {}), document.get("model", "")
    if not isinstance(photos, dict) or not isinstance(model, str):
        raise DatasetError(f"expected a text `model` and tables [photos.NAME] in {path}, got something else")
    return model, {name: _parse_photo(name, entry) for name, entry in photos.items()}


def _by_name(names: Sequence[str], pixels: npt.NDArray[np.int64], surface: SurfaceClass) -> dict[str, int]:
    return {name: int(n) for name, n in zip(names, pixels, strict=False) if n and name != surface.name}


def _split(lost: Contributions, photo: PhotoCategories) -> dict[str, Contributions]:
    """One photo's contributions by category."""
    parts: dict[str, Contributions] = {}
    for index in np.flatnonzero(lost):
        category = photo.by_class.get(CLASSES[index].name, UNCATEGORIZED)
        parts.setdefault(category, np.zeros(len(CLASSES)))[index] = lost[index]
    return parts


def _parse_photo(name: str, entry: Any) -> PhotoCategories:
    if not isinstance(entry, dict) or not all(isinstance(value, str) for value in entry.values()):
        raise DatasetError(f"expected texts in [photos.{name}], got something else")
    by_class = {key: value for key, value in entry.items() if key != "note"}
    for surface, category in by_class.items():
        if surface not in BY_NAME:
            raise DatasetError(f"expected a class out of {', '.join(BY_NAME)} in [photos.{name}], got {surface!r}")
        if category not in CATEGORIES:
            raise DatasetError(f"expected a cause out of {', '.join(CATEGORIES)} for {name}, got {category!r}")
    return PhotoCategories(by_class, entry.get("note", ""))
