from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from distill.__main__ import main
from distill.datasets import names_of
from surfaces.classes import IGNORE
from surfaces.datasets import open_dataset
from surfaces.images.load import load_image
from tests.coco_files import TABLE, annotation, polygon, room, runs, write_room
from tests.distill.training import ROOMS

Pack = Callable[..., tuple[int, str, str]]


@pytest.fixture
def pack(capsys: pytest.CaptureFixture[str]) -> Pack:
    """Exit code, output and errors of the command."""

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        try:
            code = main(["pack", *map(str, arguments)])
        except SystemExit as stopped:
            code = int(str(stopped.code))
        return code, *capsys.readouterr()

    return run


@pytest.mark.parametrize("form", ["packed", "coco"])
def test_names_that_clash_are_refused(pack: Pack, tmp_path: Path, form: str) -> None:
    code, _, err = pack(ROOMS, ROOMS / "annotations.json", "--out", tmp_path / "set", "--format", form)
    assert code == 8
    assert "2 called rooms/room_01" in err
    assert list(tmp_path.iterdir()) == []


def test_files_of_one_folder_have_names_of_their_own(tmp_path: Path) -> None:
    for name in ("train.json", "val.json"):
        (tmp_path / name).touch()
    other = tmp_path / "other"
    other.mkdir()
    assert names_of([tmp_path / "train.json", tmp_path / "val.json", other]) == ["train", "val", "other"]
    assert names_of([tmp_path / "train.json", other]) == [tmp_path.name, "other"]


def test_a_packed_dataset_becomes_coco_and_stays_the_same(pack: Pack, tmp_path: Path) -> None:
    _, out, _ = pack(ROOMS, "--out", tmp_path / "packed", "--max-bytes", "200000")
    assert out.strip() == str(tmp_path / "packed")
    assert pack(tmp_path / "packed", "--out", tmp_path / "coco", "--format", "coco")[0] == 0
    for original, copy in zip(open_dataset(ROOMS), open_dataset(tmp_path / "coco"), strict=True):
        assert copy.name == original.name
        np.testing.assert_array_equal(copy.labels().semantic, original.labels().semantic)
        np.testing.assert_array_equal(copy.labels().tables, original.labels().tables)
        assert copy.encoded_image() == original.encoded_image()


def test_two_datasets_keep_their_names_apart(pack: Pack, tmp_path: Path) -> None:
    assert pack(ROOMS, "--out", tmp_path / "small", "--longest-side", "64")[0] == 0
    code, _, err = pack(ROOMS, tmp_path / "small", "--out", tmp_path / "both")
    assert code == 0, err
    assert "36 photos" in err
    both = open_dataset(tmp_path / "both")
    assert [both[0].name, both[18].name] == ["rooms/room_01", "small/room_01"]
    assert max(both[18].image().shape) == 64


@pytest.mark.parametrize("arguments", ["--longest-side 0", "--max-bytes -1", "--format voc"])
def test_bad_arguments_are_refused(pack: Pack, tmp_path: Path, arguments: str) -> None:
    assert pack(ROOMS, "--out", tmp_path / "set", *arguments.split())[0] == 2
    assert not (tmp_path / "set").exists()


def test_a_folder_that_exists_is_left_alone(pack: Pack, tmp_path: Path) -> None:
    code, _, err = pack(ROOMS, "--out", tmp_path)
    assert code == 6
    assert "exists" in err
    assert list(tmp_path.iterdir()) == []


def test_a_turned_photo_is_written_upright_under_its_suffix(pack: Pack, tmp_path: Path) -> None:
    folder = write_room(tmp_path / "room")
    stored = np.zeros((60, 40, 3), np.uint8)
    stored[:30] = 200
    exif = Pillow.Exif()
    exif[274] = 6
    Pillow.fromarray(stored).save(folder / "room1.jpg", "WEBP", exif=exif)
    assert pack(folder, "--out", tmp_path / "coco", "--format", "coco")[0] == 0
    (photo,) = (tmp_path / "coco" / "images").iterdir()
    with Pillow.open(photo) as file:  # as readers see it that know no EXIF
        assert (file.format, file.size, photo.suffix) == ("JPEG", (60, 40), ".jpg")
    difference = load_image(str(photo)).astype(int) - load_image(str(folder / "room1.jpg"))
    assert np.abs(difference).mean() < 5


@pytest.mark.parametrize("form", ["packed", "coco"])
def test_unreadable_photos_are_reported_before_anything_is_kept(pack: Pack, tmp_path: Path, form: str) -> None:
    folder = write_room(tmp_path / "room")
    (folder / "room1.jpg").write_bytes((folder / "room1.jpg").read_bytes()[:300])
    code, _, err = pack(folder, "--out", tmp_path / "set", "--format", form)
    assert code == 8
    assert "room1.jpg" in err
    assert len(err.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["room"]


def test_unlabelled_photos_are_not_packed(pack: Pack, tmp_path: Path) -> None:
    unlabelled = [annotation(key, key, runs((0, 0, 60, 40)), iscrowd=1, ignore=1) for key in (1, 2)]
    folder = write_room(tmp_path / "room", unlabelled)
    assert (open_dataset(folder)[0].labels().semantic == IGNORE).all()
    code, _, err = pack(folder, "--out", tmp_path / "set")
    assert code == 8
    assert "no labelled pixel in 1 photo" in err
    assert not (tmp_path / "set").exists()


def test_unlabelled_photos_are_packed_with_soft_labels(pack: Pack, tmp_path: Path) -> None:
    data = tmp_path / "photos"
    shutil.copytree(ROOMS / "images", data / "images")
    (data / "masks").mkdir()
    for path in (data / "images").iterdir():
        Pillow.new("L", Pillow.open(path).size).save(data / "masks" / f"{path.stem}.png")
    (data / "dataset.toml").write_text("labelled = []")
    assert pack(data, "--out", tmp_path / "none")[0] == 8
    assert pack(data, "--out", tmp_path / "packed", "--soft-labels", "shipped")[0] == 0
    labels = open_dataset(tmp_path / "packed")[0].labels()
    assert labels.soft_labels is not None
    assert len(labels.scope.unlabelled) == 3


def test_options_of_reading_reach_the_reader(pack: Pack, tmp_path: Path) -> None:
    crowd = annotation(23, 3, polygon(TABLE), iscrowd=1)
    folder = write_room(tmp_path / "room", [*room(), annotation(21, 3, []), crowd])
    code, _, err = pack(folder, "--out", tmp_path / "set", "--crowds", "refuse")
    assert code == 8
    assert [line.split()[1] for line in err.splitlines()[1:]] == ["21", "23"]
    (folder / "photos").mkdir()
    (folder / "room1.jpg").rename(folder / "photos" / "room1.jpg")
    options = ["--skip-invalid", "--crowds", "instances", "--images", folder / "photos"]
    code, _, err = pack(folder, "--out", tmp_path / "set", *options)
    assert code == 0, err
    assert "left out 1 invalid annotation: annotation 21" in err
    assert len(open_dataset(tmp_path / "set")) == 1


def test_a_dataset_is_not_packed_into_itself(pack: Pack, tmp_path: Path) -> None:
    code, out, err = pack(write_room(tmp_path / "set"), "--out", tmp_path / "set" / "packed", "--format", "coco")
    assert (code, out) == (6, "")
    assert "expected an output outside of the input" in err
