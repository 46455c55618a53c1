"""LabelMe's files: every kind of shape, groups, photos beside and inside, faults."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from surfaces.classes import DINING_TABLE, FLOOR, IGNORE, WALL
from surfaces.datasets import LabelScope, ReadOptions, open_dataset
from surfaces.datasets.labelme import parse_labelme
from surfaces.errors import DatasetError
from surfaces.images.encode import encode_png
from tests.coco_files import SIZE_HW, write_photo


def shape(label: str, points: object, kind: str | None = "polygon", **more: object) -> dict[str, Any]:
    """A shape with LabelMe's keys."""
    keys = {"group_id": None, "description": "", "flags": {}, "mask": None}
    return {"label": label, "points": points, "shape_type": kind} | keys | more


def rectangle(label: str, left: int, top: int, right: int, bottom: int, **more: object) -> dict[str, Any]:
    """A rectangle of whole pixels, right and bottom exclusive."""
    return shape(label, [[left, top], [right - 1, bottom - 1]], "rectangle", **more)


def write(path: Path, shapes: list[Any], **more: object) -> Path:
    """A LabelMe file for the photo of its name beside it."""
    keys = {"version": "6.3.1", "flags": {}, "imagePath": f"{path.stem}.jpg", "imageData": None}
    height, width = SIZE_HW
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(keys | {"shapes": shapes, "imageHeight": height, "imageWidth": width} | more), "utf-8")
    return path


ROOM = [rectangle("wall", 0, 0, 60, 20), rectangle("floor", 0, 20, 60, 40)]


def semantic_of(root: Path, *shapes: dict[str, Any]) -> np.ndarray:
    write_photo(root / "a.jpg")
    write(root / "a.json", list(shapes))
    (sample,) = open_dataset(root)
    return sample.labels().semantic


def test_rectangles_whatever_their_first_corner(tmp_path: Path) -> None:
    table = shape("Dining_Table", [[29, 34], [10, 25]], "rectangle")
    expected = np.ones(SIZE_HW, np.uint8)
    expected[20:], expected[25:35, 10:30] = 2, 3
    np.testing.assert_array_equal(semantic_of(tmp_path, *ROOM, table), expected)


@pytest.mark.parametrize("kind", ["polygon", None, "oriented_rectangle"])
def test_polygons(tmp_path: Path, kind: str | None) -> None:
    rows, columns = np.indices(SIZE_HW)
    diamond = [[30, 10], [40, 20], [30, 30], [20, 20]]
    expected = np.where(abs(rows - 20) + abs(columns - 30) <= 10, WALL.coco_id, 0)
    np.testing.assert_array_equal(semantic_of(tmp_path, shape("wall", diamond, kind)), expected)


def test_circles(tmp_path: Path) -> None:
    rows, columns = np.indices(SIZE_HW)
    distance = np.hypot(rows - 20, columns - 30)
    semantic = semantic_of(tmp_path, shape("floor", [[30, 20], [30, 30]], "circle"))
    assert (semantic[distance <= 9.5] == FLOOR.coco_id).all()
    assert not semantic[distance >= 10.75].any()


@pytest.mark.parametrize("corner", [(10, 5), (-3, -2), (55, 36), (70, 50)])
def test_masks_are_placed_at_their_first_point(tmp_path: Path, corner: tuple[int, int]) -> None:
    crop = np.zeros((8, 12), np.uint8)
    crop[:3], crop[:, 9:] = 1, 1
    left, top = corner
    points = [[left, top], [left + 11, top + 7]]
    mask = base64.b64encode(encode_png(crop * 255)).decode()
    expected = np.zeros(SIZE_HW, np.uint8)
    for row, column in zip(*crop.nonzero(), strict=True):
        if 0 <= top + row < SIZE_HW[0] and 0 <= left + column < SIZE_HW[1]:
            expected[top + row, left + column] = 1
    np.testing.assert_array_equal(semantic_of(tmp_path, shape("wall", points, "mask", mask=mask)), expected)


def test_groups_are_one_object(tmp_path: Path) -> None:
    write_photo(tmp_path / "a.jpg")
    boxes = [(0, 0, 10, 10), (20, 0, 30, 10), (40, 0, 50, 10), (0, 20, 10, 30), (20, 20, 30, 30)]
    groups = [1, None, 1, 2, None]
    write(
        tmp_path / "a.json",
        [rectangle("dining table", *box, group_id=group) for box, group in zip(boxes, groups, strict=True)]
        + [rectangle("chair", 50, 30, 60, 40, group_id=1)],
    )
    (sample,) = open_dataset(tmp_path)
    tables = sample.labels().tables
    assert [tables[top, left] for left, top, *_ in boxes] == [1, 2, 1, 3, 4]
    assert (tables > 0).sum() == 500


