from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings

from surfaces.datasets import Labels, open_dataset, write_packed
from surfaces.errors import DatasetError, OutputError
from tests.surfaces.datasets.label_strategies import BELIEFS, assert_same_labels, labels, sample_of

ROOMS = Path(__file__).parents[2] / "data" / "rooms"


def test_round_trip_in_bounded_archives(tmp_path: Path) -> None:
    rooms = open_dataset(ROOMS)
    assert write_packed(rooms, tmp_path / "set", max_bytes=100_000) == len(rooms)
    archives = sorted((tmp_path / "set").glob("*.zip"))
    assert len(archives) > 1
    assert all(path.stat().st_size <= 100_000 for path in archives)
    assert all(zipfile.ZipFile(path).testzip() is None for path in archives)
    packed = open_dataset(tmp_path / "set")
    with ThreadPoolExecutor(4) as pool:
        photos = list(pool.map(lambda sample: sample.encoded_image(), packed * 3))
    for index, (room, copy) in enumerate(zip(rooms, packed, strict=True)):
        assert copy.name == room.name
        assert photos[index] == photos[index + len(rooms)] == room.encoded_image()
        assert_same_labels(copy.labels(), room.labels())
        np.testing.assert_array_equal(copy.image(), room.image())


@settings(max_examples=40, deadline=None)
@given(expected=labels())
def test_labels_are_exact(expected: Labels) -> None:
    with TemporaryDirectory() as folder:
        write_packed([sample_of(expected, "Küche/1")], Path(folder) / "set")
        (sample,) = open_dataset(Path(folder) / "set" / "packed.json")
        assert sample.name == "Küche/1"
        assert_same_labels(sample.labels(), expected)


@settings(max_examples=40, deadline=None)
@given(expected=labels(), soft_labels=BELIEFS)
def test_soft_labels_are_exact(expected: Labels, soft_labels: npt.NDArray[np.uint8]) -> None:
    believed = replace(expected, soft_labels=soft_labels)
    with TemporaryDirectory() as folder:
        write_packed([sample_of(believed, "a"), sample_of(expected, "b")], Path(folder) / "set", longest_side=3)
        one, other = (sample.labels().soft_labels for sample in open_dataset(Path(folder) / "set"))
        np.testing.assert_array_equal(one, soft_labels)
        assert other is None


def test_resized_photos(tmp_path: Path) -> None:
    rooms = open_dataset(ROOMS)[:4]
    write_packed(rooms, tmp_path / "set", longest_side=128)
    for room, small in zip(rooms, open_dataset(tmp_path / "set"), strict=True):
        before, after = room.labels(), small.labels()
        height, width = before.semantic.shape
        assert max(after.semantic.shape) == 128
        assert small.image().shape[:2] == after.semantic.shape == after.tables.shape
        assert after.semantic.shape[0] / after.semantic.shape[1] == pytest.approx(height / width, rel=0.01)
        for value in (1, 2, 3):
            assert (after.semantic == value).mean() == pytest.approx((before.semantic == value).mean(), abs=0.01)
        np.testing.assert_array_equal(after.tables > 0, after.semantic == 3)
    write_packed(rooms, tmp_path / "same", longest_side=10_000)
    assert open_dataset(tmp_path / "same")[0].encoded_image() == rooms[0].encoded_image()


def test_output_is_deterministic(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_packed(open_dataset(ROOMS)[:3], tmp_path / name)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_damaged_files(tmp_path: Path) -> None:
    write_packed(open_dataset(ROOMS)[:2], tmp_path / "set")
    archive = tmp_path / "set" / "part-000.zip"
    whole = archive.read_bytes()
    archive.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DatasetError, match=r"part-000\.zip"):
        open_dataset(tmp_path / "set")
    archive.unlink()
    with pytest.raises(DatasetError, match=r"part-000\.zip"):
        open_dataset(tmp_path / "set")
    index = tmp_path / "set" / "packed.json"
    for content in ("", "{}", json.dumps({"format": "another 3", "samples": []})):
        index.write_text(content)
        with pytest.raises(DatasetError, match=r"packed\.json"):
            open_dataset(tmp_path / "set")


def test_failed_writes_leave_nothing(tmp_path: Path) -> None:
    rooms = open_dataset(ROOMS)[:1]
    write_packed(rooms, tmp_path / "set")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(OutputError, match="exists"):
        write_packed(rooms, tmp_path / "set")
    with pytest.raises(DatasetError, match="2 called"):
        write_packed(rooms * 2, tmp_path / "other")
    with pytest.raises(DatasetError, match="at most 1000 bytes"):
        write_packed(rooms, tmp_path / "other", max_bytes=1000)
    with pytest.raises(OutputError):
        write_packed(rooms, tmp_path / "set" / "packed.json" / "below a file")
    assert sorted(tmp_path.rglob("*")) == before


def test_reading_needs_numpy_opencv_and_pillow_only(tmp_path: Path) -> None:
    write_packed(open_dataset(ROOMS)[:2], tmp_path / "set")
    program = f"""
import sys
from pathlib import Path
from surfaces.datasets import open_dataset, split_blocks
for sample in open_dataset(Path({str(tmp_path / "set")!r})):
    assert sample.image().shape[:2] == sample.labels().semantic.shape
loaded = {{name.split(".")[0] for name in sys.modules}}
assert not loaded & {{"pycocotools", "supervision", "torch", "requests", "tqdm"}}, loaded
"""
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(__file__).parents[3])
