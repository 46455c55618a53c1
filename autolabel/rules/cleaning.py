"""Rules for any teacher's regions: specks, pinholes, implausible places and sizes."""

from __future__ import annotations

import cv2
import numpy as np

from autolabel.ontology import Ontology
from autolabel.rules.draft import Draft, union
from autolabel.rules.kinds import is_thing
from autolabel.rules.regions import cleaned, filled
from models.teachers.teacher import Proposal
from surfaces.classes import FLOOR
from surfaces.detections import Mask

SPECK_SHARE = 0.0005
PINHOLE_SHARE = 0.0001
LOWEST_CEILING = 0.5
"""Of the photo's height."""


def pinholes(draft: Draft, _ontology: Ontology) -> Draft:
    """Holes too small to be a thing's are filled; windows, sockets and pictures stay holes."""
    return draft.with_masks(lambda p: p.mask if p.surface is None else filled(p.mask, PINHOLE_SHARE))


def specks(draft: Draft, _ontology: Ontology) -> Draft:
    """Connected parts too small to tell what they are become unsure, where no other proposal has them."""
    kept = draft.with_masks(lambda p: p.mask if p.surface is None else cleaned(p.mask, SPECK_SHARE))
    return kept.with_unsure(_covered(draft) & ~_covered(kept))


def ceiling_as_floor(draft: Draft, _ontology: Ontology) -> Draft:
    """Floor that hangs from the photo's upper edge and ends in its upper half is unsure: it may be a ceiling.

    Floor lies below the horizon, and the horizon of a photo of a room below the photo's upper edge.
    """
    kept = draft.with_masks(lambda p: p.mask & ~_hanging(p.mask) if p.surface == FLOOR else p.mask)
    return kept.with_unsure(_covered(draft) & ~_covered(kept))


def _hanging(mask: Mask) -> Mask:
    if not mask[0].any():
        return np.zeros_like(mask)
    _, parts, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    top, height = stats[:, cv2.CC_STAT_TOP], stats[:, cv2.CC_STAT_HEIGHT]
    hanging = (top == 0) & (height <= LOWEST_CEILING * mask.shape[0])
    hanging[0] = False
    found: Mask = hanging[parts]
    return found


def area_limits(draft: Draft, ontology: Ontology) -> Draft:
    """A segment that covers less or more of the photo than its class can is in doubt; unsure pixels do not count."""
    sure = ~draft.unsure
    doubted: list[Proposal] = []
    for sought in ontology.classes:
        found = draft.of(sought.surface)
        for segment in [[proposal] for proposal in found] if is_thing(sought.surface) else [found]:
            share = np.count_nonzero(union((p.mask for p in segment), sure.shape) & sure) / sure.size
            if not sought.least_share <= share <= sought.most_share:
                doubted += segment
    return draft.doubting(doubted)


def _covered(draft: Draft) -> Mask:
    """Where any class is."""
    return union((p.mask for p in draft.proposals if p.surface is not None), draft.unsure.shape)
