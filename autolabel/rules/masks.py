"""Rules for what a detector and SAM proposed: overlaps, leaks, parts, doubles, doubt."""

from __future__ import annotations

import numpy as np

from autolabel.ontology import Ontology
from autolabel.rules.draft import Draft, union, with_mask
from autolabel.rules.kinds import is_thing
from autolabel.rules.regions import area, mask_iou, share_inside, thinned
from models.runtime.merge import LEAST_NEW_SHARE
from models.teachers.box_overlap import box_area, common_box
from models.teachers.teacher import Floats, Proposal
from surfaces.classes import FLOOR, WALL
from surfaces.detections import Mask, box_of_mask

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


def part_of_box(draft: Draft, ontology: Ontology) -> Draft:
    """A mask that fills little of its box is a part of what the detector saw: the whole box is in doubt."""
    sought = [(p, ontology.of(p.surface)) for p in draft.proposals if p.surface is not None]
    parts = [p for p, limits in sought if p.score >= limits.unsure and _is_part(p)]
    doubted = [with_mask(p, p.mask | _rectangle(p.box_xyxy, p.mask.shape)) for p in parts]
    kept = draft.without(parts)
    return Draft(kept.proposals, kept.unsure, (*kept.doubtful, *doubted))


def _is_part(proposal: Proposal) -> bool:
    box = box_area(proposal.box_xyxy)
    if area(proposal.mask) < LEAST_FILL * box:
        return True
    spanned = box_area(common_box(box_of_mask(proposal.mask), proposal.box_xyxy))
    return is_thing(proposal.surface) and spanned < LEAST_SPAN * box


def negative_regions(draft: Draft, _ontology: Ontology) -> Draft:
    """What negative prompts found keeps the classes off.

    A table that is nearly the same region as something that scores higher ("desk") is dropped; else what scores higher
    and is smaller is cut out of it. Out of walls and floors all that is smaller is cut ("window"), and what is nearly
    the same region if it scores higher.
    """
    negatives = [proposal for proposal in draft.proposals if proposal.surface is None]
    coarse = [thinned(negative.mask) for negative in negatives]
    return draft.without(negatives).with_masks(lambda proposal: _kept_off(proposal, negatives, coarse))


def _kept_off(proposal: Proposal, negatives: list[Proposal], coarse: list[Mask]) -> Mask:
    mask = proposal.mask
    own = thinned(mask)
    for negative, region in zip(negatives, coarse, strict=True):
        same = mask_iou(own, region) >= SAME_REGION_IOU
        better = negative.score >= proposal.score
        smaller = area(region) < area(own)
        if is_thing(proposal.surface) and same and better:
            return np.zeros_like(mask)
        cuts = better and smaller if is_thing(proposal.surface) else better if same else smaller
        if cuts:
            mask = mask & ~negative.mask
    return mask


def outside_box(draft: Draft, _ontology: Ontology) -> Draft:
    """A table ends where its box ends: what of its mask lies farther out is a leak of SAM's."""

    def bounded(proposal: Proposal) -> Mask:
        margin = BOX_TOLERANCE * (proposal.box_xyxy[2:] - proposal.box_xyxy[:2])
        return proposal.mask & _rectangle(proposal.box_xyxy + np.concatenate([-margin, margin]), proposal.mask.shape)

    return draft.with_masks(lambda p: bounded(p) if is_thing(p.surface) else p.mask)


def table_leaks(draft: Draft, _ontology: Ontology) -> Draft:
    """Tables win over walls and floors; but where one is mostly a wall that scores higher, one of the two leaked.

    Which one, nobody knows: what they share is neither.
    """
    walls = [(p, thinned(p.mask)) for p in draft.of(WALL)]

    def shared(proposal: Proposal) -> Mask:
        own = thinned(proposal.mask)
        better = [(wall, region) for wall, region in walls if wall.score > proposal.score]
        behind = [wall.mask for wall, region in better if share_inside(own, region) >= LEAKED_SHARE]
        return proposal.mask & union(behind, proposal.mask.shape)

    leaks = union((shared(p) for p in draft.proposals if is_thing(p.surface)), draft.unsure.shape)
    return draft.with_unsure(leaks)


def duplicate_tables(draft: Draft, _ontology: Ontology) -> Draft:
    """A table of which better ones have more than half is one of them, found twice."""
    taken = np.zeros_like(draft.unsure)
    doubles = []
    for table in draft.proposals:
        if is_thing(table.surface):
            if share_inside(thinned(table.mask), thinned(taken)) > 1 - LEAST_NEW_SHARE:
                doubles.append(table)
            else:
                taken |= table.mask
    return draft.without(doubles)


def low_scores(draft: Draft, ontology: Ontology) -> Draft:
    """Proposals are labels from the ontology's `accept`, in doubt from `unsure`, and dropped below."""
    sought = [(p, ontology.of(p.surface)) for p in draft.proposals if p.surface is not None]
    dropped = [p for p, limits in sought if p.score < limits.unsure]
    doubted = [p for p, limits in sought if limits.unsure <= p.score < limits.accept]
    return draft.without(dropped).doubting(doubted)


def wall_or_floor(draft: Draft, _ontology: Ontology) -> Draft:
    """Pixels that both wall and floor claim are unsure, except that a region swallowed by the other keeps its pixels.

    A mask that lies nearly whole in the other class's was drawn for less, so it is the other that leaked.
    """
    size_hw = draft.unsure.shape
    wall = union((p.mask for p in draft.of(WALL)), size_hw)
    floor = union((p.mask for p in draft.of(FLOOR)), size_hw)
    both = wall & floor
    if not both.any():
        return draft
    smaller, larger, leaked = (
        (wall, floor, FLOOR) if area(thinned(wall)) < area(thinned(floor)) else (floor, wall, WALL)
    )
    if share_inside(thinned(smaller), thinned(larger)) >= SWALLOWED_SHARE:
        return draft.with_masks(lambda p: p.mask & ~smaller if p.surface == leaked else p.mask)
    tables = union((p.mask for p in draft.proposals if is_thing(p.surface)), size_hw)
    return draft.with_unsure(both & ~tables)


def _rectangle(box_xyxy: Floats, size_hw: tuple[int, ...]) -> Mask:
    """The pixels of a box, rounded outwards."""
    left, top = np.maximum(np.floor(box_xyxy[:2]), 0).astype(int)
    right, bottom = np.maximum(np.ceil(box_xyxy[2:]), 0).astype(int)
    inside = np.zeros(size_hw, bool)
    inside[top:bottom, left:right] = True
    return inside
