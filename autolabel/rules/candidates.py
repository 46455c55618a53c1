"""Candidate regions, which the rules change, and the labels they become when overlaps are resolved."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from autolabel.labelling.class_config import ClassConfig
from models.teachers.base import InstancePrediction
from surfaces.classes import CLASSES, SurfaceClass
from surfaces.detections import Detection, Mask, box_of_mask
from surfaces.store.records import ScoredSegment


def is_thing(surface: SurfaceClass | None) -> bool:
    """Whether each object of the class is a region; None is a negative prompt."""
    return surface is not None and surface.is_thing


def is_stuff(surface: SurfaceClass | None) -> bool:
    """Whether all of the class in a photo is one region; None is a negative prompt."""
    return surface is not None and not surface.is_thing


@dataclass(frozen=True, eq=False)
class Candidates:
    """Regions of one photo that may still overlap.

    Attributes:
        instances: the regions, best first; those of negative prompts have no class.
        ignore_mask: bool HxW, pixels that are ignored whatever the instances are.
        low_confidence: instances that are no labels but may be right: their pixels are ignored where no instance has
            them; those of a thing also where wall or floor have them, since it may hide these.
    """

    instances: tuple[InstancePrediction, ...]
    ignore_mask: Mask
    low_confidence: tuple[InstancePrediction, ...] = ()

    def of(self, surface: SurfaceClass) -> list[InstancePrediction]:
        """The instances of a class."""
        return [instance for instance in self.instances if instance.surface == surface]

    def covered(self, condition: Callable[[SurfaceClass | None], bool]) -> Mask:
        """The pixels (bool HxW) of all instances whose class meets a condition."""
        return union((p.mask for p in self.instances if condition(p.surface)), self.ignore_mask.shape)

    def with_masks(self, mask_of: Callable[[InstancePrediction], Mask]) -> Candidates:
        """Replaces all masks; instances whose new mask is empty are dropped."""
        changed = (replace(instance, mask=mask_of(instance)) for instance in self.instances)
        return replace(self, instances=tuple(instance for instance in changed if instance.mask.any()))

    def without(self, dropped: Collection[InstancePrediction]) -> Candidates:
        """Drops some of the instances."""
        return replace(self, instances=tuple(p for p in self.instances if p not in dropped))

    def demote(self, demoted: Collection[InstancePrediction]) -> Candidates:
        """Turns some of the instances into instances of low confidence."""
        return replace(self.without(demoted), low_confidence=(*self.low_confidence, *demoted))

    def with_ignored(self, mask: Mask) -> Candidates:
        """Adds pixels to the ignore mask."""
        return replace(self, ignore_mask=self.ignore_mask | mask)


MaskRule = Callable[[Candidates, ClassConfig], Candidates]


def by_name(*rules: MaskRule) -> Mapping[str, MaskRule]:
    """Rules by their names, in their order."""
    return {rule.__name__: rule for rule in rules}


def union(masks: Iterable[Mask], size_hw: tuple[int, ...]) -> Mask:
    """The pixels of any of the masks (bool HxW)."""
    whole = np.zeros(size_hw, bool)
    for mask in masks:
        whole |= mask
    return whole


def resolve_overlaps(candidates: Candidates) -> tuple[tuple[ScoredSegment, ...], Mask]:
    """Gives each pixel to one segment, to "other" or to the ignore mask.

    Things come first, the best before the others, then stuff in the order of scores. All instances of a stuff class are
    one segment: its score and quality scores are their means, weighted by area.

    Returns:
        Segments by class, then by descending score, and the ignored pixels (bool HxW); none overlap.
    """
    ignore_mask = candidates.ignore_mask | _low_confidence_pixels(candidates)
    free = ~ignore_mask
    things = [(p.surface, [p]) for p in candidates.instances if p.surface is not None and is_thing(p.surface)]
    stuff = [(surface, found) for surface in CLASSES if is_stuff(surface) and (found := candidates.of(surface))]
    segments = []
    for group in (things, stuff):
        for surface, instances in sorted(group, key=lambda item: -_mean_score(item[1])):
            mask = union((p.mask for p in instances), free.shape) & free
            if mask.any():
                free &= ~mask
                segments.append(_segment(surface, instances, mask))
    segments.sort(key=lambda segment: (segment.detection.surface.coco_id, -segment.detection.score))
    return tuple(segments), ignore_mask


def _low_confidence_pixels(candidates: Candidates) -> Mask:
    size_hw = candidates.ignore_mask.shape
    things = union((p.mask for p in candidates.low_confidence if is_thing(p.surface)), size_hw)
    stuff = union((p.mask for p in candidates.low_confidence if is_stuff(p.surface)), size_hw)
    return (things | (stuff & ~candidates.covered(is_stuff))) & ~candidates.covered(is_thing)


def _segment(surface: SurfaceClass, instances: Sequence[InstancePrediction], mask: Mask) -> ScoredSegment:
    names = set.intersection(*(set(p.quality_scores) for p in instances))
    quality_scores = {name: _mean([p.quality_scores[name] for p in instances], instances) for name in sorted(names)}
    return ScoredSegment(Detection(surface, _mean_score(instances), box_of_mask(mask), mask), quality_scores)


def _mean_score(instances: Sequence[InstancePrediction]) -> float:
    return _mean([p.score for p in instances], instances)


def _mean(values: Sequence[float], instances: Sequence[InstancePrediction]) -> float:
    return float(np.average(values, weights=[np.count_nonzero(p.mask) for p in instances]))
