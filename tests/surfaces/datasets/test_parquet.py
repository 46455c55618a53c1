from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from surfaces.datasets import Labels, LabelScope, open_dataset
from surfaces.datasets.parquet import ParquetRow, ParquetSample, Provenance, write_labels
from surfaces.errors import DatasetError
from surfaces.images.encode import encode_jpeg
from tests.surfaces.datasets.label_strategies import BELIEFS, assert_same_labels, labels, sample_of

CLASS_IDS = st.frozensets(st.integers(1, 3))


def write(folder: Path, rows: list[ParquetRow]) -> None:
    for row in rows:
        path = folder / row.photo
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(sample_of(row.labels).encoded_image())
    write_labels(folder / "labels-00000.parquet", rows)


@settings(max_examples=40, deadline=None)
@given(expected=labels(crowds=True), scope=st.builds(LabelScope, CLASS_IDS, CLASS_IDS, CLASS_IDS), soft=BELIEFS)
def test_labels_are_exact(expected: Labels, scope: LabelScope, soft: npt.NDArray[np.uint8]) -> None:
    believed = replace(expected, scope=scope, soft_labels=soft)
    where = Provenance("val", "Küche", "mine", "CC0-1.0", "me", "https://example.org/1")
    with TemporaryDirectory() as name:
        folder = Path(name)
        write(
            folder, [ParquetRow("Küche/1", "photos/1.jpg", believed, where), ParquetRow("b", "photos/b.jpg", expected)]
        )
        first, second = open_dataset(folder)
        assert isinstance(first, ParquetSample)
        assert_same_labels(first.labels(), expected)
        assert first.labels().scope == scope
        np.testing.assert_array_equal(first.labels().soft_labels, soft)
        assert first.provenance() == where
        assert_same_labels(second.labels(), expected)
        assert second.labels().soft_labels is None
        assert pickle.loads(pickle.dumps(first)).labels().scope == scope


def test_many_rows_in_groups_and_files(tmp_path: Path) -> None:
    maps = [Labels(np.full((2, 2), n % 4, np.uint8), np.zeros((2, 2), np.uint8)) for n in range(150)]
    rows = [ParquetRow(f"{n:03d}", "photos/one.jpg", found) for n, found in enumerate(maps)]
    write(tmp_path, rows[:1])
    write_labels(tmp_path / "labels-00000.parquet", rows[:100])
    write_labels(tmp_path / "labels-00001.parquet", rows[100:])
    samples = open_dataset(tmp_path)
    assert [sample.name for sample in samples] == [row.name for row in rows]
    for number in (149, 0, 99, 64, 63, 100):
        assert samples[number].labels().semantic[0, 0] == number % 4


def test_rows_in_groups_of_another_tool(tmp_path: Path) -> None:
    maps = [Labels(np.full((2, 2), n % 4, np.uint8), np.zeros((2, 2), np.uint8)) for n in range(601)]
    file = tmp_path / "labels-00000.parquet"
    write_labels(file, (ParquetRow(f"{n:03d}", "photos/one.jpg", found) for n, found in enumerate(maps)))
    parquet.write_table(parquet.read_table(file), file, row_group_size=301)
    for number, sample in enumerate(open_dataset(tmp_path)):
        assert sample.labels().semantic[0, 0] == number % 4


def test_a_file_that_was_replaced_is_noticed(tmp_path: Path) -> None:
    found = Labels(np.zeros((2, 2), np.uint8), np.zeros((2, 2), np.uint8))
    file = tmp_path / "labels-00000.parquet"
    write_labels(file, [ParquetRow("a", "photos/a.jpg", found)])
    (sample,) = open_dataset(tmp_path)
    write_labels(file, [ParquetRow("b", "photos/b.jpg", found)])
    with pytest.raises(DatasetError, match="the file was replaced"):
        sample.labels()


@pytest.mark.parametrize("photo", ["../secret.jpg", "/etc/passwd", "photos/link.jpg"])
def test_photos_outside_of_the_dataset_are_refused(tmp_path: Path, photo: str) -> None:
    folder = tmp_path / "set"
    (folder / "photos").mkdir(parents=True)
    (tmp_path / "secret.jpg").write_bytes(encode_jpeg(np.zeros((20, 20, 3), np.uint8)))
    (folder / "photos" / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    found = Labels(np.zeros((20, 20), np.uint8), np.zeros((20, 20), np.uint8))
    write_labels(folder / "labels-00000.parquet", [ParquetRow("a", photo, found)])
    (sample,) = open_dataset(folder)
    with pytest.raises(DatasetError, match="inside"):
        sample.encoded_image()


def test_names_are_unique(tmp_path: Path) -> None:
    found = Labels(np.zeros((2, 2), np.uint8), np.zeros((2, 2), np.uint8))
    write_labels(tmp_path / "labels-00000.parquet", [ParquetRow("a", "photos/a.jpg", found)] * 2)
    with pytest.raises(DatasetError, match="got 2 called a"):
        open_dataset(tmp_path)


@pytest.mark.parametrize("damage", ["empty", "text", "cut", "columns"])
def test_damaged_files_are_one_line(tmp_path: Path, damage: str) -> None:
    file = tmp_path / "labels-00000.parquet"
    found = Labels(np.zeros((2, 2), np.uint8), np.zeros((2, 2), np.uint8))
    write_labels(file, [ParquetRow("a", "photos/a.jpg", found)])
    whole = file.read_bytes()
    if damage == "columns":
        parquet.write_table(pyarrow.table({"name": ["a"], "photo": ["photos/a.jpg"]}), file)
    else:
        file.write_bytes({"empty": b"", "text": b"no Parquet", "cut": whole[: len(whole) // 2]}[damage])
    with pytest.raises(DatasetError, match="expected a dataset's labels in") as caught:
        open_dataset(tmp_path)
    assert "\n" not in str(caught.value)
