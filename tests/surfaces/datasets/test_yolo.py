"""YOLO datasets in the layouts of several tools; every faulty line is listed with its file and number."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image

from surfaces.classes import DINING_TABLE, FLOOR, IGNORE, OTHER, OTHER_TABLE, WALL
from surfaces.datasets import Labels, LabelScope, ReadOptions, open_dataset
from surfaces.datasets.foreign import ForeignSample
from surfaces.datasets.yolo import parse_line
from surfaces.errors import DatasetError
from tests.coco_files import SIZE_HW, write_photo

HEIGHT, WIDTH = SIZE_HW
NAMES = "names: [wall, floor, dining table, chair]\n"


def line(number: int, box: tuple[int, int, int, int]) -> str:
    """A rectangle of whole pixels (left, top, right, bottom, exclusive) as a polygon through their middles."""
    left, top, right, bottom = box
    corners = ((left, top), (right - 1, top), (right - 1, bottom - 1), (left, bottom - 1))
    return f"{number} " + " ".join(f"{(x + 0.5) / WIDTH:.6f} {(y + 0.5) / HEIGHT:.6f}" for x, y in corners)


def box_line(number: int, box: tuple[int, int, int, int]) -> str:
    left, top, right, bottom = box
    shares = (left + right) / 2 / WIDTH, (top + bottom) / 2 / HEIGHT, (right - left) / WIDTH, (bottom - top) / HEIGHT
    return f"{number} " + " ".join(f"{share:.6f}" for share in shares)


def filled(*regions: tuple[int, tuple[int, int, int, int]]) -> np.ndarray:
    """A map with rectangles drawn one after the other."""
    values = np.zeros(SIZE_HW, np.uint8)
    for value, (left, top, right, bottom) in regions:
        values[top:bottom, left:right] = value
    return values


ROOM = [line(0, (0, 0, 60, 20)), line(1, (0, 20, 60, 40)), line(2, (10, 25, 30, 35)), line(3, (40, 25, 50, 35))]
SEMANTIC = filled((1, (0, 0, 60, 20)), (2, (0, 20, 60, 40)), (3, (10, 25, 30, 35)))


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def write_room(root: Path, photo: str = "images/a.jpg", lines: list[str] | None = None) -> None:
    write_photo(root / photo)
    labels = photo.replace("images/", "labels/").rpartition(".")[0] + ".txt"
    write(root / labels, "\n".join(ROOM if lines is None else lines) + "\n")


def labels_of(root: Path, lines: list[str], config: str = f"train: images\n{NAMES}") -> Labels:
    write_room(root, lines=lines)
    write(root / "data.yaml", config)
    (sample,) = open_dataset(root)
    return sample.labels()


LAYOUTS = {
    "Ultralytics": ("path: .\ntrain: images/train\nval: images/val\n", ["images/train/a.jpg", "images/val/b.jpg"]),
    "Ultralytics elsewhere": ("path: ../datasets/mine\ntrain: images/train\n", ["images/train/a.jpg"]),
    "Roboflow": (
        "train: ../train/images\nval: ../valid/images\ntest: ../test/images\nnc: 4\n",
        ["train/images/a.jpg", "valid/images/b.jpg"],
    ),
    "FiftyOne": ("path: /export\ntrain: ./images/train/\nval: ./images/val/\n", ["images/train/a.jpg"]),
    "CVAT": ("path: ./\ntrain: train.txt\n", ["images/train/a.jpg"]),
    "lists": ("train: [train.txt, more.txt]\nval: val.txt\n", ["images/a.jpg", "images/b.png", "images/c.jpg"]),
    "one folder": ("train: images\nval: images\n", ["images/a.jpg"]),
    "folders": ("train: [images/one, images/two]\n", ["images/one/a.jpg", "images/two/a.jpg"]),
    "Windows": ("train: C:\\exports\\images\\train\n", ["images/train/a.jpg"]),
    "beside": ("train: all\n", ["all/a.jpg"]),
}
SAMPLES = {
    "Ultralytics": ["train/a", "val/b"],
    "Ultralytics elsewhere": ["train/a"],
    "Roboflow": ["train/a", "valid/b"],
    "FiftyOne": ["train/a"],
    "CVAT": ["train/a"],
    "lists": ["train/a", "train/b", "val/c"],
    "one folder": ["a"],
    "folders": ["one/a", "two/a"],
    "Windows": ["train/a"],
    "beside": ["all/a"],
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(tmp_path: Path, layout: str) -> None:
    config, photos = LAYOUTS[layout]
    write(tmp_path / "data.yaml", config + NAMES)
    for photo in photos:
        write_room(tmp_path, photo)
    if layout == "CVAT":
        write(tmp_path / "train.txt", "data/images/train/a.jpg\n")
    if layout == "lists":
        write(tmp_path / "train.txt", f"./images/a.jpg\n\n{tmp_path}/images/b.png\n")
        write(tmp_path / "more.txt", "/another/machine/images/b.png\n")
        write(tmp_path / "val.txt", "images\\c.jpg\n")
    samples = open_dataset(tmp_path)
    assert [sample.name for sample in samples] == SAMPLES[layout]
    for sample in samples:
        labels = sample.labels()
        np.testing.assert_array_equal(labels.semantic, SEMANTIC)
        np.testing.assert_array_equal(labels.tables > 0, labels.semantic == DINING_TABLE.coco_id)
        assert labels.tables.max() == 1
        assert labels.scope == LabelScope()


def test_label_studio(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_room(tmp_path, lines=[line(0, (10, 25, 30, 35)), line(1, (0, 0, 60, 20))])
    write(tmp_path / "classes.txt", "Dining Table\nWall\n")
    write(tmp_path / "notes.json", '{"categories": [{"id": 0, "name": "Dining Table"}], "info": {}}')
    (sample,) = open_dataset(tmp_path)
    labels = sample.labels()
    np.testing.assert_array_equal(labels.semantic, filled((1, (0, 0, 60, 20)), (3, (10, 25, 30, 35))))
    assert labels.scope == LabelScope(unlabelled=frozenset({FLOOR.coco_id}))
    assert "no class for floor among 'Dining Table', 'Wall'" in capsys.readouterr().err


def test_names_as_a_dictionary_and_in_other_spellings(tmp_path: Path) -> None:
    labels = labels_of(tmp_path, [line(7, (10, 25, 30, 35))], "train: images\nnames: {7: Dining_Table, 2: 3}\n")
    np.testing.assert_array_equal(labels.semantic, filled((3, (10, 25, 30, 35))))
    assert labels.scope.unlabelled == {WALL.coco_id, FLOOR.coco_id}


def test_boxes_are_unlabelled_inside(tmp_path: Path) -> None:
    labels = labels_of(tmp_path, [box_line(2, (10, 25, 30, 35)), box_line(3, (0, 0, 5, 5)), line(1, (0, 30, 60, 40))])
    expected = filled((IGNORE, (10, 25, 30, 35)), (2, (0, 30, 60, 40)))
    np.testing.assert_array_equal(labels.semantic, expected)
    assert labels.tables.max() == 0
    assert labels.scope == LabelScope(present=frozenset({DINING_TABLE.coco_id}))


@pytest.mark.parametrize("where", [(-20, -10, 5, 5), (50, 30, 80, 50), (-50, 0, -40, 10)])
def test_boxes_that_leave_the_photo(tmp_path: Path, where: tuple[int, int, int, int]) -> None:
    left, top, right, bottom = (max(0, side) for side in where)
    shown = labels_of(tmp_path, [box_line(0, where)]).semantic
    np.testing.assert_array_equal(shown, filled((IGNORE, (left, top, right, bottom))))


def test_tables_win_over_floor_and_floor_over_wall_in_any_order(tmp_path: Path) -> None:
    whole = (0, 0, 60, 40)
    lines = [line(2, (0, 0, 10, 10)), line(1, (0, 0, 20, 20)), line(0, whole), line(2, (5, 5, 15, 15))]
    labels = labels_of(tmp_path, lines)
    expected = filled((1, whole), (2, (0, 0, 20, 20)), (3, (0, 0, 10, 10)), (3, (5, 5, 15, 15)))
    np.testing.assert_array_equal(labels.semantic, expected)
    np.testing.assert_array_equal(labels.tables, filled((1, (0, 0, 10, 10)), (2, (5, 5, 15, 15))))


def test_photos_without_an_object_are_background(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "data.yaml", f"train: images\n{NAMES}")
    write_room(tmp_path)
    write_room(tmp_path, "images/empty.jpg", [])
    write_photo(tmp_path / "images" / "none.jpg")
    samples = open_dataset(tmp_path)
    assert [np.unique(sample.labels().semantic).tolist() for sample in samples] == [[1, 2, 3], [OTHER], [OTHER]]
    assert "2 photos without an object, as 1 have no label file and 1 an empty one" in capsys.readouterr().err


def test_shares_are_of_the_upright_photo(tmp_path: Path) -> None:
    write_room(tmp_path)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    Image.new("RGB", (HEIGHT, WIDTH), "grey").save(tmp_path / "images" / "a.jpg", exif=exif)
    write(tmp_path / "data.yaml", f"train: images\n{NAMES}")
    (sample,) = open_dataset(tmp_path)
    assert sample.image().shape[:2] == SIZE_HW
    np.testing.assert_array_equal(sample.labels().semantic, SEMANTIC)


def test_regions_keep_the_names_of_the_tool(tmp_path: Path) -> None:
    write_room(tmp_path)
    write(tmp_path / "data.yaml", f"train: images\n{NAMES}")
    (sample,) = open_dataset(tmp_path)
    assert isinstance(sample, ForeignSample)
    named = sample.regions()
    assert (named.size_hw, [region.name for region in named.regions]) == (
        SIZE_HW,
        ["wall", "floor", "dining table", "chair"],
    )


def test_a_mapping_of_names(tmp_path: Path) -> None:
    write_room(tmp_path)
    write(tmp_path / "data.yaml", f"train: images\n{NAMES}")
    targets = {"chair": OTHER_TABLE, "wall": IGNORE, "floor": OTHER}
    (sample,) = open_dataset(tmp_path, ReadOptions(targets=targets))
    labels = sample.labels()
    expected = filled((IGNORE, (0, 0, 60, 20)), (3, (10, 25, 30, 35)), (OTHER_TABLE, (40, 25, 50, 35)))
    np.testing.assert_array_equal(labels.semantic, expected)
    assert labels.scope.unlabelled == {WALL.coco_id, FLOOR.coco_id}


BAD_LINES = {
    "a word": ("2 a b c d", "expected a class and numbers"),
    "an unknown class": ("4 0.1 0.1 0.2 0.2", "one of 4 classes by its number, got '4'"),
    "half a class": ("0.5 0.1 0.1 0.2 0.2", "one of 4 classes"),
    "a class alone": ("2", "got 0 numbers"),
    "two points": ("2 0.1 0.1 0.2 0.2 0.3", "got 5 numbers"),
    "half a point": ("2 0.1 0.1 0.2 0.2 0.3 0.3 0.4", "got 7 numbers"),
    "pixels": ("2 10 10 20 10 20 20", "expected shares of the photo"),
    "not a number": ("2 nan 0.1 0.2 0.1 0.2 0.2", "expected shares of the photo"),
    "infinity": ("2 inf 0.1 0.2 0.1 0.2 0.2", "expected shares of the photo"),
    "no width": ("2 0.5 0.5 0 0.1", "width and height above 0"),
}


@pytest.mark.parametrize(("bad", "message"), BAD_LINES.values(), ids=BAD_LINES)
def test_faulty_lines_are_listed_or_left_out(
    tmp_path: Path, bad: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_room(tmp_path, lines=[ROOM[0], bad, "", "7", *ROOM[1:]])
    write(tmp_path / "data.yaml", f"train: images\n{NAMES}")
    with pytest.raises(DatasetError, match=r"got 2 .*--skip-invalid") as error:
        open_dataset(tmp_path)
    _, second, fourth = str(error.value).splitlines()
    assert second.strip().startswith("labels/a.txt:2: ")
    assert message in second
    assert fourth.strip().startswith("labels/a.txt:4: ")
    (sample,) = open_dataset(tmp_path, ReadOptions(skip_invalid=True))
    assert "left out 2 invalid annotations or photos: labels/a.txt:2, labels/a.txt:4" in capsys.readouterr().err
    semantic = sample.labels().semantic
    np.testing.assert_array_equal(semantic, SEMANTIC)  # rows and columns are covered
    write_room(tmp_path, lines=[ROOM[0], bad])
    (sample,) = open_dataset(tmp_path, ReadOptions(skip_invalid=True))
    np.testing.assert_array_equal(sample.labels().semantic[20:], IGNORE)


def test_other_faults_are_listed_together(tmp_path: Path) -> None:
    write_room(tmp_path)
    write_room(tmp_path, "images/b.jpg", [])
    (tmp_path / "labels" / "b.txt").write_bytes(b"\xff\xfe\xfa")
    write(tmp_path / "labels" / "gone.txt", ROOM[0])
    write(tmp_path / "val.txt", "images/a.jpg\nimages/lost.jpg\n../../etc/passwd.jpg\n")
    write(tmp_path / "data.yaml", f"train: images\nval: val.txt\n{NAMES}")
    with pytest.raises(DatasetError) as error:
        open_dataset(tmp_path)
    first, *faults = str(error.value).splitlines()
    assert "got 4 (--skip-invalid" in first
    places = [fault.split(": ")[0].strip() for fault in faults]
    assert places == ["val.txt:2", "val.txt:3", "labels/b.txt", "labels/gone.txt"]
    assert len(open_dataset(tmp_path, ReadOptions(skip_invalid=True))) == 2


CONFIGS = {
    "no names": ("train: images\n", "expected `names`"),
    "names as a text": ("train: images\nnames: wall\n", "expected `names`"),
    "names by text": ("train: images\nnames: {a: wall}\n", "texts by numbers"),
    "a list as a name": ("train: images\nnames: [[wall]]\n", "texts by numbers"),
    "no split": (NAMES, "expected one of train, val"),
    "a number as a split": (f"train: 3\n{NAMES}", "a path or a list of paths"),
    "no folder": (f"train: elsewhere\n{NAMES}", "expected photos in"),
    "a list": ("- train\n- names:\n", "expected keys and values"),
    "no YAML": ("names: [wall\ntrain: images", "expected a YAML file"),
    "an object": ("names: !!python/object/apply:os.system ['echo']\n", "expected a YAML file"),
    "no class of ours": ("train: images\nnames: [a, b, c, d]\n", "expected the classes wall, floor, dining table"),
    "a path out": (f"path: ../..\ntrain: ../../../outside\n{NAMES}", "expected photos in"),
}


@pytest.mark.parametrize(("config", "message"), CONFIGS.values(), ids=CONFIGS)
def test_faulty_yaml_files(tmp_path: Path, config: str, message: str) -> None:
    write_room(tmp_path)
    write(tmp_path / "data.yaml", config)
    with pytest.raises(DatasetError, match=message) as error:
        open_dataset(tmp_path)
    assert "\n" not in str(error.value)


def test_aliases_do_not_expand(tmp_path: Path) -> None:
    write_room(tmp_path)
    levels = "".join(
        f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefghijk", "bcdefghijkl", strict=True)
    )
    write(tmp_path / "data.yaml", f"a: &a [x, x]\n{levels}train: images\nnames: *l\n")
    with pytest.raises(DatasetError, match="texts by numbers"):
        open_dataset(tmp_path)


def test_a_folder_without_class_names(tmp_path: Path) -> None:
    write_room(tmp_path)
    with pytest.raises(DatasetError, match=r"expected data\.yaml or classes\.txt with the class names"):
        open_dataset(tmp_path)


def test_photos_without_any_label_file(tmp_path: Path) -> None:
    write_photo(tmp_path / "images" / "a.jpg")
    write(tmp_path / "data.yaml", f"train: images\n{NAMES}")
    with pytest.raises(DatasetError, match=r"expected a label file such as .*a\.txt, got none"):
        open_dataset(tmp_path)


def test_several_yaml_files(tmp_path: Path) -> None:
    write_room(tmp_path)
    for name in ("one.yaml", "two.yaml"):
        write(tmp_path / name, f"train: images\n{NAMES}")
    with pytest.raises(DatasetError, match=r"expected one YAML file .*one\.yaml, .*two\.yaml: name one"):
        open_dataset(tmp_path)
    assert len(open_dataset(tmp_path / "two.yaml")) == 1


def test_path_leaves_the_folder_only_with_follow_links(tmp_path: Path) -> None:
    write_room(tmp_path / "photos")
    path = write(tmp_path / "configs" / "mine.yaml", f"path: {tmp_path}/photos\ntrain: images\n{NAMES}")
    with pytest.raises(DatasetError, match="expected photos in"):
        open_dataset(path)
    (sample,) = open_dataset(path, ReadOptions(follow_links=True))
    np.testing.assert_array_equal(sample.labels().semantic, SEMANTIC)


def test_paths_are_found_from_any_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_room(tmp_path / "set")
    write_photo(tmp_path / "secret.jpg")
    write(tmp_path / "set" / "list.txt", "images/a.jpg\n../secret.jpg\n")
    write(tmp_path / "set" / "data.yaml", f"train: list.txt\n{NAMES}")
    monkeypatch.chdir(tmp_path / "set")
    with pytest.raises(DatasetError, match=r"list\.txt:2: expected a photo, got '\.\./secret\.jpg'"):
        open_dataset(Path())
    assert [s.name for s in open_dataset(Path(), ReadOptions(skip_invalid=True))] == ["a"]


SHARES = st.floats(-1, 2, allow_nan=False).map(lambda share: round(share, 6))


@given(number=st.integers(0, 3), shares=st.lists(SHARES, min_size=6, max_size=30).filter(lambda s: len(s) % 2 == 0))
def test_any_polygon(number: int, shares: list[float]) -> None:
    names = dict(enumerate("abcd"))
    parsed = parse_line(f"{number} {' '.join(map(str, shares))}", names)
    assert (parsed.name, parsed.shares) == (names[number], tuple(shares))
    mask = parsed.region(SIZE_HW).draw()
    assert mask.shape == SIZE_HW
    columns, rows = (np.array(shares).reshape(-1, 2) * (WIDTH, HEIGHT)).T
    inside = mask.nonzero()
    if inside[0].size:
        assert math.floor(rows.min()) <= inside[0].min() <= inside[0].max() <= math.ceil(rows.max())
        assert math.floor(columns.min()) <= inside[1].min() <= inside[1].max() <= math.ceil(columns.max())


@given(text=st.text(st.sampled_from("0123456789.-+einfa \t"), max_size=60) | st.text(max_size=20))
def test_any_line_is_parsed_or_refused(text: str) -> None:
    try:
        parsed = parse_line(text, {0: "wall", 1: "floor"})
    except DatasetError:
        return
    assert parsed.name in ("wall", "floor")
    assert parsed.region(SIZE_HW).draw().shape == SIZE_HW
