"""Rooms drawn by hand, and predictions of detectors and semantic networks for them."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import numpy as np

from autolabel.labelling.class_config import default_class_config
from autolabel.labelling.labeller import LabellingSettings, label_prediction
from autolabel.rules.boxes import select_boxes
from models.teachers.base import InstancePrediction, Prediction, PromptedBoxes, SemanticPrediction
from surfaces.classes import BY_ID, DINING_TABLE, FLOOR, IGNORE, WALL, SurfaceClass
from surfaces.detections import Mask, box_of_mask
from surfaces.store.records import ScoredLabels

SIZE_HW = (240, 320)
Box = tuple[float, float, float, float]

WALL_BOX: Box = (0, 0, 320, 140)
FLOOR_BOX: Box = (0, 140, 320, 240)
TABLE_BOX: Box = (100, 120, 200, 200)


def rectangle(box: Box, size_hw: tuple[int, int] = SIZE_HW) -> Mask:
    left, top, right, bottom = map(round, box)
    inside = np.zeros(size_hw, bool)
    inside[top:bottom, left:right] = True
    return inside


WALL_MASK = rectangle(WALL_BOX)
FLOOR_MASK = rectangle(FLOOR_BOX)
TABLE_MASK = rectangle(TABLE_BOX)
NONE = np.zeros(SIZE_HW, bool)
MASKS = {WALL: WALL_MASK, FLOOR: FLOOR_MASK, DINING_TABLE: TABLE_MASK, None: ~NONE}


def instance(
    surface: SurfaceClass | None,
    mask: Mask | None = None,
    score: float = 0.8,
    box: Box | None = None,
    **quality_scores: float,
) -> InstancePrediction:
    """SAM's mask for a box, by default its tight box."""
    mask = MASKS[surface] if mask is None else mask
    box_xyxy = box_of_mask(mask) if box is None else np.array(box, np.float32)
    return InstancePrediction(surface, surface.name if surface else "negative", score, box_xyxy, mask, quality_scores)


wall, floor, table, negative = (partial(instance, surface) for surface in MASKS)


def labelled(*instances: InstancePrediction, without: Iterable[str] = ()) -> ScoredLabels:
    """The labels of instances, with the shipped class config and all rules but some."""
    return label_prediction(Prediction(instances), SIZE_HW, LabellingSettings(without=frozenset(without)))


def labelled_semantic(
    semantic: SemanticPrediction, without: Iterable[str] = (), size_hw: tuple[int, int] = SIZE_HW
) -> ScoredLabels:
    return label_prediction(Prediction(semantic=semantic), size_hw, LabellingSettings(without=frozenset(without)))


def semantic_of(
    regions: dict[SurfaceClass, Mask], probability: float = 0.9, disagreement: float | Mask = 0.0
) -> SemanticPrediction:
    """A class has a probability in its region, "other" has it elsewhere; the others share the rest evenly."""
    shape = next(iter(regions.values())).shape
    probabilities = np.full((4, *shape), (1 - probability) / 3, np.float32)
    for surface, mask in regions.items():
        probabilities[surface.coco_id][mask] = probability
    probabilities[0][~np.any(list(regions.values()), axis=0)] = probability
    return SemanticPrediction(probabilities, np.broadcast_to(np.float32(disagreement), shape).astype(np.float32))


def with_probability(
    semantic: SemanticPrediction, surface: SurfaceClass, mask: Mask, probability: float
) -> SemanticPrediction:
    """The prediction with another probability of a class inside a mask."""
    probabilities = semantic.probabilities.copy()
    probabilities[:, mask] = (1 - probability) / 3
    probabilities[surface.coco_id][mask] = probability
    return SemanticPrediction(probabilities, semantic.disagreement)


def masks_of(labels: ScoredLabels, surface: SurfaceClass) -> list[Mask]:
    return [s.detection.mask for s in labels.segments if s.detection.surface == surface]


def check(
    labels: ScoredLabels, wall: Mask = NONE, floor: Mask = NONE, table: Mask = NONE, ignored: Mask = NONE
) -> None:
    """Compares the pixels of each class and the ignored ones."""
    check_invariants(labels)
    semantic = labels.labels().semantic
    for value, expected in ((1, wall), (2, floor), (3, table), (IGNORE, ignored)):
        np.testing.assert_array_equal(semantic == value, expected, str(value))


def check_invariants(labels: ScoredLabels) -> None:
    """Properties of the labels of every photo."""
    taken = labels.ignore_mask.copy()
    for segment in labels.segments:
        found = segment.detection
        assert found.mask.any()
        assert not (taken & found.mask).any()
        assert np.array_equal(found.box_xyxy, box_of_mask(found.mask))
        assert 0 <= found.score <= 1
        assert all(0 <= value <= 1 for value in segment.quality_scores.values())
        taken |= found.mask
    ids = [s.detection.surface.coco_id for s in labels.segments]
    assert ids == sorted(ids)
    assert all(ids.count(number) <= 1 for number in ids if not BY_ID[number].is_thing)
    tables = [s.detection.score for s in labels.segments if s.detection.surface.is_thing]
    assert tables == sorted(tables, reverse=True)
    assert all(0 <= value <= 1 for value in labels.quality_scores.values())
    assert np.array_equal(labels.labels().semantic == IGNORE, labels.ignore_mask)


def found_boxes(*found: tuple[Box, dict[str, float]]) -> PromptedBoxes:
    """A detector's boxes, each with scores by prompt."""
    prompts = default_class_config().prompts()
    scores = [[by_text.get(prompt.text, 0.0) for prompt in prompts] for _, by_text in found]
    boxes_xyxy = np.array([box for box, _ in found], np.float32).reshape(-1, 4)
    return PromptedBoxes(boxes_xyxy, np.array(scores, np.float32).reshape(-1, len(prompts)), prompts)


def chosen(*found: tuple[Box, dict[str, float]], without: Iterable[str] = ()) -> list[tuple[str, float, Box]]:
    """The boxes after the rules: prompt, score (two decimals), box."""
    boxes = select_boxes(found_boxes(*found), SIZE_HW, default_class_config(), frozenset(without))
    return [(box.prompt.text, round(box.score, 2), tuple(box.box_xyxy.tolist())) for box in boxes]
