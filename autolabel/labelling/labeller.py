"""One photo on its way from a teacher to its labels; what goes wrong is told of that photo alone."""

from __future__ import annotations

import hashlib
import json
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from autolabel.labelling.class_config import ClassConfig, default_class_config
from autolabel.labelling.photo_file import DecodedPhoto, FailedPhoto, FoundPhoto
from autolabel.labelling.quality import photo_qualities
from autolabel.rules.boxes import select_boxes
from autolabel.rules.candidates import Candidates
from autolabel.rules.overlaps import resolve_overlaps
from autolabel.rules.registry import BELIEF_RULES, PROPOSAL_RULES, RULES, apply_rules, require_rules
from autolabel.rules.semantic import draft_of_belief
from models.teachers.base import ChosenBox, InstancePrediction, Prediction, PromptedBoxes, SemanticPrediction
from surfaces.detections import Image
from surfaces.errors import MissingExtraError
from surfaces.store.label_store import LabelSettings
from surfaces.store.records import ScoredLabels

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

    class_config: ClassConfig = field(default_factory=default_class_config)
    without: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        require_rules(self.without)

    @property
    def fingerprint(self) -> str:
        """SHA-256 that changes whenever labels may."""
        rules = [name for name in RULES if name not in self.without]
        return hashlib.sha256(json.dumps([REVISION, self.class_config.fingerprint, rules]).encode()).hexdigest()

    def select_boxes(self, boxes: PromptedBoxes, size_hw: tuple[int, int]) -> list[ChosenBox]:
        """The box rules, as a teacher that draws masks for boxes is given them."""
        return select_boxes(boxes, size_hw, self.class_config, self.without)


def label_prediction(prediction: Prediction, size_hw: tuple[int, int], settings: LabellingSettings) -> ScoredLabels:
    """The labels that follow from an opinion on a photo of height and width `size_hw`."""
    class_config, without = settings.class_config, settings.without
    if prediction.semantic is not None:
        candidates = draft_of_belief(prediction.semantic, size_hw, class_config, without)
        candidates = apply_rules(candidates, BELIEF_RULES, class_config, without)
    else:
        candidates = draft_of_proposals(prediction.instances, size_hw)
        candidates = apply_rules(candidates, PROPOSAL_RULES, class_config, without)
    segments, ignore_mask = resolve_overlaps(candidates)
    quality_scores = photo_qualities(segments, ignore_mask, prediction.agreement)
    return ScoredLabels(
        segments, ignore_mask, quality_scores, in_bytes(prediction.semantic) if prediction.semantic else None
    )


def in_bytes(semantic: SemanticPrediction) -> npt.NDArray[np.uint8]:
    """A belief's probabilities as labels keep them: uint8 (4, h, w), 255 for certainty."""
    return np.rint(semantic.probabilities * 255).astype(np.uint8)


def draft_of_proposals(instances: tuple[InstancePrediction, ...], size_hw: tuple[int, int]) -> Candidates:
    """What a detector proposed, best first, its score among the qualities; empty masks are left out."""
    found = [replace(p, quality_scores={"detector": p.score, **p.quality_scores}) for p in instances if p.mask.any()]
    return Candidates(tuple(sorted(found, key=lambda p: -p.score)), np.zeros(size_hw, bool))


TEACHER_FAILED = "teacher failed"

R = TypeVar("R")


@dataclass(frozen=True)
class Labeller:
    """Makes labels; the same photo gives the same ones.

    Attributes:
        look: a teacher's opinion on a photo (uint8 HxWx3 RGB).
        settle: the labels that follow from it for a photo of this height and width; called from other threads.
        settings: what they are made with.
    """

    predict: Callable[[Image], Prediction]
    make_labels: Callable[[Prediction, tuple[int, int]], ScoredLabels]
    settings: LabelSettings


@dataclass(frozen=True, eq=False)
class PredictedPhoto:
    """A photo that the teacher has looked at.

    Attributes:
        found: where it comes from.
        opinion: the teacher's.
        size_hw: height and width in pixels.
    """

    found: FoundPhoto
    prediction: Prediction
    size_hw: tuple[int, int]


@dataclass(frozen=True, eq=False)
class LabelledPhoto:
    """A photo that can be stored.

    Attributes:
        found: where it comes from.
        labels: of its size.
    """

    found: FoundPhoto
    labels: ScoredLabels


def predict_photo(photo: DecodedPhoto | FailedPhoto, labeller: Labeller) -> PredictedPhoto | FailedPhoto:
    """Asks the teacher."""
    if isinstance(photo, FailedPhoto):
        return photo
    size_hw = (photo.image.shape[0], photo.image.shape[1])
    return _attempt(photo.found, lambda: PredictedPhoto(photo.found, labeller.predict(photo.image), size_hw))


def make_labels(photo: PredictedPhoto | FailedPhoto, labeller: Labeller) -> LabelledPhoto | FailedPhoto:
    """Makes the labels."""
    if isinstance(photo, FailedPhoto):
        return photo
    return _attempt(photo.found, lambda: LabelledPhoto(photo.found, _labels_of(photo, labeller)))


def _labels_of(photo: PredictedPhoto, labeller: Labeller) -> ScoredLabels:
    labels = labeller.make_labels(photo.prediction, photo.size_hw)
    if labels.ignore_mask.shape != photo.size_hw:
        raise ValueError(f"labels of {labels.ignore_mask.shape} for a photo of {photo.size_hw} rows, columns")
    return labels


def _attempt(found: FoundPhoto, make: Callable[[], R]) -> R | FailedPhoto:
    try:
        return make()
    except (MissingExtraError, ModuleNotFoundError):
        raise
    except Exception as error:  # a teacher may raise anything, and the next photo may do
        return FailedPhoto(found, TEACHER_FAILED, _reason(error))


def _reason(error: Exception) -> str:
    """What was raised and where, in one line."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    first_line = next(iter(str(error).splitlines()), "")[:200]
    return f"{type(error).__name__}: {first_line} ({Path(place.filename).name}:{place.lineno})"
