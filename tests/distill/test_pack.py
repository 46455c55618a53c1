from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from surfaces.classes import IGNORE
from surfaces.datasets import open_dataset
from surfaces.images.load import load_image
from tests.coco_files import TABLE, annotation, polygon, room, runs, write_room

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
    for original, copy in zip(open_dataset(ROOMS), open_dataset(tmp_path / "coco"), strict=True):
        assert copy.name == original.name
        np.testing.assert_array_equal(copy.labels().semantic, original.labels().semantic)
        np.testing.assert_array_equal(copy.labels().tables, original.labels().tables)
        assert copy.encoded_image() == original.encoded_image()


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


def test_a_turned_photo_is_written_upright_under_its_suffix(tmp_path: Path) -> None:
    folder = write_room(tmp_path / "room")
    stored = np.zeros((60, 40, 3), np.uint8)
    stored[:30] = 200
    exif = Pillow.Exif()
    exif[274] = 6
    Pillow.fromarray(stored).save(folder / "room1.jpg", "WEBP", exif=exif)
    assert _pack(folder, "--out", tmp_path / "coco", "--format", "coco").returncode == 0
    (photo,) = (tmp_path / "coco" / "images").iterdir()
    with Pillow.open(photo) as file:  # as readers see it that know no EXIF
        assert (file.format, file.size, photo.suffix) == ("JPEG", (60, 40), ".jpg")
    difference = load_image(str(photo)).astype(int) - load_image(str(folder / "room1.jpg"))
    assert np.abs(difference).mean() < 5


def test_photos_that_cannot_be_read_are_told_before_anything_is_kept(tmp_path: Path) -> None:
    folder = write_room(tmp_path / "room")
    (folder / "room1.jpg").write_bytes((folder / "room1.jpg").read_bytes()[:300])
    for form in ("packed", "coco"):
        done = _pack(folder, "--out", tmp_path / "set", "--format", form)
        assert done.returncode == 8
        assert "room1.jpg" in done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["room"]


def test_nothing_labelled_is_not_packed(tmp_path: Path) -> None:
    unlabelled = [annotation(key, key, runs((0, 0, 60, 40)), iscrowd=1, ignore=1) for key in (1, 2)]
    folder = write_room(tmp_path / "room", unlabelled)
    assert (open_dataset(folder)[0].labels().semantic == IGNORE).all()
    done = _pack(folder, "--out", tmp_path / "set")
    assert done.returncode == 8
    assert "no labelled pixel in 1 photo" in done.stderr
    assert not (tmp_path / "set").exists()


def test_options_of_reading_reach_the_reader(tmp_path: Path) -> None:
    crowd = annotation(23, 3, polygon(TABLE), iscrowd=1)
    folder = write_room(tmp_path / "room", [*room(), annotation(21, 3, []), crowd])
    refused = _pack(folder, "--out", tmp_path / "set", "--crowds", "refuse")
    assert refused.returncode == 8
    assert [line.split()[1] for line in refused.stderr.splitlines()[1:]] == ["21", "23"]
    (folder / "photos").mkdir()
    (folder / "room1.jpg").rename(folder / "photos" / "room1.jpg")
    options = ["--skip-invalid", "--crowds", "instances", "--images", folder / "photos"]
    done = _pack(folder, "--out", tmp_path / "set", *options)
    assert done.returncode == 0, done.stderr
    assert "left out 1 invalid annotation: annotation 21" in done.stderr
    assert len(open_dataset(tmp_path / "set")) == 1


def test_a_dataset_is_not_packed_into_itself(tmp_path: Path) -> None:
    done = _pack(write_room(tmp_path / "set"), "--out", tmp_path / "set" / "packed", "--format", "coco")
    assert (done.returncode, done.stdout) == (6, "")
    assert "expected an output outside of the input" in done.stderr
