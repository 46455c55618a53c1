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


def test_labelled_pixels_are_grouped_by_the_belief_in_their_class() -> None:
    """A wall of 60 columns: 40 believed at .8, of which 30 are wall, and 20 at 1, all of them wall."""
    belief = np.zeros((4, 10, 100), np.uint8)
    belief[1, :, :40], belief[1, :, 40:60], belief[1, :, 60:] = 204, 255, 100
    auto = GradedLabels((segment(WALL, columns(0, 60)),), columns(0, 0), belief=belief)
    found = compare([(auto, truth(wall=(10, 60)))])
    groups = {group.least: group for group in found.belief_groups["wall"]}
    assert {least: group.pixels for least, group in groups.items() if group.pixels} == {0.8: 400, 0.95: 200}
    assert groups[0.8].belief == pytest.approx(0.8)
    assert groups[0.8].precision == pytest.approx(0.75)
    assert groups[0.95].precision == groups[0.95].belief == 1
    assert groups[0.5].precision is None
    assert found.classes["wall"].calibration_error == pytest.approx((400 * 0.05 + 0) / 600)
    assert found.classes["floor"].calibration_error is None


def test_without_a_belief_there_are_no_groups_of_pixels() -> None:
    auto = GradedLabels((segment(WALL, columns(0, 50)),), columns(0, 0))
    assert compare([(auto, truth(wall=(0, 50)))]).belief_groups == {}


def test_intervals_are_over_photos() -> None:
    """Of alike photos each draw gives the same; of a right and a wrong one it does not."""
    right = GradedLabels((segment(FLOOR, columns(0, 30)),), columns(0, 0)), truth(floor=(0, 30))
    wrong = GradedLabels((segment(FLOOR, columns(0, 30)),), columns(0, 0)), truth()
    alike = compare([right] * 5)
    assert alike.classes["floor"].intervals["precision"] == (1, 1)
    assert alike.groups["floor"][-1].interval == (1, 1)
    assert alike.classes["dining table"].intervals["iou"] == (None, None)
    mixed = compare([right, wrong] * 10)
    low, high = mixed.classes["floor"].intervals["precision"]
    assert 0.2 < low < 0.4 < mixed.classes["floor"].precision < 0.6 < high < 0.8
    assert "0.500 (0." in mixed.table()


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
