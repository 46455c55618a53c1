"""Regions under another tool's class names, and how they become labels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from surfaces.classes import BY_ID, DINING_TABLE, IGNORE, OTHER, OTHER_TABLE, STUFF, class_named, plain_class_name
from surfaces.datasets.sample import ALL_LABELLED, MAX_TABLES, Labels, LabelScope
from surfaces.detections import Mask
from surfaces.errors import DatasetError
from surfaces.masks.table_parts import group_table_parts, numbered_without_gaps

Meaning = Callable[[str], int]
"""From a source's class name to a value of `Labels.semantic`: the COCO id of a class, OTHER, OTHER_TABLE or IGNORE."""

REGIONS_MAX = 2048
"""Of a photo: each is drawn at its full size."""

_UNLABELLED_NAMES = frozenset({"void", "ignore", "ignored", "unlabeled", "unlabelled"})


@dataclass(frozen=True, eq=False)
class NamedRegion:
    """A region of a photo as another tool labelled it.

    Attributes:
        name: the tool's class.
        draw: its mask, bool HxW.
        is_box: only its box is known: inside, pixels are unlabelled.
        is_whole_class: all objects of the class, which are told apart by the distance of their parts.
        is_crowd: several objects that are not told apart; pixels count, objects do not.
    """

    name: str
    draw: Callable[[], Mask]
    is_box: bool = False
    is_whole_class: bool = False
    is_crowd: bool = False


@dataclass(frozen=True, eq=False)
class NamedRegions:
    """All regions of a photo, drawn at a size that is the photo's, or that of its stored, not yet upright pixels.

    `unlabelled` (bool HxW) are pixels that nobody labelled; None where there are none.
    """

    size_hw: tuple[int, int]
    regions: Sequence[NamedRegion]
    unlabelled: Mask | None = None


def target_of(name: str, targets: Mapping[str, int]) -> int:
    """The value of `Labels.semantic` that a class name means.

    Args:
        name: as the tool writes it.
        targets: COCO ids, OTHER, OTHER_TABLE or IGNORE by such names. Others are compared with our classes, ignoring
            case, spaces, `_` and `-`; "void", "ignore" and "unlabelled" are IGNORE, the rest is OTHER.
    """
    if name in targets:
        return targets[name]
    surface = class_named(name)
    if surface:
        return surface.coco_id
    return IGNORE if plain_class_name(name) in _UNLABELLED_NAMES else OTHER


def labels_of_regions(
    named: NamedRegions, meaning: Meaning, background: int = OTHER, scope: LabelScope = ALL_LABELLED
) -> Labels:
    """Draws regions as labels. Where they overlap, tables win over floor, floor over wall, and all over the unlabelled.

    Args:
        named: of one photo.
        meaning: of their names.
        background: the label of pixels outside of all regions.
        scope: which classes are labelled; classes of boxes are added as present.

    Raises:
        DatasetError: there are more tables than labels can number.
    """
    by_target = _by_target(named.regions, meaning)
    semantic = np.full(named.size_hw, background, np.uint8)
    if named.unlabelled is not None:
        semantic[named.unlabelled] = IGNORE
    for value in (IGNORE, OTHER_TABLE, *(surface.coco_id for surface in STUFF)):
        for region in by_target[value]:
            semantic[region.draw()] = value
    found = by_target[DINING_TABLE.coco_id]
    single = [region for region in found if not (region.is_whole_class or region.is_crowd)]
    _require_few_tables(len(single))
    tables = np.zeros(named.size_hw, np.uint8)
    for number, region in enumerate(single, 1):
        tables[region.draw()] = number
    together = np.zeros(named.size_hw, np.bool_)
    for region in (region for region in found if region.is_whole_class):
        together |= region.draw() & (tables == 0)
    if together.any():
        grouped = group_table_parts(together)
        _require_few_tables(len(single) + int(grouped.max()))
        semantic[together] = IGNORE  # specks remain
        tables[grouped > 0] = grouped[grouped > 0] + len(single)
    for region in (region for region in found if region.is_crowd):
        semantic[region.draw()] = DINING_TABLE.coco_id
    semantic[tables > 0] = DINING_TABLE.coco_id
    present = {meaning(region.name) for region in named.regions if region.is_box} & BY_ID.keys()
    return Labels(semantic, numbered_without_gaps(tables), scope=replace(scope, present=scope.present | present))


def _by_target(regions: Iterable[NamedRegion], meaning: Meaning) -> dict[int, list[NamedRegion]]:
    by_target = defaultdict[int, list[NamedRegion]](list)
    for region in regions:
        target = meaning(region.name)
        by_target[IGNORE if region.is_box and target != OTHER else target].append(region)
    return by_target


def _require_few_tables(count: int) -> None:
    if count > MAX_TABLES:
        raise DatasetError(f"expected at most {MAX_TABLES} dining tables, got {count}")
