"""Rules for what a detector and SAM proposed: overlaps, leaks, parts, doubles, doubt."""

from __future__ import annotations

import cv2
import numpy as np

from autolabel.labelling.class_config import ClassConfig
from autolabel.rules.candidates import Candidates, is_thing, union, with_mask
from models.inference.postprocess import LEAST_NEW_SHARE
from models.teachers.base import Floats, InstancePrediction, box_area, common_box
from surfaces.classes import FLOOR, WALL
from surfaces.detections import Mask, box_of_mask
from surfaces.masks.components import area, cleaned, filled, mask_iou, share_inside, thinned

SPECK_SHARE = 0.0005
PINHOLE_SHARE = 0.0001
LOWEST_CEILING = 0.5
"""Of the photo's height."""


def pinholes(candidates: Candidates, _ontology: ClassConfig) -> Candidates:
    """Holes too small to be a thing's are filled; windows, sockets and pictures stay holes."""
    return candidates.with_masks(lambda p: p.mask if p.surface is None else filled(p.mask, PINHOLE_SHARE))


def specks(candidates: Candidates, _ontology: ClassConfig) -> Candidates:
    """Connected parts too small to tell what they are become unsure, where no other proposal has them."""
    kept = candidates.with_masks(lambda p: p.mask if p.surface is None else cleaned(p.mask, SPECK_SHARE))
    return kept.with_ignored(_covered(candidates) & ~_covered(kept))


def ceiling_as_floor(candidates: Candidates, _ontology: ClassConfig) -> Candidates:
    """Floor that hangs from the photo's upper edge and ends in its upper half is unsure: it may be a ceiling.

    Floor lies below the horizon, and the horizon of a photo of a room below the photo's upper edge.
    """
    kept = candidates.with_masks(lambda p: p.mask & ~_hanging(p.mask) if p.surface == FLOOR else p.mask)
    return kept.with_ignored(_covered(candidates) & ~_covered(kept))


def _hanging(mask: Mask) -> Mask:
    if not mask[0].any():
        return np.zeros_like(mask)
    _, parts, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    top, height = stats[:, cv2.CC_STAT_TOP], stats[:, cv2.CC_STAT_HEIGHT]
    hanging = (top == 0) & (height <= LOWEST_CEILING * mask.shape[0])
    hanging[0] = False
    found: Mask = hanging[parts]
    return found


def area_limits(candidates: Candidates, class_config: ClassConfig) -> Candidates:
    """A segment that covers less or more of the photo than its class can is in doubt; unsure pixels do not count."""
    sure = ~candidates.ignore_mask
    doubted: list[InstancePrediction] = []
    for sought in class_config.classes:
        found = candidates.of(sought.surface)
        for segment in [[instance] for instance in found] if is_thing(sought.surface) else [found]:
            share = np.count_nonzero(union((p.mask for p in segment), sure.shape) & sure) / sure.size
            if not sought.least_share <= share <= sought.most_share:
                doubted += segment
    return candidates.doubting(doubted)


def _covered(candidates: Candidates) -> Mask:
    """Where any class is."""
    return union((p.mask for p in candidates.instances if p.surface is not None), candidates.ignore_mask.shape)


SAME_REGION_IOU = 0.5
BOX_TOLERANCE = 0.1
"""Of a box's sides: how far a mask may reach out of it."""

LEAKED_SHARE = 0.7
"""Of a table's mask: from here it is mostly wall."""

LEAST_SPAN = 0.5
"""Of a table's box: what the tight box of its mask covers of it, at least."""

LEAST_FILL = 0.1
"""Of a box: what its mask covers of it, at least."""

SWALLOWED_SHARE = 0.8
"""Of the smaller of wall and floor: from here it lies in the other."""


def part_of_box(candidates: Candidates, class_config: ClassConfig) -> Candidates:
    """A mask that fills little of its box is a part of what the detector saw: the whole box is in doubt."""
    sought = [(p, class_config.of(p.surface)) for p in candidates.instances if p.surface is not None]
    parts = [p for p, limits in sought if p.score >= limits.ignore_mask and _is_part(p)]
    doubted = [with_mask(p, p.mask | _rectangle(p.box_xyxy, p.mask.shape)) for p in parts]
    kept = candidates.without(parts)
    return Candidates(kept.instances, kept.ignore_mask, (*kept.low_confidence, *doubted))


def _is_part(instance: InstancePrediction) -> bool:
    box = box_area(instance.box_xyxy)
    if area(instance.mask) < LEAST_FILL * box:
        return True
    spanned = box_area(common_box(box_of_mask(instance.mask), instance.box_xyxy))
    return is_thing(instance.surface) and spanned < LEAST_SPAN * box


