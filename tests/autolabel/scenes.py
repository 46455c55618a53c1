"""Rooms drawn by hand, and predictions of detectors and semantic networks for them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from autolabel.labelling.class_config import default_class_config
from autolabel.labelling.labeller import LabellingSettings, label_prediction
from autolabel.rules.boxes import select_boxes
from models.teachers.base import Floats, InstancePrediction, Prediction, PromptedBoxes, SemanticPrediction
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


def instance(
    surface: SurfaceClass | None, mask: Mask, score: float = 0.8, box: Box | None = None, **quality_scores: float
) -> InstancePrediction:
    """SAM's mask for a box, by default its tight box."""
    box_xyxy = box_of_mask(mask) if box is None else np.array(box, np.float32)
    return InstancePrediction(surface, surface.name if surface else "negative", score, box_xyxy, mask, quality_scores)


def wall(mask: Mask = WALL_MASK, score: float = 0.8, box: Box | None = None) -> InstancePrediction:
    return instance(WALL, mask, score, box)


def floor(mask: Mask = FLOOR_MASK, score: float = 0.8, box: Box | None = None) -> InstancePrediction:
    return instance(FLOOR, mask, score, box)


def table(mask: Mask = TABLE_MASK, score: float = 0.8, box: Box | None = None) -> InstancePrediction:
    return instance(DINING_TABLE, mask, score, box)


def negative(mask: Mask, score: float = 0.8) -> InstancePrediction:
    return instance(None, mask, score)


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
    probabilities: Floats = semantic.probabilities.copy()
    probabilities[:, mask] = (1 - probability) / 3
    probabilities[surface.coco_id][mask] = probability
    return SemanticPrediction(probabilities, semantic.disagreement)


def masks_of(labels: ScoredLabels, surface: SurfaceClass) -> list[Mask]:
    return [s.detection.mask for s in labels.segments if s.detection.surface == surface]


def mask_of(labels: ScoredLabels, surface: SurfaceClass) -> Mask:
    """All pixels of a class."""
    return np.any([np.zeros(labels.ignore_mask.shape, bool), *masks_of(labels, surface)], axis=0)


NONE = np.zeros(SIZE_HW, bool)


def check(
    labels: ScoredLabels, wall: Mask = NONE, floor: Mask = NONE, table: Mask = NONE, ignored: Mask = NONE
) -> None:
    """Compares the pixels of each class and the ignored ones."""
    check_invariants(labels)
    for surface, expected in ((WALL, wall), (FLOOR, floor), (DINING_TABLE, table)):
        np.testing.assert_array_equal(mask_of(labels, surface), expected, surface.name)
    np.testing.assert_array_equal(labels.ignore_mask, ignored, "ignored")


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
    columns = {prompt.text: index for index, prompt in enumerate(prompts)}
    scores = np.zeros((len(found), len(prompts)), np.float32)
    for row, (_, by_text) in enumerate(found):
        for text, score in by_text.items():
            scores[row, columns[text]] = score
    return PromptedBoxes(np.array([box for box, _ in found], np.float32).reshape(-1, 4), scores, prompts)


def chosen(*found: tuple[Box, dict[str, float]], without: Iterable[str] = ()) -> list[tuple[str, float, Box]]:
    """The boxes after the rules: prompt, score (two decimals), box."""
    boxes = select_boxes(found_boxes(*found), SIZE_HW, default_class_config(), frozenset(without))
    return [(box.prompt.text, round(box.score, 2), tuple(box.box_xyxy.tolist())) for box in boxes]
