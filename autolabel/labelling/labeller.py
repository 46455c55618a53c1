"""From a teacher's prediction to labels: the rules in their order, and the settings that labels depend on."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace

import numpy as np

from autolabel.labelling.class_config import ClassConfig, default_class_config
from autolabel.labelling.quality import agreement_with_scope, photo_quality
from autolabel.rules.boxes import BOX_RULES, select_boxes
from autolabel.rules.candidates import Candidates, resolve_overlaps
from autolabel.rules.image_level import SCOPE_RULES, contradicted, missing, without_classes
from autolabel.rules.masks import INSTANCE_RULES
from autolabel.rules.semantic import PIXEL_RULES, SEMANTIC_RULES, semantic_candidates
from models.teachers.base import ChosenBox, InstancePrediction, Prediction, PromptedBoxes
from surfaces.cli.settings_files import SettingsError, unknown_name
from surfaces.datasets.sample import ALL_LABELLED, LabelScope
from surfaces.store.records import ScoredLabels

REVISION = 1
"""Raised whenever the rules make other labels of the same prediction, class config and names of rules."""


RULES = tuple(dict.fromkeys([*BOX_RULES, *SCOPE_RULES, *INSTANCE_RULES, *PIXEL_RULES, *SEMANTIC_RULES]))
"""The names of all rules in their order; users can leave out any of them."""


@dataclass(frozen=True)
class LabellingSettings:
    """Everything that labels depend on besides photo and teacher.

    Attributes:
        class_config: classes, prompts and thresholds.
        without: names of rules that are left out.

    Raises:
        SettingsError: there is no rule of such a name.
    """

    class_config: ClassConfig = field(default_factory=default_class_config)
    without: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        for name in sorted(self.without):
            if name not in RULES:
                raise SettingsError(unknown_name("rule", name, RULES))

    @property
    def fingerprint(self) -> str:
        """SHA-256 that changes whenever labels may.

        Of the rules for image-level labels it has those that are left out, so that stores from before them resume.
        """
        rules = [name for name in RULES if (name in self.without) == (name in SCOPE_RULES)]
        return hashlib.sha256(json.dumps([REVISION, self.class_config.fingerprint, rules]).encode()).hexdigest()

    def select_boxes(self, boxes: PromptedBoxes, size_hw: tuple[int, int]) -> list[ChosenBox]:
        """Applies the box rules to a detector's boxes."""
        return select_boxes(boxes, size_hw, self.class_config, self.without)


def label_prediction(
    prediction: Prediction, size_hw: tuple[int, int], settings: LabellingSettings, scope: LabelScope = ALL_LABELLED
) -> ScoredLabels:
    """Applies the rules to a prediction for a photo of height and width `size_hw`.

    `scope` says which classes are known to be absent from the photo, or present.
    """
    config, without, semantic = settings.class_config, settings.without, prediction.semantic
    soft_labels = None
    if semantic is None:
        candidates, rules = _instance_candidates(prediction.instances, size_hw), INSTANCE_RULES
    else:
        candidates, rules = semantic_candidates(semantic, size_hw, config, without), SEMANTIC_RULES
    contradictions = contradicted(candidates, scope)
    if semantic is not None:
        removed = frozenset() if SCOPE_RULES.keys() & without else scope.absent - contradictions
        soft_labels = np.rint(without_classes(semantic.probabilities, removed) * 255).astype(np.uint8)
    for name, scope_rule in SCOPE_RULES.items():
        if name not in without:
            candidates = scope_rule(candidates, scope)
    for name, rule in rules.items():
        if name not in without:
            candidates = rule(candidates, config)
    segments, ignore_mask = resolve_overlaps(candidates)
    agreement = dict(prediction.agreement)
    if scope != ALL_LABELLED:
        agreement |= agreement_with_scope(contradictions | missing(segments, scope))
    return ScoredLabels(segments, ignore_mask, photo_quality(segments, ignore_mask, agreement), soft_labels, scope)


def _instance_candidates(instances: tuple[InstancePrediction, ...], size_hw: tuple[int, int]) -> Candidates:
    """The instances with a mask, best first, the detector's score among their quality scores."""
    found = [replace(p, quality_scores={"detector": p.score, **p.quality_scores}) for p in instances if p.mask.any()]
    return Candidates(tuple(sorted(found, key=lambda p: -p.score)), np.zeros(size_hw, bool))