def negative_regions(candidates: Candidates, _ontology: ClassConfig) -> Candidates:
    """What negative prompts found keeps the classes off.

    A table that is nearly the same region as something that scores higher ("desk") is dropped; else what scores higher
    and is smaller is cut out of it. Out of walls and floors all that is smaller is cut ("window"), and what is nearly
    the same region if it scores higher.
    """
    negatives = [instance for instance in candidates.instances if instance.surface is None]
    coarse = [thinned(negative.mask) for negative in negatives]
    return candidates.without(negatives).with_masks(lambda instance: _kept_off(instance, negatives, coarse))


def _kept_off(instance: InstancePrediction, negatives: list[InstancePrediction], coarse: list[Mask]) -> Mask:
    mask = instance.mask
    own = thinned(mask)
    for negative, region in zip(negatives, coarse, strict=True):
        same = mask_iou(own, region) >= SAME_REGION_IOU
        better = negative.score >= instance.score
        smaller = area(region) < area(own)
        if is_thing(instance.surface) and same and better:
            return np.zeros_like(mask)
        cuts = better and smaller if is_thing(instance.surface) else better if same else smaller
        if cuts:
            mask = mask & ~negative.mask
    return mask


def outside_box(candidates: Candidates, _ontology: ClassConfig) -> Candidates:
    """A table ends where its box ends: what of its mask lies farther out is a leak of SAM's."""

    def bounded(instance: InstancePrediction) -> Mask:
        margin = BOX_TOLERANCE * (instance.box_xyxy[2:] - instance.box_xyxy[:2])
        return instance.mask & _rectangle(instance.box_xyxy + np.concatenate([-margin, margin]), instance.mask.shape)

    return candidates.with_masks(lambda p: bounded(p) if is_thing(p.surface) else p.mask)


def table_leaks(candidates: Candidates, _ontology: ClassConfig) -> Candidates:
    """Tables win over walls and floors; but where one is mostly a wall that scores higher, one of the two leaked.

    Which one, nobody knows: what they share is neither.
    """
    walls = [(p, thinned(p.mask)) for p in candidates.of(WALL)]

    def shared(instance: InstancePrediction) -> Mask:
        own = thinned(instance.mask)
        better = [(wall, region) for wall, region in walls if wall.score > instance.score]
        behind = [wall.mask for wall, region in better if share_inside(own, region) >= LEAKED_SHARE]
        return instance.mask & union(behind, instance.mask.shape)

    leaks = union((shared(p) for p in candidates.instances if is_thing(p.surface)), candidates.ignore_mask.shape)
    return candidates.with_ignored(leaks)


def duplicate_tables(candidates: Candidates, _ontology: ClassConfig) -> Candidates:
    """A table of which better ones have more than half is one of them, found twice."""
    taken = np.zeros_like(candidates.ignore_mask)
    doubles = []
    for table in candidates.instances:
        if is_thing(table.surface):
            if share_inside(thinned(table.mask), thinned(taken)) > 1 - LEAST_NEW_SHARE:
                doubles.append(table)
            else:
                taken |= table.mask
    return candidates.without(doubles)


def low_scores(candidates: Candidates, class_config: ClassConfig) -> Candidates:
    """Proposals are labels from the ontology's `accept`, in doubt from `unsure`, and dropped below."""
    sought = [(p, class_config.of(p.surface)) for p in candidates.instances if p.surface is not None]
    dropped = [p for p, limits in sought if p.score < limits.ignore_mask]
    doubted = [p for p, limits in sought if limits.ignore_mask <= p.score < limits.accept]
    return candidates.without(dropped).doubting(doubted)


def wall_or_floor(candidates: Candidates, _ontology: ClassConfig) -> Candidates:
    """Pixels that both wall and floor claim are unsure, except that a region swallowed by the other keeps its pixels.

    A mask that lies nearly whole in the other class's was drawn for less, so it is the other that leaked.
    """
    size_hw = candidates.ignore_mask.shape
    wall = union((p.mask for p in candidates.of(WALL)), size_hw)
    floor = union((p.mask for p in candidates.of(FLOOR)), size_hw)
    both = wall & floor
    if not both.any():
        return candidates
    smaller, larger, leaked = (
        (wall, floor, FLOOR) if area(thinned(wall)) < area(thinned(floor)) else (floor, wall, WALL)
    )
    if share_inside(thinned(smaller), thinned(larger)) >= SWALLOWED_SHARE:
        return candidates.with_masks(lambda p: p.mask & ~smaller if p.surface == leaked else p.mask)
    tables = union((p.mask for p in candidates.instances if is_thing(p.surface)), size_hw)
    return candidates.with_ignored(both & ~tables)


def _rectangle(box_xyxy: Floats, size_hw: tuple[int, ...]) -> Mask:
    """The pixels of a box, rounded outwards."""
    left, top = np.maximum(np.floor(box_xyxy[:2]), 0).astype(int)
    right, bottom = np.maximum(np.ceil(box_xyxy[2:]), 0).astype(int)
    inside = np.zeros(size_hw, bool)
    inside[top:bottom, left:right] = True
    return inside
