"""Labels in the making: what the rules work on."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace

import numpy as np

from autolabel.ontology import Ontology
from models.teachers.teacher import Proposal
from surfaces.classes import SurfaceClass
from surfaces.detections import Mask


@dataclass(frozen=True, eq=False)
class Draft:
    """Regions of one photo that may still overlap.

    Attributes:
        proposals: what is held to be there, best first; those of negative prompts have no class.
        unsure: bool HxW, pixels that nobody vouches for, whatever the proposals say.
        doubtful: proposals that are not labels but may be right: their pixels become unsure where no proposal has them;
            those of a doubtful thing also where wall or floor have them, since it may stand in front.
    """

    proposals: tuple[Proposal, ...]
    unsure: Mask
    doubtful: tuple[Proposal, ...] = ()

    def of(self, surface: SurfaceClass) -> list[Proposal]:
        """The proposals of a class."""
        return [proposal for proposal in self.proposals if proposal.surface == surface]

    def with_masks(self, mask_of: Callable[[Proposal], Mask]) -> Draft:
        """The draft with other masks; proposals whose new mask is empty are left out."""
        changed = ((proposal, mask_of(proposal)) for proposal in self.proposals)
        return replace(self, proposals=tuple(with_mask(old, mask) for old, mask in changed if mask.any()))

    def without(self, dropped: Collection[Proposal]) -> Draft:
        """The draft without some of its proposals."""
        gone = {id(proposal) for proposal in dropped}
        return replace(self, proposals=tuple(p for p in self.proposals if id(p) not in gone))

    def doubting(self, doubted: Collection[Proposal]) -> Draft:
        """The draft in which some of its proposals are doubtful."""
        return replace(self.without(doubted), doubtful=(*self.doubtful, *doubted))

    def with_unsure(self, mask: Mask) -> Draft:
        """The draft with more unsure pixels."""
        return replace(self, unsure=self.unsure | mask)


MaskRule = Callable[[Draft, Ontology], Draft]


def with_mask(proposal: Proposal, mask: Mask) -> Proposal:
    """The proposal with another mask, or itself where the mask is its own."""
    return proposal if mask is proposal.mask else replace(proposal, mask=mask)


def union(masks: Iterable[Mask], size_hw: tuple[int, ...]) -> Mask:
    """Where any of the masks (bool HxW) is."""
    whole = np.zeros(size_hw, bool)
    for mask in masks:
        whole |= mask
    return whole
