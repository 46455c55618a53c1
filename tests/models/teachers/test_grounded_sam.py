from __future__ import annotations

import dataclasses
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from segment_anything import sam_model_registry

from models.teachers.base import ChosenBox, Prompt, PromptedBoxes
from models.teachers.grounded_sam import GroundedSam, open_grounded_sam
from models.teachers.grounding_dino.checkpoint import dino_config
from models.teachers.grounding_dino.detector import DinoSettings, GroundingDino
from models.teachers.sam.prompts import SamSettings
from models.teachers.sam.segmenter import Sam
from models.weights.official import GROUNDING_DINO, SAM
from surfaces.classes import DINING_TABLE, FLOOR, WALL
from surfaces.detections import Image
from surfaces.errors import WeightsError
from surfaces.images.load import load_image
from tests.models.teachers.grounding_dino.tiny_dino import (
    RedFinder,
    original_network,
    vocabulary,
    write_official,
    write_tiny_folder,
    write_vocabulary,
)
from tests.models.teachers.sam.tiny_sam import PromptLog, as_taken, bright_sam, tiny_sam

PROMPTS = (Prompt("wall", WALL), Prompt("floor", FLOOR), Prompt("dining table", DINING_TABLE), Prompt("window", None))
BOXES = np.array(
    [
        [0, 0, 60, 60],  # wall
        [40, 10, 120, 70],  # wall, overlapping
        [150, 0, 200, 70],  # wall, apart
        [0, 70, 200, 100],  # floor
        [60, 50, 110, 95],  # table
        [10, 10, 40, 40],  # window
    ],
    np.float32,
)
OF_PROMPT = (0, 0, 0, 1, 2, 3)
SCORES = (0.5, 0.7, 0.3, 0.6, 0.8, 0.4)


class FakeDetector:
    """Finds the same boxes in every photo."""

    name = "fake"
    fingerprint = "0" * 64
    weights_sha256 = ""

    def __init__(self) -> None:
        self.asked: list[Sequence[Prompt]] = []

    def detect_batch(self, images: Sequence[Image], prompts: Sequence[Prompt]) -> list[PromptedBoxes]:
        self.asked.append(prompts)
        scores = np.zeros((len(BOXES), len(prompts)), np.float32)
        scores[range(len(BOXES)), OF_PROMPT] = SCORES
        return [PromptedBoxes(BOXES, scores, tuple(prompts))] * len(images)


def best_prompts(found: PromptedBoxes, size_hw: tuple[int, int]) -> list[ChosenBox]:
    """Each box for the prompt that it scores best for."""
    assert size_hw == (100, 200)
    best = found.scores.argmax(axis=1)
    return [
        ChosenBox(found.prompts[prompt], float(scores[prompt]), box)
        for prompt, scores, box in zip(best, found.scores, found.boxes_xyxy, strict=True)
    ]


def nothing(_: PromptedBoxes, __: tuple[int, int]) -> list[ChosenBox]:
    return []


def teacher(network: torch.nn.Module, select: Any = best_prompts, settings: SamSettings | None = None) -> GroundedSam:
    return GroundedSam(FakeDetector(), Sam(network), PROMPTS, select, settings)


@pytest.fixture
def photo() -> Image:
    return np.random.default_rng(0).integers(0, 256, (100, 200, 3), np.uint8)


@pytest.fixture
def bright_photo() -> Image:
    image = np.zeros((100, 200, 3), np.uint8)
    image[20:60, 50:150] = 255
    return image


def test_things_negative_boxes_and_regions_of_stuff_are_predicted(bright_photo: Image) -> None:
    prediction = teacher(bright_sam()).predict(bright_photo)
    found = [(p.surface, p.prompt, round(p.score, 3), p.box_xyxy.tolist()) for p in prediction.instances]
    assert found == [
        (DINING_TABLE, "dining table", 0.8, [60, 50, 110, 95]),
        (WALL, "wall", 0.7, [0, 0, 120, 70]),
        (FLOOR, "floor", 0.6, [0, 70, 200, 100]),
        (None, "window", 0.4, [10, 10, 40, 40]),
        (WALL, "wall", 0.3, [150, 0, 200, 70]),
    ]
    assert prediction.semantic is None
    for instance in prediction.instances:
        truth = bright_photo[..., 0] > 127
        assert instance.mask.shape == (100, 200)
        assert (instance.mask & truth).sum() / (instance.mask | truth).sum() > 0.96
        assert set(instance.quality_scores) == {"predicted_iou", "stability"}
        assert instance.quality_scores["predicted_iou"] == pytest.approx(0.9)
        assert 0.9 < instance.quality_scores["stability"] <= 1


def test_things_are_prompted_by_boxes_and_stuff_by_points(photo: Image) -> None:
    network = tiny_sam()
    log = PromptLog(network)
    teacher(network, settings=SamSettings(interior_points=2, negative_points=4, feedback_rounds=2)).predict(photo)
    stuff = [call for call in log.calls if call["points"] is not None]
    assert len(log.calls) - len(stuff) == 2
    assert len(stuff) == 3 * 3
    wall = stuff[0]["points"][1][0].tolist()
    assert wall.count(1) == 2
    assert wall.count(0) == 2  # the table, and the window that shall stay a hole
    assert [call["masks"] is None for call in stuff] == [True, False, False] * 3


def test_empty_masks_are_not_predicted() -> None:
    assert teacher(bright_sam()).predict(np.zeros((100, 200, 3), np.uint8)).instances == ()


def test_without_boxes_the_photo_is_not_encoded(photo: Image) -> None:
    network = tiny_sam()
    network.image_encoder.register_forward_hook(lambda *_: pytest.fail("encoded for nothing"))
    assert teacher(network, nothing).predict(photo).instances == ()


