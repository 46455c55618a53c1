"""Pascal VOC folders: maps of classes and objects as palettes, colours and numbers; boxes as XML."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image

from surfaces.classes import DINING_TABLE, FLOOR, IGNORE, OTHER, WALL
from surfaces.datasets import LabelScope, ReadOptions, open_dataset
from surfaces.datasets.voc import parse_boxes, parse_label_map_line, voc_colour
from surfaces.errors import DatasetError
from surfaces.images.encode import encode_png
from tests.coco_files import SIZE_HW, write_photo

CLASSES = np.zeros(SIZE_HW, np.uint8)
"""Wall, floor, two tables that touch; one of them is partly void."""
CLASSES[:20], CLASSES[20:], CLASSES[25:35, 10:30] = 1, 2, 3
OBJECTS = np.zeros(SIZE_HW, np.uint8)
OBJECTS[25:35, 10:18], OBJECTS[25:35, 18:30] = 1, 2
VOID = (slice(25, 27), slice(10, 12))
LABEL_MAP = """# label:color_rgb:parts:actions
background:0,0,0::
wall:250,50,83::
floor:51,221,255:a,b:
dining table:1,2,3::
"""
COLOURS = np.array([(0, 0, 0), (250, 50, 83), (51, 221, 255), (1, 2, 3)], np.uint8)
# From the devkit's documentation: background, aeroplane, …, dining table, …, void.
DEVKIT_COLOURS = {0: 0, 1: 0x800000, 2: 0x008000, 3: 0x808000, 11: 0xC08000, 20: 0x004080, 255: 0xE0E0C0}


def palette_png(values: np.ndarray) -> Image.Image:
    """A map with VOC's palette."""
    image = Image.fromarray(values)
    image.putpalette([part for number in range(256) for part in voc_colour(number).to_bytes(3, "big")])
    return image


def save(path: Path, image: Image.Image) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)
    return path


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return path


def write_maps(root: Path, classes: Image.Image, objects: Image.Image | None = None, name: str = "a") -> None:
    write_photo(root / "JPEGImages" / f"{name}.jpg")
    save(root / "SegmentationClass" / f"{name}.png", classes)
    if objects:
        save(root / "SegmentationObject" / f"{name}.png", objects)


def test_the_palette_is_that_of_the_devkit() -> None:
    assert {number: voc_colour(number) for number in DEVKIT_COLOURS} == DEVKIT_COLOURS


def test_the_devkits_own_classes(tmp_path: Path) -> None:
    values = np.where(CLASSES == 3, 11, 0).astype(np.uint8)
    values[0:5, 0:5], values[VOID] = 9, 255
    objects = OBJECTS.copy()
    objects[VOID] = 255
    write_maps(tmp_path, palette_png(values), palette_png(objects))
    (sample,) = open_dataset(tmp_path)
    labels = sample.labels()
    expected = np.where(CLASSES == 3, DINING_TABLE.coco_id, OTHER)
    expected[VOID] = IGNORE
    np.testing.assert_array_equal(labels.semantic, expected)
    np.testing.assert_array_equal(labels.tables, np.where(expected == 3, OBJECTS, 0))
    assert labels.scope == LabelScope(unlabelled=frozenset({WALL.coco_id, FLOOR.coco_id}))


def test_labelmes_old_converter(tmp_path: Path) -> None:
    write(tmp_path / "class_names.txt", "_background_\nwall\nfloor\ndining table")
    write_photo(tmp_path / "JPEGImages" / "a.jpg")
    save(tmp_path / "SegmentationClassPNG" / "a.png", palette_png(CLASSES))
    write(tmp_path / "SegmentationClass" / "a.npy", "")
    (sample,) = open_dataset(tmp_path)
    np.testing.assert_array_equal(sample.labels().semantic, CLASSES)


