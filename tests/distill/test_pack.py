from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from surfaces.dataset import open_dataset

ROOT = Path(__file__).parents[2]
ROOMS = ROOT / "tests" / "data" / "rooms"


def _pack(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "distill", "pack", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


@pytest.mark.parametrize("form", ["packed", "coco"])
def test_names_that_clash_are_refused(tmp_path: Path, form: str) -> None:
    done = _pack(ROOMS, ROOMS / "annotations.json", "--out", tmp_path / "set", "--format", form)
    assert done.returncode == 8
    assert "2 called rooms/room_01" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_packed_dataset_becomes_coco_and_stays_the_same(tmp_path: Path) -> None:
    assert _pack(ROOMS, "--out", tmp_path / "packed", "--max-bytes", "200000").stdout.strip() == str(
        tmp_path / "packed"
    )
    assert _pack(tmp_path / "packed", "--out", tmp_path / "coco", "--format", "coco").returncode == 0
    for room, copy in zip(open_dataset(ROOMS), open_dataset(tmp_path / "coco"), strict=True):
        assert copy.name == room.name
        np.testing.assert_array_equal(copy.labels().semantic, room.labels().semantic)
        np.testing.assert_array_equal(copy.labels().tables, room.labels().tables)
        assert copy.encoded_image() == room.encoded_image()


def test_two_datasets_keep_their_names_apart(tmp_path: Path) -> None:
    assert _pack(ROOMS, "--out", tmp_path / "small", "--longest-side", "64").returncode == 0
    done = _pack(ROOMS, tmp_path / "small", "--out", tmp_path / "both")
    assert done.returncode == 0, done.stderr
    assert "36 photos" in done.stderr
    both = open_dataset(tmp_path / "both")
    assert [both[0].name, both[18].name] == ["rooms/room_01", "small/room_01"]
    assert max(both[18].image().shape) == 64


@pytest.mark.parametrize("arguments", [["--longest-side", "0"], ["--max-bytes", "-1"], ["--format", "voc"]], ids=str)
def test_bad_arguments_are_refused(tmp_path: Path, arguments: list[str]) -> None:
    done = _pack(ROOMS, "--out", tmp_path / "set", *arguments)
    assert done.returncode == 2
    assert not (tmp_path / "set").exists()


def test_a_folder_that_exists_is_left_alone(tmp_path: Path) -> None:
    done = _pack(ROOMS, "--out", tmp_path)
    assert done.returncode == 6
    assert "exists" in done.stderr
    assert list(tmp_path.iterdir()) == []
