"""COCO files as other tools write them: layouts, crowds; every fault is reported before anything is learnt from it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from surfaces.classes import DINING_TABLE, IGNORE, OTHER, OTHER_TABLE
from surfaces.datasets import Labels, LabelScope, ReadOptions, open_dataset
from surfaces.datasets.coco_writer import write_coco
from surfaces.datasets.codec import COCO_BYTES_MAX
from surfaces.errors import DatasetError
from tests.coco_files import (
    FLOOR,
    SIZE_HW,
    TABLE,
    WALL,
    annotation,
    coco_content,
    polygon,
    room,
    runs,
    write_coco_file,
    write_photo,
    write_room,
)
from tests.surfaces.datasets.label_strategies import sample_of


def write_photos(folder: Path, *names: str) -> None:
    for name in names:
        write_photo(folder / name)


_BAD = {
    "a box alone": (annotation(21, 3, []), "expected polygons or RLE"),
    "no segmentation": ({"id": 21, "image_id": 1, "category_id": 3}, "expected polygons or RLE"),
    "two points": (annotation(21, 3, [[1, 2, 3, 4]]), "three points or more"),
    "numbers as text": (annotation(21, 3, [["1", "2", "3", "4", "5", "6"]]), "a polygon's numbers"),
    "runs of another size": (annotation(21, 3, {"size": [60, 40], "counts": [2400]}), "RLE of size"),
    "runs of a huge size": (annotation(21, 3, {"size": [10**9, 10**9], "counts": [10**18]}), "RLE of size"),
    "too many runs": (annotation(21, 3, {"size": [40, 60], "counts": [10**18, 10**18]}), "RLE"),
    "long packed runs": (annotation(21, 3, {"size": [40, 60], "counts": "o" * 40 + "0"}), "RLE"),
    "an unknown category": (annotation(21, 7, polygon(TABLE)), "category_id, got 7"),
    "a category as a name": (annotation(21, "wall", polygon(TABLE)), "category_id, got 'wall'"),
    "no category": ({"id": 21, "image_id": 1, "segmentation": polygon(TABLE)}, "category_id"),
    "an unknown image": (annotation(21, 3, polygon(TABLE), image=9), "image_id, got 9"),
    "iscrowd as a word": (annotation(21, 3, polygon(TABLE), iscrowd="no"), "0 or 1 as iscrowd, got 'no'"),
    "iscrowd as a list": (annotation(21, 3, polygon(TABLE), iscrowd=[]), "0 or 1 as iscrowd"),
}


@pytest.mark.parametrize(("bad", "message"), _BAD.values(), ids=_BAD)
def test_invalid_annotations_are_reported_or_skipped(
    tmp_path: Path, bad: dict[str, Any], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_room(tmp_path, [bad, *room()])
    with pytest.raises(DatasetError, match="annotation 21") as error:
        open_dataset(tmp_path)
    assert message in str(error.value)
    assert "--skip-invalid" in str(error.value)
    assert str(tmp_path / "annotations.json") in str(error.value)
    (sample,) = open_dataset(tmp_path, ReadOptions(skip_invalid=True))
    assert sample.labels().tables.max() == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "1 invalid annotation" in line
    assert "annotation 21" in line


def test_list_of_faults_is_capped(tmp_path: Path) -> None:
    bad = [annotation(key, 3, []) for key in range(100, 432)]
    with pytest.raises(DatasetError) as error:
        open_dataset(write_room(tmp_path, [*room(), *bad]))
    lines = str(error.value).splitlines()
    assert len(lines) == 22
    assert "got 332" in lines[0]
    assert [line.split()[1] for line in lines[1:21]] == [str(key) for key in range(100, 120)]
    assert lines[21].strip() == "and 312 more"


def test_faults_of_all_kinds_are_listed_together(tmp_path: Path) -> None:
    content = coco_content([annotation(21, 3, []), *room(2)], files=("room1.jpg", "room2.jpg", "gone.jpg"))
    content["images"] += [{"id": 2, "file_name": "b.jpg", "height": 40, "width": 60}, {"id": 5, "file_name": "c.jpg"}]
    write_photos(tmp_path, "room1.jpg", "room2.jpg")
    with pytest.raises(DatasetError) as error:
        open_dataset(write_coco_file(tmp_path / "set.json", content))
    first, *faults = str(error.value).splitlines()
    assert "got 4" in first
    assert "--images DIR" in first
    places = [" ".join(fault.split()[:2]).rstrip(":") for fault in faults]
    assert places == ["image 2", "image 5", "annotation 21", "image 3"]
    assert "'room2.jpg' and 'b.jpg'" in faults[0]


def test_duplicate_image_ids_are_always_refused(tmp_path: Path) -> None:
    content = coco_content(room(), files=("room1.jpg", "room2.jpg"))
    content["images"][1]["id"] = "1"
    write_photos(tmp_path, "room1.jpg", "room2.jpg")
    path = write_coco_file(tmp_path / "set.json", content)
    for options in (ReadOptions(), ReadOptions(skip_invalid=True)):
        with pytest.raises(DatasetError, match=r"one image an id, got 'room1\.jpg' and 'room2\.jpg'"):
            open_dataset(path, options)


@pytest.mark.parametrize(
    "size",
    [(10**9, 10**9), (0, 60), (-40, 60), ("forty", 60), (40.5, 60), (None, 60)],
    ids=["huge", "nothing", "negative", "a word", "a fraction", "null"],
)
def test_invalid_image_sizes(tmp_path: Path, size: tuple[object, object]) -> None:
    content = coco_content([])
    content["images"][0] |= {"height": size[0], "width": size[1]}
    write_photo(tmp_path / "room1.jpg")
    with pytest.raises(DatasetError, match="image 1: expected"):
        open_dataset(write_coco_file(tmp_path / "set.json", content))


def test_numeric_ids_and_flags_as_text(tmp_path: Path) -> None:
    content = coco_content(
        [annotation("11", "2", runs(FLOOR), "1", iscrowd="0"), annotation(12, 3.0, polygon(TABLE), 1.0, iscrowd=False)]
    )
    content["images"][0] |= {"id": "1", "height": "40", "width": 60.0}
    write_photo(tmp_path / "room1.jpg")
    (sample,) = open_dataset(write_coco_file(tmp_path / "set.json", content))
    labels = sample.labels()
    assert np.unique(labels.semantic).tolist() == [OTHER, 2, 3]
    assert labels.tables.max() == 1


def test_text_ids(tmp_path: Path) -> None:
    content = coco_content([annotation("a", 3, polygon(TABLE), "room-1"), annotation("b", 3, polygon(FLOOR), "01")])
    images = [{"id": name, "file_name": f"{name}.jpg", "height": 40, "width": 60} for name in ("room-1", "01", "1")]
    write_photos(tmp_path, "room-1.jpg", "01.jpg", "1.jpg")
    samples = open_dataset(write_coco_file(tmp_path / "set.json", content | {"images": images}))
    assert [int((sample.labels().tables > 0).sum()) for sample in samples] == [200, 1200, 0]


def test_missing_photos(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = coco_content([*room(), *room(2)], files=("room1.jpg", "gone.jpg"))
    path = write_coco_file(tmp_path / "set.json", content)
    write_photo(tmp_path / "room1.jpg")
    with pytest.raises(DatasetError, match=r"--images DIR.*image 2 \('gone\.jpg'\)"):
        open_dataset(path)
    assert [sample.name for sample in open_dataset(path, ReadOptions(skip_invalid=True))] == ["room1"]
    assert "left out 1 missing photo: image 2" in capsys.readouterr().err


def test_duplicate_photos_are_refused(tmp_path: Path) -> None:
    content = coco_content([], files=("room1.jpg", "/exports/room1.jpg"))
    write_photo(tmp_path / "room1.jpg")
    with pytest.raises(DatasetError, match="room1 twice"):
        open_dataset(write_coco_file(tmp_path / "set.json", content))


def test_too_many_tables(tmp_path: Path) -> None:
    tables = [annotation(key, 3, polygon(TABLE)) for key in range(255)]
    with pytest.raises(DatasetError, match="at most 254 dining tables, got 255"):
        open_dataset(write_room(tmp_path, tables))


@pytest.mark.parametrize(
    "names",
    [("Wall", "FLOOR", "Dining Table"), ("wall", "floor", "dining_table"), (" wall", "floor", "Dining-Table")],
    ids=["case", "underscore", "hyphen"],
)
def test_class_names_are_normalized(tmp_path: Path, names: tuple[str, ...]) -> None:
    (sample,) = open_dataset(write_room(tmp_path, names=names))
    assert np.unique(sample.labels().semantic).tolist() == [1, 2, 3]


def test_several_categories_of_one_class(tmp_path: Path) -> None:
    annotations = [*room(), annotation(21, 4, polygon((40, 25, 50, 35)))]
    (sample,) = open_dataset(write_room(tmp_path, annotations, ("wall", "floor", "dining table", "Dining table")))
    assert sample.labels().tables.max() == 2


def test_classes_without_a_category_are_unlabelled(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    annotations = [annotation(1, 1, polygon(TABLE)), annotation(2, 2, polygon(FLOOR))]
    (sample,) = open_dataset(write_room(tmp_path, annotations, ("dining table", "sofa")))
    assert np.unique(sample.labels().semantic).tolist() == [OTHER, DINING_TABLE.coco_id]
    assert sample.labels().scope == LabelScope(unlabelled=frozenset({1, 2}))
    missing, others = capsys.readouterr().err.splitlines()
    assert "no category for wall, floor among 'dining table', 'sofa'" in missing
    assert "1 annotation of other categories: 'sofa'" in others


def test_a_mapping_of_names(tmp_path: Path) -> None:
    annotations = [
        annotation(number, number, polygon(box)) for number, box in enumerate((WALL, FLOOR, TABLE, TABLE), 1)
    ]
    annotations[3]["segmentation"] = polygon((40, 25, 50, 35))
    write_room(tmp_path, annotations, ("Wand", "floor", "table", "dirt"))
    targets = {"Wand": 1, "floor": OTHER, "table": OTHER_TABLE, "dirt": IGNORE}
    (sample,) = open_dataset(tmp_path, ReadOptions(targets=targets))
    expected = np.zeros(SIZE_HW, np.uint8)
    expected[:20], expected[25:35, 10:30], expected[25:35, 40:50] = 1, OTHER_TABLE, IGNORE
    np.testing.assert_array_equal(sample.labels().semantic, expected)
    assert sample.labels().scope == LabelScope(unlabelled=frozenset({2, 3}))


def test_no_known_classes(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="got 'Table', 'chair'"):
        open_dataset(write_room(tmp_path, [], ("Table", "chair")))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_byte_order_marks_and_encodings(tmp_path: Path, encoding: str) -> None:
    write_photo(tmp_path / "room1.jpg")
    write_coco_file(tmp_path / "labels.json", coco_content(room()), encoding)
    (sample,) = open_dataset(tmp_path)
    assert sample.labels().tables.max() == 1


@pytest.mark.parametrize("key", ["images", "annotations", "categories"])
@pytest.mark.parametrize(
    "value",
    [None, {}, "text", [None], [[]], ["text"], [{"id": True}]],
    ids=["null", "an object", "text", "nulls", "lists", "texts", "no ids"],
)
def test_entries_of_wrong_types(tmp_path: Path, key: str, value: object) -> None:
    write_photo(tmp_path / "room1.jpg")
    path = write_coco_file(tmp_path / "set.json", coco_content(room()) | {key: value})
    with pytest.raises(DatasetError, match="expected"):
        open_dataset(path)


def test_unreadable_path(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"expected a readable dataset at .*File name too long"):
        open_dataset(tmp_path / ("x" * 300))


@pytest.mark.parametrize(
    "segmentation",
    [
        polygon((-30, -30, -5, -5)),
        [[40, 20, 50, 20, 45, 20]],
        {"size": list(SIZE_HW), "counts": [SIZE_HW[0] * SIZE_HW[1]]},
    ],
    ids=["outside the photo", "without area", "only background"],
)
def test_empty_annotations_are_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], segmentation: object
) -> None:
    open_dataset(write_room(tmp_path, [*room()[:2], annotation(13, 3, segmentation)]))
    assert "left out 1 annotation without a pixel: annotation 13 of image 1" in capsys.readouterr().err


def test_normalized_coordinates_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"annotation 13 .*expected points in pixels, got shares of the photo"):
        open_dataset(write_room(tmp_path, [*room()[:2], annotation(13, 3, polygon((0.1, 0.1, 0.4, 0.4)))]))


def test_skipped_annotations_leave_pixels_unlabelled(tmp_path: Path) -> None:
    folder = write_room(tmp_path, [annotation(11, 1, polygon(WALL)), annotation(12, 2, [])])
    (sample,) = open_dataset(folder, ReadOptions(skip_invalid=True))
    assert set(np.unique(sample.labels().semantic)) == {1, IGNORE}


def test_duplicate_annotation_ids_are_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (sample,) = open_dataset(write_room(tmp_path, [{**entry, "id": 7} for entry in room()]))
    assert "1 id of several annotations, each of which is read: 7" in capsys.readouterr().err
    assert set(np.unique(sample.labels().semantic)) == {1, 2, 3}


# iscrowd, which some tools set on every RLE

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
    write_coco([sample_of(labels)], tmp_path / "set")
    path = tmp_path / "set" / "annotations.json"
    if written_by == "before":  # version 0.1.0 knew no `ignore`
        content = json.loads(path.read_text("utf-8"))
        for entry in content["annotations"]:
            del entry["ignore"]
        write_coco_file(path, content)
    np.testing.assert_array_equal(open_dataset(path)[0].labels().semantic, semantic)
    assert capsys.readouterr().err == ""


def test_panoptic_categories(tmp_path: Path) -> None:
    content = coco_content([*_CROWDS, annotation(13, 3, polygon(TABLE))])
    for category in content["categories"]:
        category |= {"isthing": int(category["id"] == 3), "supercategory": "room", "color": [1, 2, 3]}
    write_photo(tmp_path / "room1.jpg")
    (sample,) = open_dataset(write_coco_file(tmp_path / "set.json", content))
    assert set(np.unique(sample.labels().semantic)) == {1, 2, 3}


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


_LEAVING = ["", *(f"{up}room1.jpg" for up in ("../", "..\\", "%2e%2e/", "..%2f", "/a/../../", "a/../../"))]


@pytest.mark.parametrize("file_name", _LEAVING)
def test_names_outside_of_the_folder_are_refused(tmp_path: Path, file_name: str) -> None:
    write_photo(tmp_path / "room1.jpg")
    path = write_coco_file(tmp_path / "set" / "labels.json", coco_content(room(), files=(file_name,)))
    for options in (ReadOptions(), ReadOptions(skip_invalid=True), ReadOptions(images=tmp_path / "set")):
        with pytest.raises(DatasetError, match="inside the dataset"):
            open_dataset(path, options)


def test_absolute_names_are_not_opened(tmp_path: Path) -> None:
    photo = write_photo(tmp_path / "elsewhere" / "other.jpg")
    path = write_coco_file(tmp_path / "set" / "labels.json", coco_content(room(), files=(str(photo),)))
    with pytest.raises(DatasetError, match="inside the dataset"):
        open_dataset(path)


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


def test_a_file_larger_than_memory_is_refused_with_advice(tmp_path: Path) -> None:
    path = tmp_path / "instances_train.json"
    with path.open("wb") as file:
        file.write(b'{"images": [')
        file.truncate(COCO_BYTES_MAX + 1)  # sparse: it takes no space
    for place in (path, tmp_path):
        with pytest.raises(DatasetError, match="distill data import coco"):
            open_dataset(place)
