"""One photo in, its labels out: the teacher's opinion, the rules, and how far to trust the result."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from autolabel.ontology import Ontology, default_ontology
from autolabel.quality import photo_qualities
from autolabel.rules.boxes import select_boxes
from autolabel.rules.draft import Draft
from autolabel.rules.pixels import draft_of_belief
from autolabel.rules.registry import BELIEF_RULES, PROPOSAL_RULES, RULES, apply_rules, require_rules
from autolabel.rules.settling import settle
from models.teachers.boxes import ChosenBox, PromptedBoxes
from models.teachers.teacher import Belief, Opinion, Proposal
from surfaces.dataset.graded import GradedLabels

REVISION = 1
"""Raised whenever the rules give other labels for the same opinion, ontology and names."""


@dataclass(frozen=True)
class LabellingSettings:
    """What labels depend on besides photo and teacher.

    Attributes:
        ontology: classes, prompts and thresholds.
        without: names of rules that are left out.

    Raises:
        SettingsError: there is no rule of such a name.
    """

    ontology: Ontology = field(default_factory=default_ontology)
    without: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        require_rules(self.without)

    @property
    def fingerprint(self) -> str:
        """SHA-256 that changes whenever labels may."""
        rules = [name for name in RULES if name not in self.without]
        return hashlib.sha256(json.dumps([REVISION, self.ontology.fingerprint, rules]).encode()).hexdigest()

    def select_boxes(self, boxes: PromptedBoxes, size_hw: tuple[int, int]) -> list[ChosenBox]:
        """The box rules, as a teacher that draws masks for boxes is given them."""
        return select_boxes(boxes, size_hw, self.ontology, self.without)


def label_opinion(opinion: Opinion, size_hw: tuple[int, int], settings: LabellingSettings) -> GradedLabels:
    """The labels that follow from an opinion on a photo of height and width `size_hw`."""
    ontology, without = settings.ontology, settings.without
    if opinion.belief is not None:
        draft = draft_of_belief(opinion.belief, size_hw, ontology, without)
        draft = apply_rules(draft, BELIEF_RULES, ontology, without)
    else:
        draft = draft_of_proposals(opinion.proposals, size_hw)
        draft = apply_rules(draft, PROPOSAL_RULES, ontology, without)
    segments, unsure = settle(draft)
    qualities = photo_qualities(segments, unsure, opinion.agreement)
    return GradedLabels(segments, unsure, qualities, in_bytes(opinion.belief) if opinion.belief else None)


def in_bytes(belief: Belief) -> npt.NDArray[np.uint8]:
    """A belief's probabilities as labels keep them: uint8 (4, h, w), 255 for certainty."""
    return np.rint(belief.probabilities * 255).astype(np.uint8)


def draft_of_proposals(proposals: tuple[Proposal, ...], size_hw: tuple[int, int]) -> Draft:
    """What a detector proposed, best first, its score among the qualities; empty masks are left out."""
    found = [replace(p, qualities={"detector": p.score, **p.qualities}) for p in proposals if p.mask.any()]
    return Draft(tuple(sorted(found, key=lambda p: -p.score)), np.zeros(size_hw, bool))
