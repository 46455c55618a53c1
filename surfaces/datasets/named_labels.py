"""Labels under the class names of their source, and how they become labels of our classes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from surfaces.classes import BY_ID, DINING_TABLE, IGNORE, OTHER, OTHER_TABLE, STUFF
from surfaces.datasets.sample import MAX_TABLES, Labels, LabelScope
from surfaces.detections import Mask
from surfaces.masks.table_parts import group_table_parts, numbered_without_gaps

Meaning = Callable[[str], int]
"""From a source's class name to a value of `Labels.semantic`: the COCO id of a class, OTHER, OTHER_TABLE or IGNORE."""


@dataclass(frozen=True, eq=False)
class NamedRegion:
    """A region under its source's class name.

    Attributes:
        name: of its class.
        draw: gives its mask, bool HxW; called only where the class is wanted.
        crowd: several objects that are not told apart.
        loose: the mask is only an area that contains the object, such as a box.
    """

    name: str
    draw: Callable[[], Mask]
    crowd: bool = False
    loose: bool = False


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


def to_labels(source: NamedLabels, meaning: Meaning, labelled: Collection[int] | None = None) -> Labels:
    """Labels of our classes.

    Args:
        source: labels under other names.
        meaning: of each name.
        labelled: COCO ids of the classes that the vocabulary labels; None: those that its names mean.

    Where regions overlap, tables win over floor, and floor over wall, as in COCO files. A loose region of a class is
    unlabelled within. A class that no name of the vocabulary means is unlabelled; one is absent where all names that
    mean it are.
    """
    if isinstance(source, MapLabels):
        semantic, tables = _of_map(source, meaning)
    elif isinstance(source, RegionLabels):
        semantic, tables = _of_regions(source, meaning)
    else:
        semantic = np.zeros(source.size_hw, np.uint8)
        tables = semantic
    return Labels(semantic, numbered_without_gaps(tables), scope=_scope(source, meaning, semantic, labelled))


def _of_map(source: MapLabels, meaning: Meaning) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    present, positions = np.unique(source.numbers, return_inverse=True)
    meanings = [meaning(source.names[number]) if number in source.names else IGNORE for number in present.tolist()]
    semantic = np.array(meanings, np.uint8)[positions].reshape(source.size_hw)
    dining = semantic == DINING_TABLE.coco_id
    if source.instances is None:
        tables = group_table_parts(dining)
        semantic[dining & (tables == 0)] = IGNORE  # specks
        return semantic, tables
    tables = np.zeros(source.size_hw, np.uint8)
    objects = np.unique(source.instances[dining & (source.instances != 0)])
    for number, instance in enumerate(objects[:MAX_TABLES], 1):
        tables[dining & (source.instances == instance)] = number
    return semantic, tables


def _of_regions(source: RegionLabels, meaning: Meaning) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    semantic = np.full(source.size_hw, OTHER, np.uint8)
    if source.unlabelled is not None:
        semantic[source.unlabelled] = IGNORE
    means = [(region, meaning(region.name)) for region in source.regions]
    for region, value in means:
        if value in (OTHER_TABLE, IGNORE) or (region.loose and value != OTHER):
            semantic[region.draw()] = OTHER_TABLE if value == OTHER_TABLE else IGNORE
    for surface in STUFF:
        for region, value in means:
            if value == surface.coco_id and not region.loose:
                semantic[region.draw()] = value
    tables = np.zeros(source.size_hw, np.uint8)
    single = [r for r, value in means if value == DINING_TABLE.coco_id and not (r.loose or r.crowd)][:MAX_TABLES]
    for region, value in means:
        if value == DINING_TABLE.coco_id and not region.loose and region not in single:
            semantic[region.draw()] = value
    for number, region in enumerate(single, 1):
        tables[region.draw()] = number
    semantic[tables > 0] = DINING_TABLE.coco_id
    return semantic, tables


def _scope(
    source: NamedLabels, meaning: Meaning, semantic: npt.NDArray[np.uint8], labelled: Collection[int] | None
) -> LabelScope:
    if labelled is None:
        labelled = {meaning(name) for name in source.vocabulary}
    known_absent = {meaning(name) for name in source.absent}
    not_known_absent = {meaning(name) for name in set(source.vocabulary) - set(source.absent)}
    drawn = set(np.unique(semantic).tolist())
    absent = {class_id for class_id in BY_ID if class_id in known_absent - not_known_absent - drawn}
    present = {class_id for class_id in BY_ID if class_id in {meaning(name) for name in source.present}}
    return LabelScope(frozenset(BY_ID) - frozenset(labelled) - absent, frozenset(absent), frozenset(present - absent))
