"""Rules for masks, most of them for those of a detector and SAM: overlaps, leaks, parts, duplicates, low scores."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np

from autolabel.labelling.class_config import ClassConfig, ClassSettings
from autolabel.rules.candidates import Candidates, by_name, is_thing, union
from models.inference.postprocess import LEAST_NEW_SHARE
from models.teachers.base import Floats, InstancePrediction, box_area, common_box
from surfaces.classes import FLOOR, WALL, SurfaceClass
from surfaces.detections import Mask, box_of_mask
from surfaces.masks.components import area, cleaned, filled, mask_iou, share_inside, thinned

# Shares of the photo.
SPECK_SHARE = 0.0005
PINHOLE_SHARE = 0.0001
LOWEST_CEILING = 0.5  # of its height

SAME_REGION_IOU = 0.5
BOX_TOLERANCE = 0.1  # of a box's sides: how far a mask may reach out of it
LEAKED_SHARE = 0.7  # of a table's mask: from here on it is mostly wall
LEAST_SPAN = 0.5  # of a table's box: least share that the tight box of its mask covers
LEAST_FILL = 0.1  # of a box: least share that its mask covers
SWALLOWED_SHARE = 0.8  # of the smaller of wall and floor: from here on it is inside the other


def pinholes(candidates: Candidates, _config: ClassConfig) -> Candidates:
    """Fills holes that are too small to be a thing's; windows, sockets and pictures stay holes."""
    return candidates.with_masks(lambda p: p.mask if p.surface is None else filled(p.mask, PINHOLE_SHARE))


def specks(candidates: Candidates, _config: ClassConfig) -> Candidates:
    """Ignores connected parts that are too small, where no other instance has their pixels."""
    return _ignore_lost(candidates, lambda p: p.mask if p.surface is None else cleaned(p.mask, SPECK_SHARE))


def ceiling_as_floor(candidates: Candidates, _config: ClassConfig) -> Candidates:
    """Ignores floor that touches the photo's upper edge and ends in its upper half: it may be a ceiling.

    Floor is below the horizon, and in a photo of a room the horizon is below the upper edge.
    """
    return _ignore_lost(candidates, lambda p: p.mask & ~_hanging(p.mask) if p.surface == FLOOR else p.mask)


def _ignore_lost(candidates: Candidates, mask_of: Callable[[InstancePrediction], Mask]) -> Candidates:
    """Replaces all masks; pixels that no class has any more are ignored."""
    kept = candidates.with_masks(mask_of)
    return kept.with_ignored(candidates.covered(_is_class) & ~kept.covered(_is_class))


def _is_class(surface: SurfaceClass | None) -> bool:
    return surface is not None


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
    """Demotes segments that cover less or more of the photo than their class can; ignored pixels do not count."""
    counted = ~candidates.ignore_mask
    demoted: list[InstancePrediction] = []
    for surface, settings in class_config.classes.items():
        found = candidates.of(surface)
        for segment in [[instance] for instance in found] if is_thing(surface) else [found]:
            share = np.count_nonzero(union((p.mask for p in segment), counted.shape) & counted) / counted.size
            if not settings.least_share <= share <= settings.most_share:
                demoted += segment
    return candidates.demote(demoted)


def part_of_box(candidates: Candidates, class_config: ClassConfig) -> Candidates:
    """Demotes masks that fill little of their box, with the whole box as mask: SAM drew a part of the object."""
    known = _with_settings(candidates, class_config)
    parts = [p for p, settings in known if p.score >= settings.unsure and _is_part(p)]
    boxes = [replace(p, mask=p.mask | _rectangle(p.box_xyxy, p.mask.shape)) for p in parts]
    return candidates.without(parts).demote(boxes)


def _is_part(instance: InstancePrediction) -> bool:
    box = box_area(instance.box_xyxy)
    if area(instance.mask) < LEAST_FILL * box:
        return True
    spanned = box_area(common_box(box_of_mask(instance.mask), instance.box_xyxy))
    return is_thing(instance.surface) and spanned < LEAST_SPAN * box


def negative_regions(candidates: Candidates, _config: ClassConfig) -> Candidates:
    """Keeps the classes off the regions of negative prompts.

    A table that is nearly the same region as a negative one with a higher score ("desk") is dropped; else smaller
    regions with a higher score are cut out of it. Out of stuff all smaller regions are cut ("window"), and nearly the
    same region if its score is higher.
    """
    negatives = [instance for instance in candidates.instances if instance.surface is None]
    coarse = [thinned(negative.mask) for negative in negatives]
    return candidates.without(negatives).with_masks(lambda instance: _without_negatives(instance, negatives, coarse))


