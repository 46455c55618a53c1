"""Rules for what is known of a photo as a whole: classes that are absent from it, or present."""

from __future__ import annotations

import numpy as np

from autolabel.rules.candidates import Candidates, union
from models.teachers.base import Floats, InstancePrediction
from surfaces.datasets.sample import LabelScope
from surfaces.store.records import ScoredSegment

CERTAIN_SEMANTIC, CERTAIN_DETECTOR = 0.9, 0.7
"""Scores from which an instance contradicts that its class is absent, a mean probability and a detector's score. Set by
reason, not measured."""


def absent_classes(candidates: Candidates, scope: LabelScope) -> Candidates:
    """Drops the instances of absent classes: their pixels are "other", or another class has them.

    Pixels of certain instances are ignored, since teacher and image-level label contradict each other.
    """
    found = [p for p in candidates.instances if p.surface is not None and p.surface.coco_id in scope.absent]
    certain = union((p.mask for p in found if _is_certain(p)), candidates.ignore_mask.shape)
    return candidates.without(found).with_ignored(certain)


SCOPE_RULES = {absent_classes.__name__: absent_classes}
"""By name, before the rules for masks."""


def contradicted(candidates: Candidates, scope: LabelScope) -> frozenset[int]:
    """COCO ids of absent classes of which the teacher is certain; `candidates` are those before the rules."""
    certain = {p.surface.coco_id for p in candidates.instances if p.surface is not None and _is_certain(p)}
    return scope.absent & certain


def missing(segments: tuple[ScoredSegment, ...], scope: LabelScope) -> frozenset[int]:
    """COCO ids of present classes that have no segment."""
    return scope.present - {segment.detection.surface.coco_id for segment in segments}


def without_classes(probabilities: Floats, class_ids: frozenset[int]) -> Floats:
    """Moves the probability of classes to "other"; float32 (4, h, w)."""
    moved = np.array(probabilities)
    for class_id in class_ids:
        moved[0] += moved[class_id]
        moved[class_id] = 0
    return moved


def _is_certain(instance: InstancePrediction) -> bool:
    is_semantic = "belief" in instance.quality_scores
    return instance.score >= (CERTAIN_SEMANTIC if is_semantic else CERTAIN_DETECTOR)
