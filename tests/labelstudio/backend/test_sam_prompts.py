"""Clicks and boxes answered by SAM: a network in its official form that sees what is bright, and one at random."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from segment_anything import sam_model_registry

from labelstudio.backend.sam import SamPhoto, SamSegmenter
from labelstudio.backend.segmenters import RegionPrompt, StudentPhoto, StudentSegmenter
from labelstudio.commands.backend import add_arguments, open_segmenter
from models import Segmenter
from models.inference.model_output import ModelOutput
from models.inference.postprocess import detection
from models.teachers.sam.prompts import SamPrompt, SamSettings
from models.teachers.sam.segmenter import Sam
from models.weights.registry import sha256_of
from surfaces.classes import DINING_TABLE, FLOOR, WALL
from surfaces.errors import WeightsError
from tests.labelstudio.backend.clicks import iou
from tests.models.teachers.sam.tiny_sam import bright_sam, tiny_sam

SIZE = (90, 120)


class RecordingSam:
    def __init__(self) -> None:
        self.asked: list[tuple[str, list[float], list[tuple[float, float, bool]]]] = []

        self.thing, self.stuff = partial(self._answer, "thing"), partial(self._answer, "stuff")

    def _answer(self, kind: str, prompt: SamPrompt, _: SamSettings) -> Any:
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


def asked_for(prompt: RegionPrompt) -> tuple[Any, list[Any]]:
    sam = RecordingSam()
    photo = SamPhoto(sam, student_photo(), SamSettings())  # type: ignore[arg-type]
    return photo.predict(prompt), sam.asked


def test_the_students_region_is_the_box_of_a_point() -> None:
    found, asked = asked_for(RegionPrompt(WALL, points=((60, 10),), negative_points=((5, 5), (60, 80))))
    assert asked == [("stuff", [0, 0, 120, 40], [(60, 10, True), (5, 5, False)])]
    assert found.surface == WALL
    assert found.score == pytest.approx(0.8)
    found, asked = asked_for(RegionPrompt(DINING_TABLE, points=((40, 60),)))
    assert asked == [("thing", [30, 50, 60, 70], [(40, 60, True)])]
    assert asked_for(RegionPrompt(WALL, negative_points=((5, 5),))) == (None, [])


def test_each_box_is_a_prompt_with_the_points_in_it() -> None:
    boxes = ((0, 0, 20, 20), (50, 50, 90, 80))
    found, asked = asked_for(
        RegionPrompt(FLOOR, points=((60, 60), (19, 0)), negative_points=((20, 20),), boxes_xyxy=boxes)
    )
    assert asked == [
        ("stuff", [0, 0, 20, 20], [(19, 0, True)]),
        ("stuff", [50, 50, 90, 80], [(60, 60, True)]),
    ]
    assert found.mask.sum() == 20 * 20 + 40 * 30
    assert found.score == pytest.approx(0.7)


def test_sam_segments_a_box() -> None:
    image = np.zeros((*SIZE, 3), np.uint8)
    image[20:60, 30:80] = 255
    segmenter = SamSegmenter(Sam(bright_sam(), "sam bright", "ab" * 32), StudentSegmenter(Segmenter(threads=1)))
    photo = segmenter.encode(image)
    assert photo.size_hw == SIZE
    found = photo.predict(RegionPrompt(DINING_TABLE, boxes_xyxy=((28, 18, 82, 62),)))
    assert found is not None
    assert iou(found.mask, image[:, :, 0] > 0) > 0.9
    assert found.score == pytest.approx(0.9)
    assert [segment.surface for segment in photo.segments] == [
        segment.surface for segment in Segmenter(threads=1).predict(image)
    ]


def test_the_option_loads_official_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sam_model_registry, "vit_b", lambda: tiny_sam(seed=1))
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    path = tmp_path / "sam.pth"
    args = parser.parse_args(["--sam", str(path), "--device", "cpu", "--threads", "1"])
    with pytest.raises(WeightsError, match=r"expected weights .*sam\.pth"):
        open_segmenter(args)

    torch.save(tiny_sam(seed=2).state_dict(), path)
    segmenter = open_segmenter(args)
    assert segmenter.name.startswith(f"sam vit_b {sha256_of(path)[:12]}, student (surfaces) ")
    photo = segmenter.encode(np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8))
    for surface in (WALL, DINING_TABLE):
        found = photo.predict(RegionPrompt(surface, points=((60, 45),)))
        assert found is None or found.mask.shape == SIZE
