"""The end of all rules: each pixel has one class, is other, or is unsure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from autolabel.rules.candidates import Candidates, is_stuff, is_thing, union
from models.teachers.base import InstancePrediction
from surfaces.classes import CLASSES, SurfaceClass
from surfaces.detections import Detection, Mask, box_of_mask
from surfaces.store.records import ScoredSegment


def resolve_overlaps(candidates: Candidates) -> tuple[tuple[ScoredSegment, ...], Mask]:
    """Segments that do not overlap, and the unsure pixels.

    Tables take their pixels first, the best before the others; then of wall and floor the one that scores higher.
    Proposals of wall are one segment, and so are those of floor: scores and qualities are means, weighted by area.

    Args:
        draft: after the rules.

    Returns:
        At most one wall, at most one floor, tables by descending score; and bool HxW, which no segment overlaps.
    """
    ignore_mask = candidates.ignore_mask | _doubt(candidates)
    free = ~ignore_mask
    segments = []
    for surface, instances in _segments(candidates):
        mask = union((p.mask for p in instances), ignore_mask.shape) & free
        if mask.any():
            free &= ~mask
            segments.append(_graded(surface, instances, mask))
    return tuple(sorted(segments, key=_place)), ignore_mask


def _doubt(candidates: Candidates) -> Mask:
    """The pixels of doubtful proposals that others don't have."""
    size_hw = candidates.ignore_mask.shape
    things = union((p.mask for p in candidates.instances if is_thing(p.surface)), size_hw)
    stuff = union((p.mask for p in candidates.instances if is_stuff(p.surface)), size_hw)
    maybe_things = union((p.mask for p in candidates.low_confidence if is_thing(p.surface)), size_hw)
    maybe_stuff = union((p.mask for p in candidates.low_confidence if is_stuff(p.surface)), size_hw)
    return (maybe_things | (maybe_stuff & ~stuff)) & ~things


def _segments(candidates: Candidates) -> list[tuple[SurfaceClass, list[InstancePrediction]]]:
    """What becomes one segment each, in the order in which pixels are given away."""
    things = [(p.surface, [p]) for p in candidates.instances if p.surface is not None and is_thing(p.surface)]
    stuff = [(surface, found) for surface in CLASSES if is_stuff(surface) and (found := candidates.of(surface))]
    best_first = [sorted(kind, key=lambda item: -_score(item[1])) for kind in (things, stuff)]
    return [*best_first[0], *best_first[1]]


def _graded(surface: SurfaceClass, instances: Sequence[InstancePrediction], mask: Mask) -> ScoredSegment:
    known = set.intersection(*(set(p.quality_scores) for p in instances))
    quality_scores = {name: _mean([p.quality_scores[name] for p in instances], instances) for name in sorted(known)}
    return ScoredSegment(Detection(surface, _score(instances), box_of_mask(mask), mask), quality_scores)


def _score(instances: Sequence[InstancePrediction]) -> float:
    return _mean([p.score for p in instances], instances)


def _mean(values: Sequence[float], instances: Sequence[InstancePrediction]) -> float:
    return float(np.average(values, weights=[np.count_nonzero(p.mask) for p in instances]))


def _place(segment: ScoredSegment) -> tuple[int, float]:
    return segment.detection.surface.coco_id, -segment.detection.score
