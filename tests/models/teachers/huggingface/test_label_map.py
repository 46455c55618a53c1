"""Checkpoints' label names as our classes, on the label lists of well-known checkpoints."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.teachers.huggingface.label_map import SHIPPED, match_labels
from surfaces.classes import BY_NAME
from surfaces.cli.settings_files import SettingsError
from surfaces.errors import WeightsError
from tests.models.teachers.huggingface.checkpoints import label_list

COCO_WALLS = "wall-brick, wall-stone, wall-tile, wall-wood, wall-other-merged"


@pytest.mark.parametrize(
    ("name", "count", "shown"),
    [
        ("segformer_ade20k", 150, "wall: wall; floor: floor; dining table: table"),
        ("mask2former_ade20k", 150, "wall: wall; floor: floor; dining table: table"),
        (
            "coco_panoptic",
            133,
            f"wall: {COCO_WALLS}; floor: floor-wood, floor-other-merged; dining table: dining table",
        ),
        ("coco_instance", 80, "wall: none; floor: none; dining table: dining table"),
        ("cityscapes", 19, "wall: wall; floor: none; dining table: none"),
    ],
)
def test_the_labels_of_well_known_checkpoints(name: str, count: int, shown: str) -> None:
    labels = label_list(name)
    assert len(labels) == len(set(labels)) == count
    found = match_labels(labels)
    assert str(found) == shown
    numbers = [number for group in found.classes for number in group]
    assert len(set(numbers)) == len(numbers)


def test_other_tables_are_other() -> None:
    tables = ["table", "desk", "coffee table", "pool table, billiard table", "kitchen island", "counter", "end-table"]
    assert match_labels([*tables, "wall"]).classes == ((7,), (), (0,))
    assert match_labels([*tables, "dining table"]).classes == ((), (), (7,))


def test_synonyms_case_and_blanks() -> None:
    labels = ["Wall ", "floor, flooring", "wallpaper", "screen door; floor lamp", " table;dining table"]
    assert match_labels(labels).classes == ((0,), (1,), (4,))


def test_every_shipped_name_has_a_reason_and_one_class() -> None:
    shipped = tomllib.loads(SHIPPED.read_text("utf-8"))
    otherwise = shipped.pop("otherwise")
    assert list(shipped) == list(BY_NAME)
    names = [name for table in (*shipped.values(), *otherwise.values()) for name in table]
    assert len(set(names)) == len(names)
    assert all(name == name.strip().lower() for name in names)
    reasons = [reason for table in (*shipped.values(), *otherwise.values()) for reason in table.values()]
    assert min(map(len, reasons)) > 10


def test_no_label_of_ours_is_refused_with_the_nearest() -> None:
    with pytest.raises(WeightsError) as raised:
        match_labels(["cat", "dog", "waller", "flooor", "dinner table", "sky"])
    message = str(raised.value)
    assert message.startswith("expected labels such as wall, floor, dining table, got 6 others, the nearest 'waller'")
    assert "'flooor'" in message
    assert "'dinner table'" in message
    assert "\n" not in message


def own_map(tmp_path: Path, content: str) -> Path:
    (tmp_path / "map.toml").write_text(content, "utf-8")
    return tmp_path / "map.toml"


def test_a_class_map_of_ones_own(tmp_path: Path) -> None:
    labels = label_list("segformer_ade20k")
    found = match_labels(labels, own_map(tmp_path, '"dining table" = ["Table", "kitchen island"]\nfloor = []\n'))
    assert str(found) == "wall: wall; floor: none; dining table: table, kitchen island"
    taken = match_labels(labels, own_map(tmp_path, 'floor = ["wall", "floor"]\n'))
    assert str(taken) == "wall: none; floor: wall, floor; dining table: table"
    part = match_labels(["floor, flooring", "x"], own_map(tmp_path, 'floor = ["floor, flooring"]\nwall = ["x"]\n'))
    assert part.classes == ((1,), (0,), ())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("wall = ", "expected a TOML file at"),
        ('walls = ["wall"]', "map.toml: unknown class 'walls'; did you mean 'wall'?"),
        ('wall = "wall"', "map.toml: expected `wall` to be a list of label names, got 'wall'"),
        ("wall = [3]", "map.toml: expected `wall` to be a list of label names, got [3]"),
        ('wall = ["wal"]', "map.toml: the checkpoint has no label 'wal'; the nearest are 'wall',"),
        ('wall = ["wall"]\nfloor = ["wall"]', "map.toml: expected each label once, got"),
    ],
)
def test_class_maps_with_errors(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(SettingsError) as raised:
        match_labels(label_list("cityscapes"), own_map(tmp_path, content))
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


@given(st.lists(st.text(max_size=12), max_size=8))
def test_any_labels_give_each_number_to_one_class_at_most(labels: list[str]) -> None:
    found = match_labels(["wall", *labels])
    numbers = [number for group in found.classes for number in group]
    assert 0 in found.classes[0]
    assert len(set(numbers)) == len(numbers)
    assert set(numbers) <= set(range(len(labels) + 1))
