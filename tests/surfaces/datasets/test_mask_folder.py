from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given

from surfaces.classes import DINING_TABLE, IGNORE, OTHER, OTHER_TABLE
from surfaces.datasets import Labels, open_dataset
from surfaces.datasets.mask_folder import labels_of_values, values_of_labels
from surfaces.errors import DatasetError
from tests.surfaces.datasets.label_strategies import assert_same_labels, labels

NYU = Path(__file__).parents[4] / "shared" / "data" / "nyuv2"


def _write(folder: Path, values: np.ndarray, name: str = "room_1") -> None:
    for part, suffix, pixels in (
        ("images", ".jpg", np.full((*values.shape[:2], 3), (0, 0, 255), np.uint8)),
        ("masks", ".png", values),
    ):
        (folder / part).mkdir(exist_ok=True)
        (folder / part / f"{name}{suffix}").write_bytes(cv2.imencode(suffix, pixels)[1].tobytes())


@given(labels())
def test_labels_and_values_round_trip(known: Labels) -> None:
    assert_same_labels(labels_of_values(values_of_labels(known), "a map"), known)


def test_values_and_colours(tmp_path: Path) -> None:
    values = np.full((100, 200), 1, np.uint8)
    values[50:] = 2
    values[80:, :50] = 5  # a rug
    values[80:, 50:80] = 4
    values[:, 190:] = 255
    values[60:70, 20:40] = 12
    values[60:70, 100:150] = 10
    _write(tmp_path, values)
    (sample,) = open_dataset(tmp_path)
    labels = sample.labels()
    expected = values.copy()
    expected[values == 5] = OTHER
    expected[values >= 10] = DINING_TABLE.coco_id
    expected[values == 255] = IGNORE
    np.testing.assert_array_equal(labels.semantic, expected)
    assert sample.name == "room_1"
    assert (labels.tables == 1).sum() == 10 * 50
    assert (labels.tables == 2).sum() == 10 * 20
    assert (labels.tables > 0).sum() == 700
    np.testing.assert_allclose(sample.image()[0, 0], (255, 0, 0), atol=2)  # RGB
    assert (expected == OTHER_TABLE).any()


def test_parts_are_grouped_by_distance(tmp_path: Path) -> None:
    values = np.zeros((300, 400), np.uint8)  # diagonal 500: gaps up to 50 join
    values[100:140, 20:100] = 3
    values[100:140, 140:180] = 3  # 40 away
    values[100:140, 300:380] = 3  # 120 away
    values[280:284, 330:335] = 3  # a leg
    _write(tmp_path, values)
    labels = open_dataset(tmp_path)[0].labels()
    assert set(np.unique(labels.tables[100:140, 20:180])) == {0, 1}
    assert set(np.unique(labels.tables[:, 300:])) == {0, 2}
    assert labels.tables[282, 332] == 2
    np.testing.assert_array_equal(labels.tables > 0, labels.semantic == 3)


def test_specks_are_no_tables(tmp_path: Path) -> None:
    values = np.zeros((300, 400), np.uint8)
    values[10:15, 10:16] = 3
    _write(tmp_path, values)
    labels = open_dataset(tmp_path)[0].labels()
    assert not labels.tables.any()
    assert (labels.semantic[10:15, 10:16] == IGNORE).all()


@pytest.mark.parametrize("value", [6, 9])
def test_unknown_values_are_refused(tmp_path: Path, value: int) -> None:
    _write(tmp_path, np.full((5, 5), value, np.uint8))
    with pytest.raises(DatasetError, match=rf"room_1.png, got {value}"):
        open_dataset(tmp_path)[0].labels()


def test_missing_files(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no such file or folder"):
        open_dataset(tmp_path / "nowhere")
    with pytest.raises(DatasetError, match="images and masks"):
        open_dataset(tmp_path)
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    with pytest.raises(DatasetError, match="expected photos"):
        open_dataset(tmp_path)
    _write(tmp_path, np.zeros((5, 5), np.uint8))
    (tmp_path / "masks" / "room_1.png").unlink()
    with pytest.raises(DatasetError, match=r"room_1\.jpg: expected a label map at .*room_1\.png, got none"):
        open_dataset(tmp_path)


def test_broken_files(tmp_path: Path) -> None:
    _write(tmp_path, np.zeros((5, 5), np.uint8))
    (tmp_path / "images" / "room_1.jpg").write_bytes(b"no photo")
    (tmp_path / "masks" / "room_1.png").write_bytes(b"")
    (sample,) = open_dataset(tmp_path)
    with pytest.raises(DatasetError, match=r"room_1\.jpg"):
        sample.image()
    with pytest.raises(DatasetError, match=r"room_1\.png"):
        sample.labels()
    (tmp_path / "images" / "room_1.jpg").unlink()
    with pytest.raises(DatasetError, match="readable file"):
        sample.encoded_image()


@pytest.mark.skipif(not NYU.is_dir(), reason="the shared training data is not here (../shared/data/nyuv2)")
def test_nyu_depth() -> None:
    samples = open_dataset(NYU)
    assert len(samples) == 795
    by_name = {sample.name: sample for sample in samples}
    for name, tables in (("nyu_0002", 0), ("nyu_0862", 2), ("nyu_1340", 1)):
        assert by_name[name].labels().tables.max() == tables