def test_predictions_are_deterministic(photo: Image) -> None:
    grounded = teacher(tiny_sam())
    first = grounded.predict(photo)
    grounded.predict(photo[::-1].copy())
    for one, other in zip(first.instances, grounded.predict(photo).instances, strict=True):
        np.testing.assert_array_equal(one.mask, other.mask)
        assert (one.surface, one.score, one.quality_scores) == (other.surface, other.score, other.quality_scores)


def test_the_detector_gets_all_prompts(photo: Image) -> None:
    detector = FakeDetector()
    GroundedSam(detector, Sam(tiny_sam()), PROMPTS, nothing).predict(photo)
    assert detector.asked == [PROMPTS]


def test_the_fingerprint_changes_with_the_predictions() -> None:
    network = tiny_sam()

    def fingerprint(
        detector: str = "0" * 64, sam: str = "1", prompts: tuple[Prompt, ...] = PROMPTS, **settings: Any
    ) -> str:
        fake = FakeDetector()
        fake.fingerprint = detector
        grounded = GroundedSam(fake, Sam(network, "sam", sam), prompts, best_prompts, SamSettings(**settings))
        assert grounded.name == "grounded-sam (fake, sam)"
        return grounded.fingerprint

    others = [
        fingerprint(detector="1" * 64),
        fingerprint(sam="2"),
        fingerprint(prompts=PROMPTS[1:]),
        fingerprint(prompts=(Prompt("wall", None), *PROMPTS[1:])),
    ]
    for field in dataclasses.fields(SamSettings):
        value = getattr(SamSettings(), field.name)
        others.append(fingerprint(**{field.name: not value if isinstance(value, bool) else value + 1}))
    assert fingerprint() == fingerprint()
    assert len({fingerprint(), *others}) == 1 + len(others)


def test_offline_without_weights_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        # A proxy that isn't there: nothing leaves the machine.
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{free.getsockname()[1]}")
    for name in ("NO_PROXY", "no_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(WeightsError) as caught:
        open_grounded_sam(PROMPTS, nothing, cache=tmp_path)
    for words in ("groundingdino_swint_ogc.pth", "https://github.com/IDEA-Research", str(tmp_path), "--weights"):
        assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def any_three(found: PromptedBoxes, _: tuple[int, int]) -> list[ChosenBox]:
    """The best boxes, as floor, table and window."""
    return [
        ChosenBox(prompt, float(scores.max()), box)
        for prompt, scores, box in zip(found.prompts[1:], found.scores, found.boxes_xyxy, strict=False)
    ]


def as_floor(found: PromptedBoxes, _: tuple[int, int]) -> list[ChosenBox]:
    return [ChosenBox(PROMPTS[1], 1.0, box) for box in found.boxes_xyxy]


@pytest.mark.parametrize(
    ("size_hw", "orientation"),
    [
        *(((120, 200), orientation) for orientation in range(1, 9)),
        *(((480, 640), 3), ((1500, 200), 6), ((64, 900), 7), ((17, 23), 6), ((1021, 767), 1)),
    ],
)
def test_boxes_and_masks_are_on_the_same_pixels_of_the_upright_photo(
    size_hw: tuple[int, int], orientation: int
) -> None:
    height, width = size_hw
    stored = np.zeros((height, width, 3), np.uint8)
    stored[height // 4 : height // 2, width // 3 : (width * 9) // 10, 0] = 255
    image = as_taken(stored, orientation)
    detector = GroundingDino(RedFinder(), vocabulary())
    (instance,) = GroundedSam(detector, Sam(bright_sam()), PROMPTS[:3], as_floor).predict(image).instances
    truth = image[..., 0] > 127
    assert instance.mask.shape == truth.shape == (size_hw if orientation < 5 else size_hw[::-1])
    assert (instance.mask & truth).sum() / (instance.mask | truth).sum() > 0.9
    rows, columns = np.nonzero(truth)
    tight = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    np.testing.assert_allclose(instance.box_xyxy, tight, atol=max(1.0, max(size_hw) / 200))


def test_real_networks_work_together(tmp_path: Path, room_path: Path) -> None:
    detector = GroundingDino.load(
        "swint", write_tiny_folder(tmp_path / "dino"), device="cpu", settings=DinoSettings(box_threshold=0.0)
    )
    prompts = (*PROMPTS[:3], Prompt("door", None))
    image = load_image(str(room_path))
    prediction = GroundedSam(detector, Sam(tiny_sam()), prompts, any_three).predict(image)
    assert {instance.prompt for instance in prediction.instances} <= {"floor", "dining table", "door"}
    assert prediction.instances
    for instance in prediction.instances:
        assert instance.mask.shape == image.shape[:2]
        assert instance.mask.any()


@pytest.mark.slow
def test_full_size_networks_open_from_their_official_files(tmp_path: Path, room_path: Path) -> None:
    write_official(original_network(dino_config("swint")), tmp_path / GROUNDING_DINO["swint"].name)
    torch.save(sam_model_registry["vit_b"]().state_dict(), tmp_path / SAM["vit_b"].name)
    write_vocabulary(tmp_path)
    prompts = (*PROMPTS[:3], Prompt("door", None))
    grounded = open_grounded_sam(
        prompts,
        any_three,
        weights=[tmp_path],
        cache=tmp_path / "cache",
        device="cpu",
        detector_settings=DinoSettings(box_threshold=0.0),
    )
    assert grounded.name == "grounded-sam (grounding-dino swint, sam vit_b)"
    image = load_image(str(room_path))
    for instance in grounded.predict(image).instances:
        assert instance.mask.shape == image.shape[:2]
    assert not (tmp_path / "cache").exists()
