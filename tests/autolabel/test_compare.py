"""Auto-labels against people's labels of the same photos."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from label_stores import ROOMS, rooms_store, segment

from autolabel.__main__ import main
from autolabel.compare import compare
from surfaces.classes import DINING_TABLE, FLOOR, IGNORE, OTHER_TABLE, WALL
from surfaces.dataset import Labels
from surfaces.dataset.graded import GradedLabels
from surfaces.detections import Mask


def columns(left: int, right: int) -> Mask:
    """Some columns of a photo of 10 rows and 100 columns."""
    mask = np.zeros((10, 100), bool)
    mask[:, left:right] = True
    return mask


def truth(**columns_of: tuple[int, int]) -> Labels:
    values = {"wall": 1, "floor": 2, "table": 3, "other_table": OTHER_TABLE, "ignore": IGNORE}
    semantic = np.zeros((10, 100), np.uint8)
    for name, (left, right) in columns_of.items():
        semantic[:, left:right] = values[name]
    return Labels(semantic, (semantic == 3).astype(np.uint8))


def test_pixels_are_counted_by_hand() -> None:
    auto = GradedLabels((segment(WALL, columns(0, 50), 0.95), segment(FLOOR, columns(60, 80), 0.65)), columns(50, 60))
    found = compare([(auto, truth(wall=(10, 60), floor=(60, 90), ignore=(90, 100)))])
    wall, floor, table = (found.classes[surface.name] for surface in (WALL, FLOOR, DINING_TABLE))
    assert (wall.precision, wall.recall) == (pytest.approx(40 / 50), pytest.approx(40 / 50))
    assert (wall.iou, wall.iou_sure) == (pytest.approx(40 / 60), pytest.approx(40 / 50))
    assert (floor.precision, floor.recall, floor.iou) == (1, pytest.approx(20 / 30), pytest.approx(20 / 30))
    assert table.iou is None
    assert table.segments == 0
    assert found.sure_share == pytest.approx(80 / 90)
    of_wall = [(group.least, group.segments) for group in found.groups["wall"]]
    assert of_wall == [(0, 0), (0.5, 0), (0.6, 0), (0.7, 0), (0.8, 0), (0.9, 1)]
    assert found.groups["wall"][-1].precision == pytest.approx(0.8)
    assert found.groups["floor"][2].segments == 1


def test_photos_are_summed_by_pixels_and_segments_averaged() -> None:
    right = GradedLabels((segment(FLOOR, columns(0, 30), 1.0),), columns(0, 0))
    wrong = GradedLabels((segment(FLOOR, columns(0, 10), 1.0),), columns(0, 0))
    found = compare([(right, truth(floor=(0, 30))), (wrong, truth())])
    assert found.photos == 2
    assert found.classes["floor"].precision == pytest.approx(30 / 40)
    assert found.groups["floor"][-1].precision == pytest.approx(0.5)


def test_other_tables_and_unlabelled_pixels_are_neither_right_nor_wrong() -> None:
    auto = GradedLabels((segment(DINING_TABLE, columns(0, 50)),), columns(0, 0))
    found = compare([(auto, truth(table=(0, 20), other_table=(20, 40), ignore=(40, 45)))]).classes["dining table"]
    assert (found.precision, found.recall) == (pytest.approx(20 / 25), 1)


def test_a_teacher_that_is_right_scores_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = rooms_store(tmp_path / "set")
    assert main(["compare", str(store), "--truth", str(ROOMS), "--json", str(tmp_path / "out.json")]) == 0
    shown = capsys.readouterr()
    assert "4 photos, sure of 0.994" in shown.out
    numbers = json.loads((tmp_path / "out.json").read_text())
    assert numbers["photos"] == 4
    for found in numbers["classes"].values():
        assert found["precision"] == found["iou_sure"] == 1
        assert 0.9 < found["recall"] <= 1


def test_datasets_without_a_common_photo(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = rooms_store(tmp_path / "set", count=0)
    assert main(["compare", str(store), "--truth", str(ROOMS)]) == 8
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("autolabel: expected photos of")