@pytest.mark.parametrize("kind", ["colours", "palette", "numbers"])
def test_cvats_segmentation_mask(tmp_path: Path, kind: str) -> None:
    write(tmp_path / "labelmap.txt", LABEL_MAP)
    write(tmp_path / "ImageSets" / "Segmentation" / "default.txt", "a\n")
    classes = Image.fromarray(COLOURS[CLASSES]) if kind == "colours" else Image.fromarray(CLASSES)
    if kind == "palette":  # in another order than the label map
        classes = Image.fromarray(np.array([3, 2, 1, 0], np.uint8)[CLASSES])
        classes.putpalette(COLOURS[::-1].ravel().tolist())
    objects = Image.fromarray(COLOURS[OBJECTS])
    write_maps(tmp_path, classes, objects)
    (sample,) = open_dataset(tmp_path)
    labels = sample.labels()
    assert sample.name == "a"
    np.testing.assert_array_equal(labels.semantic, CLASSES)
    # The order of objects is that of their colours.
    np.testing.assert_array_equal(labels.tables, np.array([0, 2, 1])[OBJECTS])
    assert labels.scope == LabelScope()


def test_objects_of_sixteen_bits(tmp_path: Path) -> None:
    write(tmp_path / "class_names.txt", "_background_\nwall\nfloor\ndining table")
    write_maps(tmp_path, palette_png(CLASSES))
    objects = (OBJECTS.astype(np.uint16) * 256 + 7 * (OBJECTS > 0)).astype(np.uint16)
    (tmp_path / "SegmentationObject").mkdir()
    (tmp_path / "SegmentationObject" / "a.png").write_bytes(encode_png(objects))  # type: ignore[arg-type]
    (sample,) = open_dataset(tmp_path)
    np.testing.assert_array_equal(sample.labels().tables, OBJECTS)
    np.testing.assert_array_equal(sample.labels().semantic, CLASSES)


def test_tables_without_objects_are_grouped_by_distance(tmp_path: Path) -> None:
    write(tmp_path / "class_names.txt", "_background_\nwall\nfloor\ndining table")
    values = CLASSES.copy()
    values[25:35, 50:60] = 3
    write_maps(tmp_path, palette_png(values))
    (sample,) = open_dataset(tmp_path)
    tables = sample.labels().tables
    assert sorted(np.unique(tables)) == [0, 1, 2]
    np.testing.assert_array_equal(tables > 0, values == 3)
    assert tables[30, 20] != tables[30, 55]


def test_splits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in "abcd":
        write_maps(tmp_path, palette_png(np.where(CLASSES == 3, 11, 0).astype(np.uint8)), name=name)
    sets = tmp_path / "ImageSets" / "Segmentation"
    write(sets / "train.txt", "b\na\n")
    write(sets / "val.txt", "c\n")
    write(sets / "trainval.txt", "a\nb\nc\n")
    assert [sample.name for sample in open_dataset(tmp_path)] == ["train/b", "train/a", "val/c"]
    assert "left out 1 photo that no file of" in capsys.readouterr().err
    write(sets / "val.txt", "c\ne\n")
    (tmp_path / "JPEGImages" / "c.jpg").unlink()
    with pytest.raises(DatasetError, match=r"(?s)got 2 .*c: expected a photo.*e: expected a photo"):
        open_dataset(tmp_path)
    assert len(open_dataset(tmp_path, ReadOptions(skip_invalid=True))) == 2


ORIENTATIONS = {
    1: None,
    3: None,  # both have one size: the map is taken as upright
    6: Image.Transpose.ROTATE_270,
    8: Image.Transpose.ROTATE_90,
    5: Image.Transpose.TRANSPOSE,
}
ORIENTATIONS |= {7: Image.Transpose.TRANSVERSE}


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("stored", [True, False], ids=["as stored", "upright"])
def test_maps_of_rotated_photos(tmp_path: Path, orientation: int, stored: bool) -> None:
    write(tmp_path / "class_names.txt", "_background_\nwall\nfloor\ndining table")
    lying = palette_png(CLASSES)
    turn = ORIENTATIONS[orientation]
    upright = lying.transpose(turn) if turn is not None else lying
    write_maps(tmp_path, lying if stored else upright)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    Image.new("RGB", (SIZE_HW[1], SIZE_HW[0])).save(tmp_path / "JPEGImages" / "a.jpg", exif=exif)
    (sample,) = open_dataset(tmp_path)
    labels = sample.labels()
    assert sample.image().shape[:2] == labels.size_hw
    np.testing.assert_array_equal(labels.semantic, np.array(upright))


