"""The end of all rules: each pixel has one class, is other, or is unsure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from autolabel.rules.draft import Draft, union
from autolabel.rules.kinds import is_stuff, is_thing
from models.teachers.teacher import Proposal
from surfaces.classes import CLASSES, SurfaceClass
from surfaces.dataset.graded import GradedSegment
from surfaces.detections import Detection, Mask, box_of_mask


def settle(draft: Draft) -> tuple[tuple[GradedSegment, ...], Mask]:
    """Segments that do not overlap, and the unsure pixels.

    Tables take their pixels first, the best before the others; then of wall and floor the one that scores higher.
    Proposals of wall are one segment, and so are those of floor: scores and qualities are means, weighted by area.

    Args:
        draft: after the rules.

    Returns:
        At most one wall, at most one floor, tables by descending score; and bool HxW, which no segment overlaps.
    """
    unsure = draft.unsure | _doubt(draft)
    free = ~unsure
    segments = []
    for surface, proposals in _segments(draft):
        mask = union((p.mask for p in proposals), unsure.shape) & free
        if mask.any():
            free &= ~mask
            segments.append(_graded(surface, proposals, mask))
    return tuple(sorted(segments, key=_place)), unsure


def _doubt(draft: Draft) -> Mask:
    """The pixels of doubtful proposals that others don't have."""
    size_hw = draft.unsure.shape
    things = union((p.mask for p in draft.proposals if is_thing(p.surface)), size_hw)
    stuff = union((p.mask for p in draft.proposals if is_stuff(p.surface)), size_hw)
    maybe_things = union((p.mask for p in draft.doubtful if is_thing(p.surface)), size_hw)
    maybe_stuff = union((p.mask for p in draft.doubtful if is_stuff(p.surface)), size_hw)
    return (maybe_things | (maybe_stuff & ~stuff)) & ~things


def _segments(draft: Draft) -> list[tuple[SurfaceClass, list[Proposal]]]:
    """What becomes one segment each, in the order in which pixels are given away."""
    things = [(p.surface, [p]) for p in draft.proposals if p.surface is not None and is_thing(p.surface)]
    stuff = [(surface, found) for surface in CLASSES if is_stuff(surface) and (found := draft.of(surface))]
    best_first = [sorted(kind, key=lambda item: -_score(item[1])) for kind in (things, stuff)]
    return [*best_first[0], *best_first[1]]


def _graded(surface: SurfaceClass, proposals: Sequence[Proposal], mask: Mask) -> GradedSegment:
    known = set.intersection(*(set(p.qualities) for p in proposals))
    qualities = {name: _mean([p.qualities[name] for p in proposals], proposals) for name in sorted(known)}
    return GradedSegment(Detection(surface, _score(proposals), box_of_mask(mask), mask), qualities)


def _score(proposals: Sequence[Proposal]) -> float:
    return _mean([p.score for p in proposals], proposals)


def _mean(values: Sequence[float], proposals: Sequence[Proposal]) -> float:
    return float(np.average(values, weights=[np.count_nonzero(p.mask) for p in proposals]))


def _place(segment: GradedSegment) -> tuple[int, float]:
    return segment.detection.surface.coco_id, -segment.detection.score
