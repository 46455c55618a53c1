"""Clicks and boxes answered by SAM: a network in its official form that sees what is bright, and one at random."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from segment_anything import sam_model_registry

from labelstudio.backend.sam import SamPhoto, SamProposer
from labelstudio.backend.segmenters import Hint, StudentPhoto, StudentProposer
from labelstudio.commands.backend import add_arguments, open_proposer
from models import Segmenter
from models.inference.model_output import ModelOutput
from models.inference.postprocess import detection
from models.teachers.sam.prompts import SamPrompt, SamSettings
from models.teachers.sam.segmenter import Sam
from models.weights.registry import sha256_of
from surfaces.classes import DINING_TABLE, FLOOR, WALL
from surfaces.errors import WeightsError
from tests.models.teachers.sam.tiny_sam import bright_sam, tiny_sam

SIZE = (90, 120)


class NotedQuestions:
    """In SAM's place: writes down what it is asked, and answers with the box."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, list[float], list[tuple[float, float, bool]]]] = []

    def thing(self, prompt: SamPrompt, _: SamSettings) -> Any:
        return self._answer("thing", prompt)

    def stuff(self, prompt: SamPrompt, _: SamSettings) -> Any:
        return self._answer("stuff", prompt)

    def _answer(self, kind: str, prompt: SamPrompt) -> Any:
        points = [
            (*point.tolist(), bool(inside)) for point, inside in zip(prompt.points_xy, prompt.inside, strict=True)
        ]
        self.asked.append((kind, prompt.box_xyxy.tolist(), points))
        mask = np.zeros(SIZE, np.bool_)
        left, top, right, bottom = prompt.box_xyxy.astype(int)
        mask[top:bottom, left:right] = True
        return type("Response", (), {"mask": mask, "predicted_iou": 0.9 - 0.1 * len(self.asked)})


def student_photo() -> StudentPhoto:
    """A grey photo of which the student knows a wall at the top, and a table in the middle."""
    wall, table = np.zeros(SIZE, np.bool_), np.zeros(SIZE, np.bool_)
    wall[:40], table[50:70, 30:60] = True, True
    soft_labels = np.full((4, 9, 12), 0.25, np.float32)
    nothing = np.zeros((0, 4), np.float32)
    output = ModelOutput(soft_labels, nothing, nothing[:, 0], np.zeros((0, 28, 28), np.float32))
    segments = [detection(WALL, 0.9, wall), detection(DINING_TABLE, 0.8, table)]
    return StudentPhoto(np.full((*SIZE, 3), 128, np.uint8), output, segments)


def asked_for(hint: Hint) -> tuple[Any, list[Any]]:
    questions = NotedQuestions()
    photo = SamPhoto(questions, student_photo(), SamSettings())  # type: ignore[arg-type]
    return photo.propose(hint), questions.asked


def test_the_students_region_is_the_box_of_a_click() -> None:
    found, asked = asked_for(Hint(WALL, clicks=((60, 10),), misses=((5, 5), (60, 80))))
    assert asked == [("stuff", [0, 0, 120, 40], [(60, 10, True), (5, 5, False)])]
    assert found.surface == WALL
    assert found.score == pytest.approx(0.8)
    found, asked = asked_for(Hint(DINING_TABLE, clicks=((40, 60),)))
    assert asked == [("thing", [30, 50, 60, 70], [(40, 60, True)])]


def test_each_box_of_a_person_is_asked_for_with_the_clicks_in_it() -> None:
    boxes = ((0, 0, 20, 20), (50, 50, 90, 80))
    found, asked = asked_for(Hint(FLOOR, clicks=((60, 60), (19, 0)), misses=((20, 20),), boxes_xyxy=boxes))
    assert asked == [
        ("stuff", [0, 0, 20, 20], [(19, 0, True)]),
        ("stuff", [50, 50, 90, 80], [(60, 60, True)]),
    ]
    assert found.mask.sum() == 20 * 20 + 40 * 30
    assert found.score == pytest.approx(0.7)


def test_negative_clicks_alone_ask_nothing() -> None:
    assert asked_for(Hint(WALL, misses=((5, 5),))) == (None, [])


def test_sam_draws_what_is_clicked() -> None:
    image = np.zeros((*SIZE, 3), np.uint8)
    image[20:60, 30:80] = 255
    proposer = SamProposer(Sam(bright_sam(), "sam bright", "ab" * 32), StudentProposer(Segmenter(threads=1)))
    photo = proposer.see(image)
    assert photo.size_hw == SIZE
    found = photo.propose(Hint(DINING_TABLE, boxes_xyxy=((28, 18, 82, 62),)))
    assert found is not None
    truth = image[:, :, 0] > 0
    assert (found.mask & truth).sum() / (found.mask | truth).sum() > 0.9
    assert found.score == pytest.approx(0.9)
    assert [segment.surface for segment in photo.segments] == [
        segment.surface for segment in Segmenter(threads=1).predict(image)
    ]


@pytest.fixture
def tiny_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny network's weights in the official form; vit_b is tiny meanwhile."""
    monkeypatch.setitem(sam_model_registry, "vit_b", lambda: tiny_sam(seed=1))
    path = tmp_path / "sam.pth"
    torch.save(tiny_sam(seed=2).state_dict(), path)
    return path


def arguments(*words: object) -> Any:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args([*map(str, words), "--threads", "1"])


def test_the_option_loads_official_weights(tiny_file: Path) -> None:
    proposer = open_proposer(arguments("--sam", tiny_file, "--device", "cpu"))
    assert proposer.name.startswith(f"sam vit_b {sha256_of(tiny_file)[:12]}, student (surfaces) ")
    photo = proposer.see(np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8))
    for surface in (WALL, DINING_TABLE):
        found = photo.propose(Hint(surface, clicks=((60, 45),)))
        assert found is None or found.mask.shape == SIZE


def test_weights_that_are_not_there_are_told(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"expected weights .*absent\.pth"):
        open_proposer(arguments("--sam", tmp_path / "absent.pth"))
