"""`iscrowd`, which some tools set on every RLE."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from surfaces.classes import DINING_TABLE, IGNORE, OTHER_TABLE
from surfaces.datasets import Labels, ReadOptions, open_dataset
from surfaces.datasets.coco_writer import write_coco
from surfaces.errors import DatasetError
from tests.coco_files import FLOOR, TABLE, WALL, annotation, polygon, runs, write_coco_file, write_room

_SECOND = (40, 25, 50, 35)
_CROWDS = [annotation(11, 1, runs(WALL), iscrowd=1), annotation(12, 2, runs(FLOOR), iscrowd=1)]


def _labels(folder: Path, annotations: list[dict[str, Any]], crowds: str = "auto") -> Labels:
    (sample,) = open_dataset(write_room(folder, annotations), ReadOptions(crowds=crowds))
    return sample.labels()


def test_all_tables_are_crowds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tables = [annotation(13, 3, runs(TABLE), iscrowd=1), annotation(14, 3, runs(_SECOND), iscrowd=1)]
    labels = _labels(tmp_path, [*_CROWDS, *tables])
    assert [int((labels.semantic == value).sum()) for value in (1, 2, 3)] == [1200, 900, 300]
    assert [int((labels.tables == number).sum()) for number in (1, 2)] == [200, 100]
    (line,) = capsys.readouterr().err.splitlines()
    assert "2 of 2 dining-table annotations are crowds" in line
    assert "--crowds refuse" in line


def test_crowds_beside_single_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tables = [annotation(13, 3, runs(TABLE), iscrowd=1), annotation(14, 3, polygon(_SECOND))]
    labels = _labels(tmp_path, [*_CROWDS, *tables])
    assert int((labels.semantic == DINING_TABLE.coco_id).sum()) == 300
    assert int((labels.tables == 1).sum()) == 100
    assert int(labels.table_crowd().sum()) == 200
    (line,) = capsys.readouterr().err.splitlines()
    assert "1 of 2 dining-table annotations are crowds" in line
    assert _labels(tmp_path, [*_CROWDS, *tables], "instances").tables.max() == 2


def test_crowds_of_stuff_are_regions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = _labels(tmp_path, [*_CROWDS, annotation(13, 3, polygon(TABLE))], "refuse")
    assert np.unique(labels.semantic).tolist() == [1, 2, 3]
    assert capsys.readouterr().err == ""


def test_refuse_crowds(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"annotation 13 of image 1.*crowd"):
        _labels(tmp_path, [*_CROWDS, annotation(13, 3, runs(TABLE), iscrowd=1)], "refuse")


def test_crowds_shared_by_classes_are_unlabelled(tmp_path: Path) -> None:
    labels = _labels(tmp_path, [annotation(key, key, runs(TABLE), iscrowd=1) for key in (1, 2, 3)])
    assert (labels.semantic[25:35, 10:30] == IGNORE).all()


@pytest.mark.parametrize(
    ("category", "value"), [(1, IGNORE), (2, IGNORE), (3, OTHER_TABLE)], ids=["wall", "floor", "dining table"]
)
def test_ignored_regions_are_unlabelled(tmp_path: Path, category: int, value: int) -> None:
    labels = _labels(tmp_path, [annotation(1, category, polygon(TABLE), iscrowd=1, ignore=1)])
    assert (labels.semantic[25:35, 10:30] == value).all()


@pytest.mark.parametrize("written_by", ["now", "before"])
def test_files_of_all_versions(tmp_path: Path, written_by: str, capsys: pytest.CaptureFixture[str]) -> None:
    semantic = np.full((40, 60), 2, np.uint8)
    semantic[:10], semantic[20:30, :20] = IGNORE, OTHER_TABLE
    labels = Labels(semantic, np.zeros_like(semantic))
    (sample,) = open_dataset(write_room(tmp_path / "room"))
    write_coco([_Relabelled(sample, labels)], tmp_path / "set")
    path = tmp_path / "set" / "annotations.json"
    if written_by == "before":  # version 0.1.0 knew no `ignore`
        content = json.loads(path.read_text("utf-8"))
        for entry in content["annotations"]:
            del entry["ignore"]
        write_coco_file(path, content)
    np.testing.assert_array_equal(open_dataset(path)[0].labels().semantic, semantic)
    assert capsys.readouterr().err == ""


class _Relabelled:
    """A sample with other labels."""

    def __init__(self, sample: Any, labels: Labels) -> None:
        self.name, self.image, self.encoded_image = sample.name, sample.image, sample.encoded_image
        self._labels = labels

    def labels(self) -> Labels:
        return self._labels


def test_panoptic_categories(tmp_path: Path) -> None:
    folder = write_room(tmp_path, [*_CROWDS, annotation(13, 3, polygon(TABLE))])
    path = folder / "annotations.json"
    content = json.loads(path.read_text("utf-8"))
    for category in content["categories"]:
        category |= {"isthing": int(category["id"] == 3), "supercategory": "room", "color": [1, 2, 3]}
    path.write_text(json.dumps(content), "utf-8")
    (sample,) = open_dataset(folder)
    assert set(np.unique(sample.labels().semantic)) == {1, 2, 3}