def test_maps_of_another_size(tmp_path: Path) -> None:
    write(tmp_path / "class_names.txt", "_background_\nwall\nfloor\ndining table")
    write_maps(tmp_path, palette_png(CLASSES[:, :30]))
    (sample,) = open_dataset(tmp_path)
    with pytest.raises(DatasetError, match=r"a\.png: expected labels of \(40, 60\) .* got \(40, 30\)"):
        sample.labels()


def test_lying_maps_of_a_photo_without_orientation(tmp_path: Path) -> None:
    write(tmp_path / "class_names.txt", "_background_\nwall\nfloor\ndining table")
    write_maps(tmp_path, palette_png(np.ascontiguousarray(CLASSES.T)))
    with pytest.raises(DatasetError, match=r"a\.png: expected labels of \(40, 60\)"):
        open_dataset(tmp_path)[0].labels()


BAD_MAPS = {
    "an unknown number": (Image.fromarray(np.full(SIZE_HW, 77, np.uint8)), "the numbers of classes, got 77"),
    "an unknown colour": (Image.new("RGB", SIZE_HW[::-1], "#123456"), "the colours of classes, got #123456"),
    "opacity": (Image.new("RGBA", SIZE_HW[::-1]), "without opacity"),
}


@pytest.mark.parametrize(("classes", "message"), BAD_MAPS.values(), ids=BAD_MAPS)
def test_faulty_maps(tmp_path: Path, classes: Image.Image, message: str) -> None:
    write_maps(tmp_path, classes)
    with pytest.raises(DatasetError, match=message) as error:
        open_dataset(tmp_path)[0].labels()
    assert str(tmp_path / "SegmentationClass" / "a.png") in str(error.value)


def test_damaged_maps(tmp_path: Path) -> None:
    write_maps(tmp_path, palette_png(CLASSES))
    path = tmp_path / "SegmentationClass" / "a.png"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DatasetError, match="expected a whole PNG file"):
        open_dataset(tmp_path)[0].labels()


def test_objects_of_another_size(tmp_path: Path) -> None:
    write_maps(tmp_path, palette_png(CLASSES), palette_png(OBJECTS[:20]))
    with pytest.raises(DatasetError, match=r"SegmentationObject/a\.png of \(40, 60\)"):
        open_dataset(tmp_path)[0].labels()


@pytest.mark.parametrize("line", ["wall:1,2::", "wall:1,2,256::", "wall:a,b,c::", ":1,2,3::", "wall:1,2,-3::"])
def test_faulty_label_maps(tmp_path: Path, line: str) -> None:
    write(tmp_path / "labelmap.txt", f"{LABEL_MAP}{line}\n")
    write_maps(tmp_path, Image.fromarray(COLOURS[CLASSES]))
    with pytest.raises(DatasetError, match=r"labelmap\.txt:6: expected `name:red,green,blue::`"):
        open_dataset(tmp_path)


@given(
    name=st.text(st.characters(exclude_characters=":", exclude_categories=["C", "Z"]), min_size=1),
    colour=st.none() | st.tuples(*[st.integers(0, 255)] * 3),
)
def test_any_line_of_a_label_map(name: str, colour: tuple[int, ...] | None) -> None:
    text = "" if colour is None else ",".join(map(str, colour))
    expected = None if colour is None else int.from_bytes(bytes(colour), "big")
    assert parse_label_map_line(f"{name}:{text}::") == (name, expected)


# Boxes


def xml(*objects: tuple[str, float, float, float, float], size: tuple[float, float] = SIZE_HW) -> str:
    entries = "".join(
        f"<object><name>{name}</name><difficult>0</difficult><bndbox><xmin>{box[0]}</xmin><ymin>{box[1]}</ymin>"
        f"<xmax>{box[2]}</xmax><ymax>{box[3]}</ymax></bndbox></object>"
        for name, *box in objects
    )
    return (
        "<annotation><folder>VOC2012</folder><filename>a.jpg</filename>"
        f"<size><width>{size[1]}</width><height>{size[0]}</height><depth>3</depth></size>{entries}</annotation>"
    )


def write_boxes(root: Path, text: str) -> Path:
    write_photo(root / "JPEGImages" / "a.jpg")
    write(root / "Annotations" / "a.xml", text)
    return root


