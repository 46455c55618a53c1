"""Several photos at once: each teacher predicts what it predicts for each alone, in fewer passes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.teachers.base import BatchTeacher, ChosenBox, Prediction, Prompt, PromptedBoxes, Teacher
from models.teachers.batches import predict_all, run_in_groups
from models.teachers.ensemble import Ensemble
from models.teachers.grounded_sam import GroundedSam
from models.teachers.grounding_dino.detector import DinoSettings, GroundingDino, Implementation
from models.teachers.huggingface.semantic import open_huggingface
from models.teachers.onnx_semantic import OnnxSemantic
from models.teachers.sam.photo import PromptableSegmenter
from models.teachers.sam.prompts import SamPrompt
from models.teachers.sam.sam2 import Sam2
from models.teachers.sam.sam3 import Sam3
from models.teachers.sam.segmenter import Sam
from models.teachers.sam3 import Sam3Teacher
from models.teachers.student import StudentTeacher
from surfaces.classes import DINING_TABLE, FLOOR, WALL
from surfaces.detections import Image
from tests.models.teachers.grounding_dino.tiny_dino import write_official_folder, write_tiny_folder
from tests.models.teachers.huggingface.checkpoints import KINDS, save_checkpoint
from tests.models.teachers.networks import write_network
from tests.models.teachers.sam.tiny_sam import tiny_sam
from tests.models.teachers.sam.tiny_sam2 import tiny_sam2
from tests.models.teachers.sam.tiny_sam3 import write_sam3
from tests.models.teachers.test_semantic_teachers import class_map

PROMPTS = (Prompt("wall", WALL), Prompt("floor", FLOOR), Prompt("dining table", DINING_TABLE), Prompt("rug", None))
SIZES = ((90, 130), (100, 80), (90, 130), (64, 64), (90, 130))


@pytest.fixture(scope="module")
def images() -> list[Image]:
    """Five photos of three sizes."""
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (*size, 3), np.uint8) for size in SIZES]


def passes_of(module: torch.nn.Module) -> list[int]:
    """The number of photos or patches of each pass through a module, as they come."""
    sizes: list[int] = []

    def note(_: object, positional: tuple[Any, ...], named: dict[str, Any]) -> None:
        sizes.append(len(positional[0] if positional else named["pixel_values"]))

    module.register_forward_pre_hook(note, with_kwargs=True)
    return sizes


def check_equal(alone: Sequence[Prediction], together: Sequence[Prediction], atol: float = 1e-5) -> None:
    assert len(alone) == len(together)
    for one, other in zip(alone, together, strict=True):
        assert one.agreement == pytest.approx(other.agreement)
        assert (one.semantic is None) == (other.semantic is None)
        if one.semantic and other.semantic:
            np.testing.assert_allclose(other.semantic.probabilities, one.semantic.probabilities, atol=atol)
        assert len(one.instances) == len(other.instances)
        for mine, its in zip(one.instances, other.instances, strict=True):
            assert (mine.surface, mine.prompt, mine.mask.shape) == (its.surface, its.prompt, its.mask.shape)
            assert its.score == pytest.approx(mine.score, abs=1e-4)
            np.testing.assert_allclose(its.box_xyxy, mine.box_xyxy, atol=0.05)
            union = np.count_nonzero(mine.mask | its.mask)
            assert np.count_nonzero(mine.mask & its.mask) >= 0.999 * union


def both_ways(teacher: Teacher, images: Sequence[Image]) -> tuple[list[Prediction], list[Prediction]]:
    assert isinstance(teacher, BatchTeacher)
    return [teacher.predict(image) for image in images], predict_all(teacher, images)


@given(st.lists(st.integers(0, 3)))
def test_results_are_in_the_order_of_the_items(keys: list[int]) -> None:
    groups: list[Sequence[int]] = []

    def run(group: Sequence[int]) -> list[str]:
        groups.append(group)
        return [f"{keys[index]} {index}" for index in group]

    assert run_in_groups(keys, run) == [f"{key} {index}" for index, key in enumerate(keys)]
    assert len(groups) == len(set(keys))


@pytest.mark.parametrize("kind", KINDS)
def test_networks_of_the_hub(tmp_path: Path, images: list[Image], kind: str) -> None:
    teacher = open_huggingface(str(save_checkpoint(tmp_path / kind, kind, ("wall", "floor, flooring", "table"))))
    alone = [teacher.predict(image) for image in images]
    passes = passes_of(teacher._network)
    check_equal(alone, teacher.predict_batch(images), atol=2e-4)
    assert len(passes) in (1, 3)  # processors that keep the photo's shape give three sizes
    assert max(passes) >= 3


@pytest.mark.parametrize(("batch", "passes"), [(1, 5), ("photos", 1)])
def test_files_of_onnx(tmp_path: Path, images: list[Image], batch: int | str, passes: int) -> None:
    path = write_network(tmp_path / "colours.onnx", (6, 8), batch=batch)
    teacher = OnnxSemantic(path, class_map())
    calls = []
    run = teacher._session.run
    teacher._session = type("Session", (), {"run": lambda _, *given: calls.append(given) or run(*given)})()
    check_equal([teacher.predict(image) for image in images], teacher.predict_batch(images), atol=1e-6)
    assert len(calls) == len(images) + passes


@pytest.mark.parametrize("implementation", ["transformers", "groundingdino-py"])
def test_boxes_of_grounding_dino(tmp_path: Path, images: list[Image], implementation: Implementation) -> None:
    settings = DinoSettings(box_threshold=0.0, shortest_side=64, longest_side=96)
    if implementation == "transformers":
        weights = write_tiny_folder(tmp_path)
    else:
        pytest.importorskip("groundingdino", reason="groundingdino-py is not installed")
        weights = write_official_folder(tmp_path, "official.pth") / "official.pth"
    detector = GroundingDino.load("swint", weights, settings=settings, implementation=implementation)
    alone = [detector.detect(image, PROMPTS) for image in images]
    together = detector.detect_batch(images, PROMPTS)
    for one, other in zip(alone, together, strict=True):
        assert len(one.scores) > 1
        np.testing.assert_allclose(other.scores, one.scores, atol=1e-4)
        np.testing.assert_allclose(other.boxes_xyxy, one.boxes_xyxy, atol=0.05)


def _sam() -> tuple[PromptableSegmenter, torch.nn.Module]:
    network = tiny_sam()
    return Sam(network), network.image_encoder


def _sam2() -> tuple[PromptableSegmenter, torch.nn.Module]:
    network = tiny_sam2()
    return Sam2(network), network.vision_encoder


@pytest.mark.parametrize(("make", "passes"), [(_sam, [3, 1, 1]), (_sam2, [5])])
def test_photos_of_sam(
    images: list[Image], make: Callable[[], tuple[PromptableSegmenter, torch.nn.Module]], passes: list[int]
) -> None:
    sam, encoder = make()
    prompt = SamPrompt(np.array([10, 15, 50, 55], np.float32), np.array([[30, 30]], np.float32), np.array([True]))
    alone = [sam.encode(image).candidates(prompt, several=True) for image in images]
    seen = passes_of(encoder)
    together = [photo.candidates(prompt, several=True) for photo in sam.encode_batch(images)]
    assert seen == passes
    for one, other, size in zip(alone, together, SIZES, strict=True):
        for mine, its in zip(one, other, strict=True):
            assert its.mask.shape == size
            np.testing.assert_allclose(its.low_res_logits, mine.low_res_logits, atol=1e-3)
            assert its.predicted_iou == pytest.approx(mine.predicted_iou, abs=1e-4)
    assert sam.encode_batch([]) == []


class _Boxes:
    """Finds a table in the middle of each photo that is wider than high."""

    name, fingerprint, weights_sha256 = "boxes", "1", "1"

    def detect_batch(self, images: Sequence[Image], prompts: Sequence[Prompt]) -> list[PromptedBoxes]:
        scores = np.array([[0.0, 0.0, 0.9, 0.0]], np.float32)
        shapes = [image.shape for image in images]
        return [
            PromptedBoxes(np.array([[w // 4, h // 4, w // 2, h // 2]], np.float32), scores, tuple(prompts))
            for h, w, _ in shapes
        ]


def _wide(found: PromptedBoxes, size_hw: tuple[int, int]) -> list[ChosenBox]:
    return [ChosenBox(PROMPTS[2], 0.9, found.boxes_xyxy[0])] if size_hw[1] > size_hw[0] else []


def test_photos_of_grounded_sam(images: list[Image]) -> None:
    sam, encoder = _sam()
    teacher = GroundedSam(_Boxes(), sam, PROMPTS, _wide)
    alone = [teacher.predict(image) for image in images]
    seen = passes_of(encoder)
    together = teacher.predict_batch(images)
    check_equal(alone, together)
    assert seen == [3], "photos without boxes are not encoded"
    assert [len(prediction.instances) for prediction in together] == [1, 0, 1, 0, 1]


def _best(boxes: PromptedBoxes, _: tuple[int, int]) -> list[ChosenBox]:
    ranked = np.argsort(-boxes.scores.max(axis=1), kind="stable")[:4]
    return [
        ChosenBox(PROMPTS[scores.argmax()], float(scores.max()), box)
        for scores, box in zip(boxes.scores[ranked], boxes.boxes_xyxy[ranked], strict=True)
    ]


def test_photos_of_sam3(tmp_path: Path, images: list[Image], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.teachers.sam3._SCORE_THRESHOLD", 0.0)  # random weights are sure of nothing
    sam3 = Sam3.load(write_sam3(tmp_path))
    teacher = Sam3Teacher(sam3, PROMPTS, _best)
    alone = [teacher.predict(image) for image in images]
    seen = passes_of(sam3._network.vision_encoder)
    together = teacher.predict_batch(images)
    check_equal(alone, together)
    assert seen == [5]
    assert any(prediction.instances for prediction in together)


@pytest.mark.parametrize("scales", [(1.0,), (1.0, 1.5)])
def test_members_of_an_ensemble(tmp_path: Path, images: list[Image], scales: tuple[float, ...]) -> None:
    segformer = open_huggingface(str(save_checkpoint(tmp_path / "segformer", "segformer", ("wall", "floor", "rug"))))
    onnx = OnnxSemantic(write_network(tmp_path / "colours.onnx", (6, 8), batch="photos"), class_map())
    ensemble = Ensemble([segformer, onnx, StudentTeacher()], scales=scales)
    alone = [ensemble.predict(image) for image in images]
    seen = passes_of(segformer._network)
    check_equal(alone, ensemble.predict_batch(images), atol=1e-4)
    windows = sum(1 if scale == 1 else 4 for scale in scales)
    assert seen == [5] * 2 * windows  # upright and mirrored
    assert not isinstance(StudentTeacher(), BatchTeacher)
