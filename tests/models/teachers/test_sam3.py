"""The teacher of SAM 3: its instances by hand, on a network that finds what it is told to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from models.teachers.base import ChosenBox, Prompt, PromptedBoxes, PromptError
from models.teachers.sam.sam3 import ConceptInstances, Sam3
from models.teachers.sam3 import Sam3Teacher
from surfaces.classes import DINING_TABLE, FLOOR, WALL
from surfaces.detections import Image, Mask
from tests.models.teachers.sam.tiny_sam3 import write_sam3

PROMPTS = (Prompt("wall", WALL), Prompt("floor", FLOOR), Prompt("dining table", DINING_TABLE), Prompt("desk", None))
IMAGE = np.zeros((100, 200, 3), np.uint8)

FOUND: dict[str, list[tuple[float, tuple[int, int, int, int]]]] = {
    "wall": [(0.5, (0, 0, 60, 60)), (0.7, (40, 10, 120, 70)), (0.3, (150, 0, 200, 70))],  # two overlap
    "floor": [(0.6, (0, 70, 200, 100))],
    "dining table": [(0.8, (60, 50, 110, 95)), (0.4, (60, 50, 112, 95))],
    "desk": [(0.4, (10, 10, 40, 40))],
}


class FakeSam3:
    """Finds the same instances in every photo; each fills its box."""

    weights_sha256 = "1"

    def __init__(self) -> None:
        self.encoded: list[int] = []

    def token_ids(self, texts: Sequence[str]) -> list[list[int]]:
        return [[list(FOUND).index(text)] for text in texts]

    def encode_batch(self, images: Sequence[Image]) -> list[FakeSam3]:
        self.encoded.append(len(images))
        return [self] * len(images)

    def find(self, token_ids: Sequence[int], threshold: float) -> ConceptInstances:
        found = [(score, box) for score, box in list(FOUND.values())[token_ids[0]] if score > threshold]
        masks = np.zeros((len(found), 100, 200), np.float32)
        for mask, (_, (left, top, right, bottom)) in zip(masks, found, strict=True):
            mask[top:bottom, left:right] = 1
        boxes = np.array([box for _, box in found], np.float32).reshape(-1, 4)
        return ConceptInstances(np.array([score for score, _ in found], np.float32), boxes, masks)

    def mask(self, probabilities: np.ndarray) -> Mask:
        return probabilities > 0.5


def every(boxes: PromptedBoxes, _: tuple[int, int]) -> list[ChosenBox]:
    best = boxes.scores.argmax(axis=1)
    return [
        ChosenBox(boxes.prompts[prompt], float(scores[prompt]), box)
        for prompt, scores, box in zip(best, boxes.scores, boxes.boxes_xyxy, strict=True)
    ]


def box_mask(*boxes: tuple[int, int, int, int]) -> Mask:
    mask = np.zeros((100, 200), bool)
    for left, top, right, bottom in boxes:
        mask[top:bottom, left:right] = True
    return mask


def test_overlapping_masks_of_stuff_are_one_region() -> None:
    sam3 = FakeSam3()
    prediction = Sam3Teacher(sam3, PROMPTS, every).predict(IMAGE)
    found = [(p.surface, p.prompt, round(p.score, 3), p.box_xyxy.tolist()) for p in prediction.instances]
    assert found == [
        (DINING_TABLE, "dining table", 0.8, [60, 50, 110, 95]),
        (WALL, "wall", 0.7, [0, 0, 120, 70]),
        (FLOOR, "floor", 0.6, [0, 70, 200, 100]),
        (DINING_TABLE, "dining table", 0.4, [60, 50, 112, 95]),
        (None, "desk", 0.4, [10, 10, 40, 40]),
        (WALL, "wall", 0.3, [150, 0, 200, 70]),
    ]
    np.testing.assert_array_equal(prediction.instances[1].mask, box_mask((0, 0, 60, 60), (40, 10, 120, 70)))
    np.testing.assert_array_equal(prediction.instances[0].mask, box_mask((60, 50, 110, 95)))
    assert sam3.encoded == [1]


def test_only_what_is_chosen_is_drawn() -> None:
    def tables(boxes: PromptedBoxes, size_hw: tuple[int, int]) -> list[ChosenBox]:
        assert size_hw == (100, 200)
        # The rules may lower a score.
        return [ChosenBox(b.prompt, 0.1, b.box_xyxy) for b in every(boxes, size_hw) if b.prompt.surface == DINING_TABLE]

    prediction = Sam3Teacher(FakeSam3(), PROMPTS, tables).predict(IMAGE)
    assert [(p.score, p.box_xyxy[2]) for p in prediction.instances] == [(0.1, 110), (0.1, 112)]
    np.testing.assert_array_equal(prediction.instances[1].mask, box_mask((60, 50, 112, 95)))
    assert Sam3Teacher(FakeSam3(), PROMPTS, lambda *_: []).predict(IMAGE).instances == ()


def test_its_licence() -> None:
    stated = [str(licence) for licence in Sam3Teacher(FakeSam3(), PROMPTS, every).licences]
    assert stated == ["facebook/sam3: SAM License (commercial use: unknown)"]


def test_the_fingerprint_changes_with_weights_and_prompts(tmp_path: Path) -> None:
    weights = [Sam3.load(write_sam3(tmp_path / str(seed), seed), "cpu") for seed in (0, 1)]
    teachers = [
        Sam3Teacher(weights[0], PROMPTS, every),
        Sam3Teacher(weights[1], PROMPTS, every),
        Sam3Teacher(weights[0], PROMPTS[1:], every),
        Sam3Teacher(weights[0], (Prompt("wall", None), *PROMPTS[1:]), every),
    ]
    assert len({teacher.fingerprint for teacher in teachers}) == 4
    assert Sam3Teacher(weights[0], PROMPTS, every).fingerprint == teachers[0].fingerprint
    assert {teacher.name for teacher in teachers} == {"sam3"}
    with pytest.raises(PromptError, match=r"\Aexpected prompts of at most 32 tokens, .*\Z"):
        Sam3Teacher(weights[0], [Prompt("w" * 40, WALL)], every)
