"""Labels in the making: what the rules work on."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace

import numpy as np

from autolabel.labelling.class_config import ClassConfig
from models.teachers.base import InstancePrediction
from surfaces.classes import SurfaceClass
from surfaces.detections import Mask


def is_thing(surface: SurfaceClass | None) -> bool:
    """Whether regions of it are told apart; None is what a negative prompt found."""
    return surface is not None and surface.is_thing


def is_stuff(surface: SurfaceClass | None) -> bool:
    """Whether all of it in a photo is one region; None is what a negative prompt found."""
    return surface is not None and not surface.is_thing


@dataclass(frozen=True, eq=False)
class Candidates:
    """Regions of one photo that may still overlap.

    Attributes:
        proposals: what is held to be there, best first; those of negative prompts have no class.
        unsure: bool HxW, pixels that nobody vouches for, whatever the proposals say.
        doubtful: proposals that are not labels but may be right: their pixels become unsure where no proposal has them;
            those of a doubtful thing also where wall or floor have them, since it may stand in front.
    """

    instances: tuple[InstancePrediction, ...]
    ignore_mask: Mask
    low_confidence: tuple[InstancePrediction, ...] = ()

    def of(self, surface: SurfaceClass) -> list[InstancePrediction]:
        """The proposals of a class."""
        return [instance for instance in self.instances if instance.surface == surface]

    def with_masks(self, mask_of: Callable[[InstancePrediction], Mask]) -> Candidates:
        """The draft with other masks; proposals whose new mask is empty are left out."""
        changed = ((instance, mask_of(instance)) for instance in self.instances)
        return replace(self, instances=tuple(with_mask(old, mask) for old, mask in changed if mask.any()))

    def without(self, dropped: Collection[InstancePrediction]) -> Candidates:
        """The draft without some of its proposals."""
        gone = {id(instance) for instance in dropped}
        return replace(self, instances=tuple(p for p in self.instances if id(p) not in gone))

    def doubting(self, doubted: Collection[InstancePrediction]) -> Candidates:
        """The draft in which some of its proposals are doubtful."""
        return replace(self.without(doubted), low_confidence=(*self.low_confidence, *doubted))

    def with_ignored(self, mask: Mask) -> Candidates:
        """The draft with more unsure pixels."""
        return replace(self, ignore_mask=self.ignore_mask | mask)


MaskRule = Callable[[Candidates, ClassConfig], Candidates]


def with_mask(instance: InstancePrediction, mask: Mask) -> InstancePrediction:
    """The proposal with another mask, or itself where the mask is its own."""
    return instance if mask is instance.mask else replace(instance, mask=mask)


def union(masks: Iterable[Mask], size_hw: tuple[int, ...]) -> Mask:
    """Where any of the masks (bool HxW) is."""
    whole = np.zeros(size_hw, bool)
    for mask in masks:
        whole |= mask
    return whole