def test_ignored_regions_and_classes_that_never_occur(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    semantic = semantic_of(tmp_path, rectangle("__ignore__", 0, 0, 60, 40), rectangle("wall", 0, 0, 60, 20))
    assert (semantic[:20] == WALL.coco_id).all()
    assert (semantic[20:] == IGNORE).all()
    (sample,) = open_dataset(tmp_path)
    assert sample.labels().scope == LabelScope(unlabelled=frozenset({FLOOR.coco_id, DINING_TABLE.coco_id}))
    assert "no class for floor, dining table among '__ignore__', 'wall'" in capsys.readouterr().err


def test_nested_folders_and_other_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("one/a", "two/deep/a"):
        write_photo(tmp_path / f"{name}.jpg")
        write(
            tmp_path / f"{name}.json",
            [*ROOM, shape("wall", [[1, 1]], "point"), shape("wall", [[1, 1], [2, 2]], "line")],
        )
    (tmp_path / "notes.json").write_text("{}")
    assert [sample.name for sample in open_dataset(tmp_path)] == ["one/a", "two/deep/a"]
    error = capsys.readouterr().err
    assert "left out 4 shapes without an area" in error
    assert "passed over 1 JSON file not of LabelMe: notes.json" in error


@pytest.mark.parametrize(
    "path", ["../photos/a.jpg", "..\\photos\\a.jpg", "/home/me/photos/a.jpg", "C:\\set\\photos\\a.jpg"]
)
def test_photos_elsewhere_in_the_dataset(tmp_path: Path, path: str) -> None:
    photo = write_photo(tmp_path / "photos" / "a.jpg")
    write(tmp_path / "labels" / "a.json", ROOM, imagePath=path)
    (sample,) = open_dataset(tmp_path)
    assert (sample.name, sample.encoded_image()) == ("labels/a", photo.read_bytes())


def test_folders_of_photos_and_labels(tmp_path: Path) -> None:
    write_photo(tmp_path / "images" / "a.jpg")
    write(tmp_path / "labels" / "a.json", ROOM, imagePath="../images/a.jpg")
    assert [sample.name for sample in open_dataset(tmp_path)] == ["labels/a"]


def test_photos_inside_the_file(tmp_path: Path) -> None:
    photo = write_photo(tmp_path / "a.jpg").read_bytes()
    write(tmp_path / "a.json", ROOM, imageData=base64.b64encode(photo).decode(), imagePath="gone.jpg")
    (tmp_path / "a.jpg").unlink()
    (sample,) = open_dataset(tmp_path)
    assert sample.encoded_image() == photo
    assert sample.image().shape[:2] == sample.labels().size_hw == SIZE_HW
    write(tmp_path / "a.json", ROOM, imageData=base64.b64encode(b"secret").decode())
    with pytest.raises(DatasetError, match="expected a photo"):
        open_dataset(tmp_path)[0].image()


@pytest.mark.security
@pytest.mark.parametrize("path", ["../secret.jpg", "a/../../secret.jpg", "/etc/passwd", "\0", ""])
def test_photos_outside_of_the_dataset(tmp_path: Path, path: str) -> None:
    write_photo(tmp_path / "secret.jpg")
    write(tmp_path / "set" / "a.json", ROOM, imagePath=path)
    with pytest.raises(DatasetError, match=r"a\.json: expected a photo in the dataset as imagePath"):
        open_dataset(tmp_path / "set")


def test_a_photo_of_another_size(tmp_path: Path) -> None:
    write_photo(tmp_path / "a.jpg", (30, 30))
    write(tmp_path / "a.json", ROOM)
    with pytest.raises(DatasetError, match=r"a\.json: expected labels of \(30, 30\) .* got \(40, 60\)"):
        open_dataset(tmp_path)[0].labels()


def test_files_without_a_size(tmp_path: Path) -> None:
    write_photo(tmp_path / "a.jpg")
    write(tmp_path / "a.json", ROOM, imageHeight=None, imageWidth=None)
    assert open_dataset(tmp_path)[0].labels().size_hw == SIZE_HW


BAD_SHAPES: dict[str, tuple[object, str]] = {
    "no shape": (7, "expected a shape with a label"),
    "no label": (shape("", [[0, 0], [5, 5]], "rectangle") | {"label": None}, "expected a shape with a label"),
    "two points": (shape("wall", [[0, 0], [5, 5]]), "expected 3 points or more for a polygon, got 2"),
    "three corners": (shape("wall", [[0, 0], [5, 5], [9, 9]], "rectangle"), "expected 2 points for a rectangle, got 3"),
    "far points": (shape("wall", [[0, 0], [1e9, 5]], "rectangle"), "expected points near the photo"),
    "no numbers": (shape("wall", [["0", 0], [5, 5]], "rectangle"), "expected points near the photo"),
    "not a number": (shape("wall", [[float("nan"), 0], [5, 5]], "rectangle"), "expected points near the photo"),
    "an unknown kind": (shape("wall", [[0, 0]], "cube"), "shape_type, got 'cube'"),
    "a kind of kinds": (shape("wall", [[0, 0]]) | {"shape_type": ["polygon"]}, "shape_type"),
    "a group of groups": (rectangle("wall", 0, 0, 5, 5, group_id=[1]), "group_id, got"),
    "no mask": (shape("wall", [[0, 0], [5, 5]], "mask"), "expected bytes as base64"),
    "no PNG": (shape("wall", [[0, 0], [5, 5]], "mask", mask="AAAA"), "expected a PNG file in mask"),
}


@pytest.mark.parametrize(("bad", "message"), BAD_SHAPES.values(), ids=BAD_SHAPES)
def test_faulty_shapes_are_listed_or_left_out(
    tmp_path: Path, bad: object, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_photo(tmp_path / "a.jpg")
    write(tmp_path / "a.json", [ROOM[0], bad])
    with pytest.raises(DatasetError, match=r"a\.json: shape 2: ") as error:
        open_dataset(tmp_path)
    assert message in str(error.value)
    (sample,) = open_dataset(tmp_path, ReadOptions(skip_invalid=True))
    assert "left out 1 invalid annotations or photos: a.json" in capsys.readouterr().err
    semantic = sample.labels().semantic
    assert (semantic[:20] == WALL.coco_id).all()
    assert (semantic[20:] == IGNORE).all()


BAD_FILES: dict[str, tuple[dict[str, object], str]] = {
    "no list of shapes": ({"shapes": {}}, "a list of shapes"),
    "no path": ({"imagePath": None}, "a text as imagePath"),
    "a huge size": ({"imageHeight": 10**9}, "imageHeight and imageWidth"),
    "a size as a text": ({"imageWidth": "60"}, "imageHeight and imageWidth"),
}


@pytest.mark.parametrize(("changed", "message"), BAD_FILES.values(), ids=BAD_FILES)
def test_faulty_files(tmp_path: Path, changed: dict[str, object], message: str) -> None:
    for name in "ab":
        write_photo(tmp_path / f"{name}.jpg")
        write(tmp_path / f"{name}.json", ROOM)
    path = tmp_path / "a.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))
    with pytest.raises(DatasetError, match=rf"a\.json: .*{message}"):
        open_dataset(tmp_path)
    assert [sample.name for sample in open_dataset(tmp_path, ReadOptions(skip_invalid=True))] == ["b"]


def test_a_file_that_is_cut_off(tmp_path: Path) -> None:
    write_photo(tmp_path / "a.jpg")
    path = write(tmp_path / "a.json", ROOM)
    path.write_text(path.read_text()[:-5])
    with pytest.raises(DatasetError, match=r"a\.json: expected a JSON file"):
        open_dataset(tmp_path)


_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers(-100, 100) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
_SHAPES = st.fixed_dictionaries(
    {
        "label": st.sampled_from(["wall", "dining table"]) | _JSON,
        "points": st.lists(st.lists(st.floats(-50, 100), min_size=2, max_size=2), max_size=5) | _JSON,
        "shape_type": st.sampled_from(["polygon", "rectangle", "circle", "mask", "point"]) | _JSON,
        "group_id": _JSON,
        "mask": _JSON,
    }
)


@given(shapes=st.lists(_SHAPES, max_size=3) | _JSON, height=st.sampled_from([40, None]) | _JSON)
def test_any_content(shapes: Any, height: Any) -> None:
    content = {"shapes": shapes, "imagePath": "a.jpg", "imageHeight": height, "imageWidth": 60}
    try:
        found = parse_labelme(content)
    except DatasetError:
        return
    assert len(found.shapes) + len(found.faults) + found.without_area == len(shapes)
    for region in found.read(SIZE_HW).regions:
        assert region.draw().dtype == np.bool_
