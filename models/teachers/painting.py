"""What a detector proposes as a belief, so that it can be averaged with the beliefs of semantic networks."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np

from models.teachers.teacher import Belief, Floats, Proposal
from surfaces.classes import CLASSES, OTHER, STUFF


def painted_belief(proposals: Iterable[Proposal], size_hw: tuple[int, int]) -> Belief:
    """Paints proposals over each other: walls and floors first, then things and what negative prompts found.

    Among each of the two the surest comes last, so that it lies on top. Inside a proposal its class has the score as
    probability and `other` the rest; where nothing is proposed `other` is sure. Along the edge of a mask, pixels of
    the belief are mixed by the share that the mask covers.

    Args:
        proposals: regions of one photo.
        size_hw: rows and columns of the belief.

    Returns:
        The belief, without disagreement.
    """
    probabilities = np.zeros((1 + len(CLASSES), *size_hw), np.float32)
    probabilities[OTHER] = 1
    for proposal in sorted(proposals, key=_paints_over):
        cover = _cover(proposal, size_hw)
        probabilities *= 1 - cover
        if proposal.surface is None:
            probabilities[OTHER] += cover
        else:
            probabilities[OTHER] += (1 - proposal.score) * cover
            probabilities[proposal.surface.coco_id] += proposal.score * cover
    return Belief(probabilities, np.zeros(size_hw, np.float32))


def _paints_over(proposal: Proposal) -> tuple[bool, float]:
    return proposal.surface not in STUFF, proposal.score


def _cover(proposal: Proposal, size_hw: tuple[int, int]) -> Floats:
    """The share of each of the belief's pixels that a proposal's mask covers, float32 (h, w)."""
    shrinks = proposal.mask.shape[0] > size_hw[0] or proposal.mask.shape[1] > size_hw[1]
    cover = cv2.resize(
        proposal.mask.astype(np.uint8) * 255,
        (size_hw[1], size_hw[0]),
        interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_NEAREST,
    )
    return np.asarray(cover, np.float32) / np.float32(255)