def test_boxes_are_unlabelled_inside(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_boxes(tmp_path, xml(("diningtable", 11, 26, 30, 35), ("wall", 1, 1, 60, 5), ("chair", 40, 1, 50, 30)))
    (sample,) = open_dataset(tmp_path)
    expected = np.zeros(SIZE_HW, np.uint8)
    expected[25:35, 10:30] = expected[0:5, 0:60] = IGNORE
    labels = sample.labels()
    np.testing.assert_array_equal(labels.semantic, expected)
    assert labels.scope == LabelScope(unlabelled=frozenset({FLOOR.coco_id}), present=frozenset({1, 3}))
    assert "no class for floor" in capsys.readouterr().err


@pytest.mark.security
def test_boxes_of_another_size_than_the_photo(tmp_path: Path) -> None:
    write_boxes(tmp_path, xml(("diningtable", 11, 26, 30, 35), size=(9_000_000, 9_000_000)))
    (sample,) = open_dataset(tmp_path)
    with pytest.raises(DatasetError, match=r"a\.xml: expected labels of .* as the photo, got \(9000000, 9000000\)"):
        sample.labels()


def test_boxes_of_a_rotated_photo(tmp_path: Path) -> None:
    write_boxes(tmp_path, xml(("diningtable", 11, 26, 30, 35)))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    Image.new("RGB", (SIZE_HW[1], SIZE_HW[0])).save(tmp_path / "JPEGImages" / "a.jpg", exif=exif)
    expected = np.zeros(SIZE_HW, np.uint8)
    expected[25:35, 10:30] = IGNORE
    np.testing.assert_array_equal(open_dataset(tmp_path)[0].labels().semantic, np.rot90(expected, -1))


BOMB = """<?xml version="1.0"?><!DOCTYPE annotation [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>
<annotation><object><name>&b;</name></object></annotation>"""
OUTSIDE = '<!DOCTYPE annotation [<!ENTITY a SYSTEM "file:///etc/passwd">]><annotation>&a;</annotation>'
BAD_XML = {
    "entities": (BOMB, "without a document type"),
    "an outer entity": (OUTSIDE, "without a document type"),
    "no XML": ("<annotation>", "expected an XML file"),
    "an unknown entity": ("<annotation>&a;</annotation>", "expected an XML file"),
    "a box inside out": (xml(("wall", 30, 1, 10, 5)), "expected a name and a box in object 1"),
    "no number": (xml(("wall", float("nan"), 1, 10, 5)), "expected a name and a box in object 1"),
    "no end": (xml(("wall", 1, 1, float("inf"), 5)), "expected a name and a box in object 1"),
    "a size without end": (xml(("wall", 1, 1, 2, 2), size=(float("inf"), 60)), "expected a size in pixels"),
    "no name": (xml(("wall", 1, 1, 2, 2), ("", 1, 1, 2, 2)), "object 2"),
}


@pytest.mark.security
@pytest.mark.parametrize(("text", "message"), BAD_XML.values(), ids=BAD_XML)
def test_faulty_xml(tmp_path: Path, text: str, message: str) -> None:
    write_boxes(tmp_path, text)
    write(tmp_path / "Annotations" / "b.xml", xml(("wall", 1, 1, 60, 5)))
    write_photo(tmp_path / "JPEGImages" / "b.jpg")
    with pytest.raises(DatasetError, match=rf"Annotations/a\.xml: .*{message}"):
        open_dataset(tmp_path)
    assert [sample.name for sample in open_dataset(tmp_path, ReadOptions(skip_invalid=True))] == ["b"]


@pytest.mark.security
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_other_encodings(tmp_path: Path, encoding: str) -> None:
    write_boxes(tmp_path, "")
    (tmp_path / "Annotations" / "a.xml").write_bytes(xml(("wall", 1, 1, 60, 5)).encode(encoding))
    assert open_dataset(tmp_path)[0].labels().scope.present == {WALL.coco_id}
    (tmp_path / "Annotations" / "a.xml").write_bytes(BOMB.encode(encoding))
    with pytest.raises(DatasetError, match="without a document type"):
        open_dataset(tmp_path)


_XML = st.text(st.sampled_from("<>/&;!DOCTYPE annotatiobjec\n"), max_size=40).map(str.encode)


@given(data=st.binary(max_size=40) | _XML)
def test_any_bytes_as_xml(data: bytes) -> None:
    with suppress(DatasetError):
        assert parse_boxes(data).boxes == ()
