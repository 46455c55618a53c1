"""Folders as CVAT, Roboflow, FiftyOne, LabelMe and Label Studio export them."""

from __future__ import annotations

from pathlib import Path

import pytest

from surfaces.datasets import ReadOptions, open_dataset
from surfaces.errors import DatasetError
from tests.coco_files import coco_content, room, write_coco_file, write_photo

# The COCO file, an image's `file_name` in it, and where the photo is.
_LAYOUTS = {
    "cvat": ("annotations/instances_default.json", "room1.jpg", "images/default/room1.jpg"),
    "cvat, older": ("annotations/instances_default.json", "room1.jpg", "images/room1.jpg"),
    "coco": ("annotations/instances_train2017.json", "room1.jpg", "train2017/room1.jpg"),
    "roboflow": ("train/_annotations.coco.json", "room1.jpg", "train/room1.jpg"),
    "roboflow, one folder": ("_annotations.coco.json", "room1.jpg", "room1.jpg"),
    "fiftyone": ("labels.json", "room1.jpg", "data/room1.jpg"),
    "labelme": ("annotations.json", "JPEGImages/room1.jpg", "JPEGImages/room1.jpg"),
    "label studio": ("result.json", "images/room1.jpg", "images/room1.jpg"),
    "label studio on windows": ("result.json", "images\\room1.jpg", "images/room1.jpg"),
    "percent": ("result.json", "images/room%201.jpg", "images/room 1.jpg"),
    "percent in the name": ("result.json", "images/50%25.jpg", "images/50%25.jpg"),
}


@pytest.mark.parametrize(("file", "file_name", "photo"), _LAYOUTS.values(), ids=_LAYOUTS)
def test_layouts_of_other_tools(
    tmp_path: Path, file: str, file_name: str, photo: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_coco_file(tmp_path / file, coco_content(room(), files=(file_name,)))
    write_photo(tmp_path / photo)
    for opened in (open_dataset(tmp_path), open_dataset(path)):
        (sample,) = opened
        assert sample.encoded_image() == (tmp_path / photo).read_bytes()
        assert sample.labels().tables.max() == 1
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "file_name",
    [
        "/exports/rooms/data/room1.jpg",
        "C:\\rooms\\data\\room1.jpg",
        "\\\\server\\data\\room1.jpg",
        "https://example.org/data/room1.jpg",
        "file:///exports/data/room1.jpg",
    ],
    ids=["posix", "windows", "share", "address", "file address"],
)
def test_absolute_names_are_found_by_their_end(
    tmp_path: Path, file_name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_coco_file(tmp_path / "labels.json", coco_content(room(), files=(file_name,)))
    write_photo(tmp_path / "data" / "room1.jpg")
    assert [sample.name for sample in open_dataset(path)] == ["data/room1"]
    (line,) = capsys.readouterr().err.splitlines()
    assert "1 photo found by the end" in line


def test_images_option(tmp_path: Path) -> None:
    photo = write_photo(tmp_path / "elsewhere" / "rooms" / "room1.jpg")
    file_names = (str(photo), "rooms/room1.jpg", "images/room1.jpg")
    for file_name in file_names:
        path = write_coco_file(tmp_path / "set" / "labels.json", coco_content(room(), files=(file_name,)))
        with pytest.raises(DatasetError, match="--images DIR"):
            open_dataset(path)
        for folder in (photo.parent, photo.parent.parent) if "rooms" in file_name else (photo.parent,):
            (sample,) = open_dataset(path, ReadOptions(images=folder))
            assert sample.encoded_image() == photo.read_bytes()
    with pytest.raises(DatasetError, match="expected the folder of the photos"):
        open_dataset(path, ReadOptions(images=tmp_path / "nowhere"))


@pytest.mark.parametrize(
    "file_name",
    ["../room1.jpg", "..\\room1.jpg", "%2e%2e/room1.jpg", "/a/../../room1.jpg"],
    ids=["slash", "backslash", "percent", "absolute"],
)
def test_names_outside_of_the_folder_are_refused(tmp_path: Path, file_name: str) -> None:
    write_photo(tmp_path / "room1.jpg")
    path = write_coco_file(tmp_path / "set" / "labels.json", coco_content(room(), files=(file_name,)))
    for options in (ReadOptions(), ReadOptions(skip_invalid=True), ReadOptions(images=tmp_path / "set")):
        with pytest.raises(DatasetError, match="inside the dataset"):
            open_dataset(path, options)


_SPLITS = {
    "roboflow": ("{}/_annotations.coco.json", "{}/room1.jpg", ["test", "train", "valid"]),
    "cvat": ("annotations/instances_{}.json", "images/{}/room1.jpg", ["train", "validation"]),
    "fiftyone": ("{}/labels.json", "{}/data/room1.jpg", ["train", "val"]),
}


@pytest.mark.parametrize(("file", "photo", "splits"), _SPLITS.values(), ids=_SPLITS)
def test_splits_are_read_as_one_dataset(
    tmp_path: Path, file: str, photo: str, splits: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    for split in splits:
        write_coco_file(tmp_path / file.format(split), coco_content(room()))
        write_photo(tmp_path / photo.format(split))
    assert [sample.name for sample in open_dataset(tmp_path)] == [f"{split}/room1" for split in splits]
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{len(splits)} COCO files are read as one dataset" in line


def test_photos_in_several_splits_are_refused(tmp_path: Path) -> None:
    for split in ("train", "train_corrected"):
        write_coco_file(tmp_path / "annotations" / f"instances_{split}.json", coco_content(room()))
    write_photo(tmp_path / "images" / "room1.jpg")
    with pytest.raises(DatasetError, match=r"room1\.jpg: labelled as train/room1 and train_corrected/room1"):
        open_dataset(tmp_path)


def test_several_coco_files_of_a_folder_are_listed(tmp_path: Path) -> None:
    write_photo(tmp_path / "room1.jpg")
    for name in ("first.json", "second.json"):
        write_coco_file(tmp_path / name, coco_content(room()))
    write_coco_file(tmp_path / "settings.json", {"images": 3})
    write_coco_file(tmp_path / "._first.json", coco_content(room()))
    with pytest.raises(DatasetError, match=r"got first\.json, second\.json: name one"):
        open_dataset(tmp_path)
    (tmp_path / "second.json").unlink()
    assert len(open_dataset(tmp_path)) == 1


def test_damaged_splits_are_refused(tmp_path: Path) -> None:
    for split in ("train", "valid"):
        write_photo(tmp_path / split / "room1.jpg")
        write_coco_file(tmp_path / split / "_annotations.coco.json", coco_content(room()))
    (tmp_path / "valid" / "_annotations.coco.json").write_text("{")
    with pytest.raises(DatasetError, match=r"expected a COCO file in .*valid"):
        open_dataset(tmp_path)
