"""Every fault of a COCO file is told before anything is learnt from it."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from surfaces.classes import DINING_TABLE, IGNORE, OTHER
from surfaces.datasets import LabelScope, ReadOptions, open_dataset
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
def test_invalid_annotations_are_reported_by_id(tmp_path: Path, bad: dict[str, Any], message: str) -> None:
    with pytest.raises(DatasetError, match="annotation 21") as error:
        open_dataset(write_room(tmp_path, [*room(), bad]))
    assert message in str(error.value)
    assert "--skip-invalid" in str(error.value)
    assert str(tmp_path / "annotations.json") in str(error.value)


@pytest.mark.parametrize("bad", [bad for bad, _ in _BAD.values()], ids=_BAD)
def test_skip_invalid_annotations(tmp_path: Path, bad: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    (sample,) = open_dataset(write_room(tmp_path, [bad, *room()]), ReadOptions(skip_invalid=True))
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
    for name in ("room1.jpg", "room2.jpg"):
        write_photo(tmp_path / name)
    with pytest.raises(DatasetError) as error:
        open_dataset(write_coco_file(tmp_path / "set.json", content))
    first, *faults = str(error.value).splitlines()
    assert "got 4" in first
    assert "--images DIR" in first
    assert [" ".join(fault.split()[:2]).rstrip(":") for fault in faults] == [
        "image 2",
        "image 5",
        "annotation 21",
        "image 3",
    ]
    assert "'room2.jpg' and 'b.jpg'" in faults[0]


def test_duplicate_image_ids_are_always_refused(tmp_path: Path) -> None:
    content = coco_content(room(), files=("room1.jpg", "room2.jpg"))
    content["images"][1]["id"] = "1"
    for name in ("room1.jpg", "room2.jpg"):
        write_photo(tmp_path / name)
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
    for image in images:
        write_photo(tmp_path / str(image["file_name"]))
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


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.sampled_from([0, 1, 2, "1"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=4,
)
_KEYS = ("id", "image_id", "category_id", "segmentation", "iscrowd", "ignore", "name", "file_name", "height", "width")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    places=st.lists(
        st.tuples(st.sampled_from(["images", "annotations", "categories"]), st.integers(0, 2), st.sampled_from(_KEYS)),
        max_size=3,
    ),
    data=st.data(),
)
def test_any_values_are_read_or_refused(
    tmp_path: Path, places: list[tuple[str, int, str]], data: st.DataObject
) -> None:
    content = coco_content(room())
    for kind, place, key in places:
        entries = content[kind]
        entries[place % len(entries)][key] = data.draw(_VALUES)
    write_photo(tmp_path / "room1.jpg")
    path = write_coco_file(tmp_path / "set.json", content)
    with contextlib.suppress(DatasetError):
        for sample in open_dataset(path, ReadOptions(skip_invalid=True)):
            assert sample.labels().semantic.shape == sample.image().shape[:2]


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