def _without_negatives(instance: InstancePrediction, negatives: list[InstancePrediction], coarse: list[Mask]) -> Mask:
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


def outside_box(candidates: Candidates, _config: ClassConfig) -> Candidates:
    """Cuts a table's mask off outside its box, where SAM leaked."""

    def inside(instance: InstancePrediction) -> Mask:
        margin = BOX_TOLERANCE * (instance.box_xyxy[2:] - instance.box_xyxy[:2])
        return instance.mask & _rectangle(instance.box_xyxy + np.concatenate([-margin, margin]), instance.mask.shape)

    return candidates.with_masks(lambda p: inside(p) if is_thing(p.surface) else p.mask)


def table_leaks(candidates: Candidates, _config: ClassConfig) -> Candidates:
    """Ignores what a table shares with a wall of a higher score if most of the table is inside it.

    Tables otherwise win over walls and floors; here one of the two masks leaked, and it is unknown which.
    """
    walls = [(p, thinned(p.mask)) for p in candidates.of(WALL)]

    def shared(instance: InstancePrediction) -> Mask:
        own = thinned(instance.mask)
        better = [(wall, region) for wall, region in walls if wall.score > instance.score]
        behind = [wall.mask for wall, region in better if share_inside(own, region) >= LEAKED_SHARE]
        return instance.mask & union(behind, instance.mask.shape)

    leaks = union((shared(p) for p in candidates.instances if is_thing(p.surface)), candidates.ignore_mask.shape)
    return candidates.with_ignored(leaks)


def duplicate_tables(candidates: Candidates, _config: ClassConfig) -> Candidates:
    """Drops a table if better ones cover more than half of it."""
    assigned = np.zeros_like(candidates.ignore_mask)
    duplicates = []
    for table in candidates.instances:
        if is_thing(table.surface):
            if share_inside(thinned(table.mask), thinned(assigned)) > 1 - LEAST_NEW_SHARE:
                duplicates.append(table)
            else:
                assigned |= table.mask
    return candidates.without(duplicates)


def low_scores(candidates: Candidates, class_config: ClassConfig) -> Candidates:
    """Demotes instances with a score below `accept`, and drops those below `unsure`."""
    known = _with_settings(candidates, class_config)
    dropped = [p for p, settings in known if p.score < settings.unsure]
    demoted = [p for p, settings in known if settings.unsure <= p.score < settings.accept]
    return candidates.without(dropped).demote(demoted)


def wall_or_floor(candidates: Candidates, _config: ClassConfig) -> Candidates:
    """Ignores pixels of both wall and floor, except that a region inside the other keeps its pixels.

    SAM drew the inner mask for a smaller region, so the outer one leaked.
    """
    size_hw = candidates.ignore_mask.shape
    wall, floor = (union((p.mask for p in candidates.of(surface)), size_hw) for surface in (WALL, FLOOR))
    both = wall & floor
    if not both.any():
        return candidates
    is_wall_smaller = area(thinned(wall)) < area(thinned(floor))
    smaller, larger, leaked = (wall, floor, FLOOR) if is_wall_smaller else (floor, wall, WALL)
    if share_inside(thinned(smaller), thinned(larger)) >= SWALLOWED_SHARE:
        return candidates.with_masks(lambda p: p.mask & ~smaller if p.surface == leaked else p.mask)
    return candidates.with_ignored(both & ~candidates.covered(is_thing))


INSTANCE_RULES = by_name(
    pinholes,
    part_of_box,
    negative_regions,
    outside_box,
    table_leaks,
    duplicate_tables,
    low_scores,
    wall_or_floor,
    ceiling_as_floor,
    specks,
    area_limits,
)
"""For the masks of a detector and SAM, after the box rules."""


def _with_settings(candidates: Candidates, config: ClassConfig) -> list[tuple[InstancePrediction, ClassSettings]]:
    return [(p, config.classes[p.surface]) for p in candidates.instances if p.surface is not None]


def _rectangle(box_xyxy: Floats, size_hw: tuple[int, ...]) -> Mask:
    """The pixels of a box, rounded outwards."""
    left, top = np.maximum(np.floor(box_xyxy[:2]), 0).astype(int)
    right, bottom = np.maximum(np.ceil(box_xyxy[2:]), 0).astype(int)
    inside = np.zeros(size_hw, bool)
    inside[top:bottom, left:right] = True
    return inside
