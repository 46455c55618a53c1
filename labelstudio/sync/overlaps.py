"""Resolves overlaps of a person's regions: every pixel gets one class, none, or unsure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from labelstudio.project.labeling_config import UNSURE
from surfaces.classes import CLASSES, DINING_TABLE, STUFF, SurfaceClass
from surfaces.detections import Detection, Mask, box_of_mask
from surfaces.store.records import ScoredLabels, ScoredSegment

_LABELS = (*(surface.name for surface in CLASSES), UNSURE)


@dataclass(frozen=True, eq=False)
class Region:
    """A region of an annotation or a prediction; a predicted one keeps its id when a person changes it.

    `label` is the name of a class, or `unsure`; `mask` is bool HxW of the photo's size.
    """

    id: str
    label: str
    mask: Mask


def resolve_overlaps(regions: Sequence[Region], predicted: Sequence[Region], size_hw: tuple[int, int]) -> ScoredLabels:
    """Resolves overlaps of an annotation's regions, given those of the prediction that the person started from.

    All regions of wall are one, as are those of floor and of unsure; each of dining table is a table. A pixel in
    regions of several labels goes to those that the person added there: floor painted over predicted wall
    that was not erased means floor. Among those, dining tables win over wall and floor. A pixel that is still in
    unsure, or in both wall and floor, is unsure; between tables the earlier one wins.
    """
    masks = _resolve_labels(regions, predicted, size_hw)
    table = masks[DINING_TABLE.name]
    stuff = {surface: masks[surface.name] & ~table for surface in STUFF}
    ignore_mask = masks[UNSURE] | (np.count_nonzero(list(stuff.values()), axis=0) > 1)
    found = [(surface, mask & ~ignore_mask) for surface, mask in stuff.items()]
    tables = [region for region in regions if region.label == DINING_TABLE.name]
    found += [(DINING_TABLE, mask) for mask in _separate_tables(tables, predicted, table & ~ignore_mask)]
    return labels_of_masks(found, ignore_mask)


def labels_of_masks(masks: Iterable[tuple[SurfaceClass, Mask]], ignore_mask: Mask) -> ScoredLabels:
    """Labels of score 1; empty masks are left out."""
    detections = [Detection(surface, 1.0, box_of_mask(mask), mask) for surface, mask in masks if mask.any()]
    return ScoredLabels(tuple(map(ScoredSegment, detections)), ignore_mask)


def _resolve_labels(
    regions: Sequence[Region], predicted: Sequence[Region], size_hw: tuple[int, int]
) -> dict[str, Mask]:
    """By label, its pixels without those to which other labels were added."""
    masks = {label: _union(regions, label, size_hw) for label in _LABELS}
    added = {label: mask & ~_union(predicted, label, size_hw) for label, mask in masks.items()}
    unchanged = ~np.logical_or.reduce(list(added.values()))
    return {label: added[label] | (mask & unchanged) for label, mask in masks.items()}


def _union(regions: Iterable[Region], label: str, size_hw: tuple[int, int]) -> Mask:
    union = np.zeros(size_hw, np.bool_)
    for region in regions:
        if region.label == label:
            union |= region.mask
    return union


def _separate_tables(tables: Sequence[Region], predicted: Sequence[Region], area: Mask) -> list[Mask]:
    """Distributes an area among tables: first what the person added to each, then the rest."""
    before = {table.id: table.mask for table in predicted}
    added = [table.mask & ~before[table.id] if table.id in before else table.mask for table in tables]
    free = area.copy()
    masks = [_assign(mask, free) for mask in added]
    return [mask | _assign(table.mask, free) for mask, table in zip(masks, tables, strict=True)]


def _assign(mask: Mask, free: Mask) -> Mask:
    """The free pixels of a mask, which are removed from `free`."""
    assigned = mask & free
    free &= ~assigned
    return assigned
