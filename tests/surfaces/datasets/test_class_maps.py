"""Roboflow's masks and Cityscapes: maps of classes beside their photos."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from surfaces.classes import DINING_TABLE, FLOOR, IGNORE, OTHER, WALL
from surfaces.datasets import LabelScope, ReadOptions, open_dataset
from surfaces.errors import DatasetError
from surfaces.images.encode import encode_png
from tests.coco_files import SIZE_HW, write_photo

CLASSES = "Pixel Value, Class\n0, background\n1, dining-table\n2, floor\n3, wall\n4, sofa\n"
VALUES = np.full(SIZE_HW, 3, np.uint8)
VALUES[20:], VALUES[25:35, 10:30], VALUES[0:5, 0:5], VALUES[0:2, 50:] = 2, 1, 4, 0
SEMANTIC = np.array([OTHER, 3, 2, 1, OTHER])[VALUES]


def write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def write_split(folder: Path, names: str = "a") -> None:
    write(folder / "_classes.csv", CLASSES.encode())
    for name in names:
        write_photo(folder / f"{name}_jpg.rf.0123.jpg")
        write(folder / f"{name}_jpg.rf.0123_mask.png", encode_png(VALUES))


@pytest.mark.parametrize("splits", [("",), ("train", "valid")], ids=["one folder", "splits"])
def test_roboflows_masks(tmp_path: Path, splits: tuple[str, ...]) -> None:
    for split in splits:
        write_split(tmp_path / split)
    samples = open_dataset(tmp_path)
    assert [sample.name for sample in samples] == [f"{split}/a_jpg.rf.0123".lstrip("/") for split in splits]
    for sample in samples:
        labels = sample.labels()
        np.testing.assert_array_equal(labels.semantic, SEMANTIC)
        np.testing.assert_array_equal(labels.tables > 0, labels.semantic == DINING_TABLE.coco_id)
        assert labels.tables.max() == 1
        assert labels.scope == LabelScope()


def test_photos_without_a_mask(tmp_path: Path) -> None:
    write_split(tmp_path / "train", "ab")
    (tmp_path / "train" / "b_jpg.rf.0123_mask.png").unlink()
    with pytest.raises(DatasetError, match=r"train/b_jpg\.rf\.0123\.jpg: expected a map of classes"):
        open_dataset(tmp_path)
    assert len(open_dataset(tmp_path, ReadOptions(skip_invalid=True))) == 1


@pytest.mark.parametrize(
    "text", ["", "Pixel Value, Class\nzero, background\n", "Pixel Value, Class\n1\n", "a\n1,b,c\n"]
)
def test_faulty_class_lists(tmp_path: Path, text: str) -> None:
    write_split(tmp_path / "train")
    write(tmp_path / "train" / "_classes.csv", text.encode())
    with pytest.raises(DatasetError, match=r"_classes\.csv"):
        open_dataset(tmp_path)


def test_cityscapes(tmp_path: Path) -> None:
    values = np.full(SIZE_HW, 7, np.uint8)
    values[:10], values[:, :3], values[30:, 30:] = 12, 0, 3
    write_photo(tmp_path / "leftImg8bit" / "train" / "ulm" / "ulm_000000_000019_leftImg8bit.png")
    write(tmp_path / "gtFine" / "train" / "ulm" / "ulm_000000_000019_gtFine_labelIds.png", encode_png(values))
    (sample,) = open_dataset(tmp_path)
    assert sample.name == "train/ulm/ulm_000000_000019"
    labels = sample.labels()
    expected = np.full(SIZE_HW, OTHER)
    expected[:10], expected[:, :3], expected[30:, 30:] = WALL.coco_id, IGNORE, IGNORE
    np.testing.assert_array_equal(labels.semantic, expected)
    assert labels.scope.unlabelled == {FLOOR.coco_id, DINING_TABLE.coco_id}
