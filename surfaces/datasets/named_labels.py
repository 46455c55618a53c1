"""Labels of a published dataset under its own class names, and how they become labels of our classes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from surfaces.classes import BY_ID, DINING_TABLE, IGNORE
from surfaces.datasets.named_regions import Meaning, NamedRegion, NamedRegions, labels_of_regions
from surfaces.datasets.sample import MAX_TABLES, Labels, LabelScope
from surfaces.detections import Mask
from surfaces.masks.table_parts import group_table_parts, numbered_without_gaps


@dataclass(frozen=True, eq=False, kw_only=True)
class NamedLabels:
    """A photo's labels: what is common to regions and maps.

    Attributes:
        size_hw: of the photo.
        vocabulary: the class names that are labelled wherever they occur.
        absent, present: class names that are known to be nowhere, or somewhere, in the photo.
    """

    size_hw: tuple[int, int]
    vocabulary: Collection[str]
    absent: Collection[str] = ()
    present: Collection[str] = ()


@dataclass(frozen=True, eq=False, kw_only=True)
class RegionLabels(NamedLabels):
    """Labels that are regions, which may overlap; `unlabelled` (bool HxW) is what nobody labelled, None: nothing."""

    regions: Sequence[NamedRegion] = ()
    unlabelled: Mask | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class MapLabels(NamedLabels):
    """Labels with one class number a pixel.

    Attributes:
        numbers: integers HxW.
        names: class names by number; a pixel of another number is unlabelled.
        instances: integers HxW: the number of the object, counted in any way, 0 where several are not told apart; None:
            nowhere they are.
    """

    numbers: npt.NDArray[np.integer]
    names: Mapping[int, str]
    instances: npt.NDArray[np.integer] | None = None


def to_labels(source: NamedLabels, meaning: Meaning, labelled: Collection[int]) -> Labels:
    """Labels of our classes.

    A class is absent where all names that mean it are; regions are drawn as `labels_of_regions` does.

    Args:
        source: labels under other names.
        meaning: of each name.
        labelled: COCO ids of the classes that the vocabulary labels; the others are unlabelled.

    Raises:
        DatasetError: there are more tables than labels can number, or a name has no meaning.
    """
    if isinstance(source, MapLabels):
        labels = _of_map(source, meaning)
    else:
        regions, unlabelled = (source.regions, source.unlabelled) if isinstance(source, RegionLabels) else ((), None)
        labels = labels_of_regions(NamedRegions(source.size_hw, regions, unlabelled), meaning)
    scope = _scope(source, meaning, labels, labelled)
    return Labels(labels.semantic, labels.tables, scope=scope)


def _of_map(source: MapLabels, meaning: Meaning) -> Labels:
    present, positions = np.unique(source.numbers, return_inverse=True)
    meanings = [meaning(source.names[number]) if number in source.names else IGNORE for number in present.tolist()]
    semantic = np.array(meanings, np.uint8)[positions].reshape(source.size_hw)
    dining = semantic == DINING_TABLE.coco_id
    if source.instances is None:
        tables = group_table_parts(dining)
        semantic[dining & (tables == 0)] = IGNORE  # specks
        return Labels(semantic, numbered_without_gaps(tables))
    tables = np.zeros(source.size_hw, np.uint8)
    objects = np.unique(source.instances[dining & (source.instances != 0)])
    for number, instance in enumerate(objects[:MAX_TABLES], 1):  # more are a crowd
        tables[dining & (source.instances == instance)] = number
    return Labels(semantic, tables)


def _scope(source: NamedLabels, meaning: Meaning, labels: Labels, labelled: Collection[int]) -> LabelScope:
    known_absent = {meaning(name) for name in source.absent}
    not_known_absent = {meaning(name) for name in set(source.vocabulary) - set(source.absent)}
    drawn = set(np.unique(labels.semantic).tolist())
    absent = {class_id for class_id in BY_ID if class_id in known_absent - not_known_absent - drawn}
    present = {class_id for class_id in BY_ID if class_id in {meaning(name) for name in source.present}}
    present |= labels.scope.present
    return LabelScope(frozenset(BY_ID) - frozenset(labelled) - absent, frozenset(absent), frozenset(present - absent))
