"""Regions that a person drew over one another, settled: every pixel has one class, is none of them, or is unsure."""

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
    """One region of an annotation or a prediction.

    Attributes:
        id: unique in it; a region that was predicted keeps its id when a person changes it.
        label: the name of a class, or `unsure`.
        mask: bool HxW at the photo's own size.
    """

    id: str
    label: str
    mask: Mask


def settle(regions: Sequence[Region], predicted: Sequence[Region], size_hw: tuple[int, int]) -> ScoredLabels:
    """Labels of a person's regions.

    All regions of wall are one, so are those of floor and of unsure; each of dining table is a table. A pixel that
    several claim goes to the one that the person added there: whoever paints floor over predicted wall and does not
    erase the wall means floor. Then dining tables win over wall and floor, which they stand in front of. Where unsure
    is still among those that claim it, or wall and floor both do, it is unsure; between tables the earlier one has it.

    Args:
        regions: those of the annotation, in its order.
        predicted: those of the prediction that the person started from; empty where there was none.
        size_hw: the photo's height and width.

    Returns:
        Segments of score 1, without qualities or belief.
    """
    held = _held(regions, predicted, size_hw)
    table = held[DINING_TABLE.name]
    stuff = {surface: held[surface.name] & ~table for surface in STUFF}
    ignore_mask = held[UNSURE] | (np.count_nonzero(list(stuff.values()), axis=0) > 1)
    tables = _told_apart(
        [region for region in regions if region.label == DINING_TABLE.name], predicted, table & ~ignore_mask
    )
    found = [
        *((surface, mask & ~ignore_mask) for surface, mask in stuff.items()),
        *((DINING_TABLE, mask) for mask in tables),
    ]
    return ScoredLabels(tuple(_segment(surface, mask) for surface, mask in found if mask.any()), ignore_mask)


def _held(regions: Sequence[Region], predicted: Sequence[Region], size_hw: tuple[int, int]) -> dict[str, Mask]:
    """By label, the pixels that it claims and that no other label has been added to in its stead."""
    claimed = {label: _union(regions, label, size_hw) for label in _LABELS}
    added = {label: mask & ~_union(predicted, label, size_hw) for label, mask in claimed.items()}
    kept = ~np.logical_or.reduce(list(added.values()))
    return {label: added[label] | (mask & kept) for label, mask in claimed.items()}


def _union(regions: Iterable[Region], label: str, size_hw: tuple[int, int]) -> Mask:
    whole = np.zeros(size_hw, np.bool_)
    for region in regions:
        if region.label == label:
            whole |= region.mask
    return whole


def _told_apart(tables: Sequence[Region], predicted: Sequence[Region], area: Mask) -> list[Mask]:
    """What of an area each table has."""
    before = {table.id: table.mask for table in predicted}
    added = [table.mask & ~before[table.id] if table.id in before else table.mask for table in tables]
    free = area.copy()
    masks = [_taken(mask, free) for mask in added]
    return [mask | _taken(table.mask, free) for mask, table in zip(masks, tables, strict=True)]


def _taken(mask: Mask, free: Mask) -> Mask:
    """What of a mask is free, and no longer is."""
    taken = mask & free
    free &= ~taken
    return taken


def _segment(surface: SurfaceClass, mask: Mask) -> ScoredSegment:
    return ScoredSegment(Detection(surface, 1.0, box_of_mask(mask), mask))
