"""Folders of label maps, read as stored, whatever kind of PNG they are; others are refused before decoding."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from PIL import Image as Pillow

from surfaces.classes import DINING_TABLE, IGNORE, OTHER, OTHER_TABLE
from surfaces.datasets import Labels, open_dataset
from surfaces.datasets.codec import decode_map
from surfaces.datasets.mask_folder import labels_of_values, values_of_labels
from surfaces.errors import DatasetError
from surfaces.images.encode import encode_png
from tests.coco_files import write_photo
from tests.surfaces.datasets.label_strategies import assert_same_labels, labels
from tests.surfaces.images.photo_files import png, unfiltered

_PALETTE = (b"PLTE", bytes(range(0, 48)))


@pytest.mark.parametrize(("colour", "chunks"), [(0, ()), (3, (_PALETTE,))], ids=["grey", "palette"])
@pytest.mark.parametrize("bits", [1, 2, 4, 8], ids=["one bit", "two bits", "four bits", "eight bits"])
def test_values_are_not_scaled(bits: int, colour: int, chunks: tuple[tuple[bytes, bytes], ...]) -> None:
    values = np.arange(16 * 8).reshape(8, 16) % min(2**bits, 16)
    packed = np.packbits(((values[..., None] >> np.arange(bits)[::-1]) & 1).astype(np.uint8).ravel()).tobytes()
    read = decode_map(png(16, 8, bits, colour, unfiltered(packed, 8), *chunks), "a map")
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, values)


def test_maps_of_pillow_are_read(tmp_path: Path) -> None:
    wall = np.zeros((40, 60), np.uint8)
    wall[:20] = 1
    palette = Pillow.fromarray(wall).convert("P")
    palette.putpalette([0, 0, 0, 128, 0, 0])
    assert set(np.asarray(palette).ravel()) == {0, 1}
    for name, image in (("boolean", Pillow.fromarray(wall.astype(bool))), ("palette", palette)):
        write_photo(tmp_path / "images" / f"{name}.jpg")
        (tmp_path / "masks").mkdir(exist_ok=True)
        image.save(tmp_path / "masks" / f"{name}.png", transparency=0)
    for sample in open_dataset(tmp_path):
        np.testing.assert_array_equal(sample.labels().semantic, wall)


_HUGE = png(60_000, 60_000, 8, 0, b"\0\0")
_REFUSED = {
    "sixteen bits": (encode_png(np.zeros((4, 4), np.uint16)), "grey of 16 bits"),  # type: ignore[arg-type]
    "colours": (encode_png(np.zeros((4, 4, 3), np.uint8)), "RGB of 8 bits"),
    "opacity": (png(1, 1, 8, 4, b"\0\0\0"), "grey with opacity of 8 bits"),
    "a JPEG": (cv2.imencode(".jpg", np.zeros((4, 4), np.uint8))[1].tobytes(), "expected a PNG file"),
    "cut off": (encode_png(np.zeros((400, 400), np.uint8))[:60], "expected a whole PNG file"),
    "a signature": (b"\x89PNG\r\n\x1a\n", "expected a PNG file"),
    "huge": (_HUGE, "megapixels in a map, got 60000x60000"),
    "nothing": (b"", "expected a PNG file"),
}


@pytest.mark.parametrize(("data", "message"), _REFUSED.values(), ids=_REFUSED)
def test_other_files_are_refused(data: bytes, message: str) -> None:
    with pytest.raises(DatasetError, match=message) as error:
        decode_map(data, "a map")
    assert "a map" in str(error.value)
    assert "\n" not in str(error.value)


def test_other_files_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "masks").mkdir()
    for name in ("a.jpg", "b.webp", "c.JPEG"):
        write_photo(tmp_path / "images" / name)
        (tmp_path / "masks" / f"{name[0]}.png").write_bytes(encode_png(np.ones((40, 60), np.uint8)))
    for name in ("images/._a.jpg", "images/notes.txt", "masks/._a.png", "masks/d.png"):
        (tmp_path / name).write_bytes(b"\0\5\x16\7")
    assert [sample.image().shape for sample in open_dataset(tmp_path)] == [(40, 60, 3)] * 3
    (line,) = capsys.readouterr().err.splitlines()
    assert "4 files" in line
    assert "images/._a.jpg" in line


def test_photos_without_a_map_are_listed(tmp_path: Path) -> None:
    (tmp_path / "masks").mkdir()
    for name in ("a", "b"):
        write_photo(tmp_path / "images" / f"{name}.jpg")
    with pytest.raises(DatasetError, match=r"(?s)got 2:.*a\.jpg: .*b\.jpg: "):
        open_dataset(tmp_path)


def _turned(kind: str) -> bytes:
    """A photo whose left half is dark as stored, and whose upper half is dark as viewers show it."""
    pixels = np.zeros((48, 48, 3), np.uint8)
    pixels[:, 24:] = 200
    exif = Pillow.Exif()
    exif[274] = 6
    file = io.BytesIO()
    Pillow.fromarray(pixels).save(file, kind, exif=exif)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_photos_are_upright(tmp_path: Path, kind: str) -> None:
    write_photo(tmp_path / "images" / "room1.jpg").write_bytes(_turned(kind))
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / "room1.png").write_bytes(encode_png(np.ones((48, 48), np.uint8)))
    image = open_dataset(tmp_path)[0].image()
    assert image[:20].max() < 50
    assert image[28:].min() > 150


def test_huge_photos_are_refused(tmp_path: Path) -> None:
    (tmp_path / "masks").mkdir()
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "room1.png").write_bytes(_HUGE)
    (tmp_path / "masks" / "room1.png").write_bytes(encode_png(np.ones((40, 60), np.uint8)))
    with pytest.raises(DatasetError, match=r"room1\.png: expected at most .*megapixels"):
        open_dataset(tmp_path)[0].image()


NYU = Path(__file__).parents[4] / "shared" / "data" / "nyuv2"


def _write(folder: Path, values: np.ndarray, name: str = "room_1") -> None:
    for part, suffix, pixels in (
        ("images", ".jpg", np.full((*values.shape[:2], 3), (0, 0, 255), np.uint8)),
        ("masks", ".png", values),
    ):
        (folder / part).mkdir(exist_ok=True)
        (folder / part / f"{name}{suffix}").write_bytes(cv2.imencode(suffix, pixels)[1].tobytes())


@given(labels())
def test_labels_and_values_round_trip(known: Labels) -> None:
    assert_same_labels(labels_of_values(values_of_labels(known), "a map"), known)


def test_values_and_colours(tmp_path: Path) -> None:
    values = np.full((100, 200), 1, np.uint8)
    values[50:] = 2
    values[80:, :50] = 5  # a rug
    values[80:, 50:80] = 4
    values[:, 190:] = 255
    values[60:70, 20:40] = 12
    values[60:70, 100:150] = 10
    _write(tmp_path, values)
    (sample,) = open_dataset(tmp_path)
    labels = sample.labels()
    expected = values.copy()
    expected[values == 5] = OTHER
    expected[values >= 10] = DINING_TABLE.coco_id
    expected[values == 255] = IGNORE
    np.testing.assert_array_equal(labels.semantic, expected)
    assert sample.name == "room_1"
    assert (labels.tables == 1).sum() == 10 * 50
    assert (labels.tables == 2).sum() == 10 * 20
    assert (labels.tables > 0).sum() == 700
    np.testing.assert_allclose(sample.image()[0, 0], (255, 0, 0), atol=2)  # RGB
    assert (expected == OTHER_TABLE).any()


def test_parts_are_grouped_by_distance(tmp_path: Path) -> None:
    values = np.zeros((300, 400), np.uint8)  # diagonal 500: gaps up to 50 join
    values[100:140, 20:100] = 3
    values[100:140, 140:180] = 3  # 40 away
    values[100:140, 300:380] = 3  # 120 away
    values[280:284, 330:335] = 3  # a leg
    _write(tmp_path, values)
    labels = open_dataset(tmp_path)[0].labels()
    assert set(np.unique(labels.tables[100:140, 20:180])) == {0, 1}
    assert set(np.unique(labels.tables[:, 300:])) == {0, 2}
    assert labels.tables[282, 332] == 2
    np.testing.assert_array_equal(labels.tables > 0, labels.semantic == 3)


def test_specks_are_no_tables(tmp_path: Path) -> None:
    values = np.zeros((300, 400), np.uint8)
    values[10:15, 10:16] = 3
    _write(tmp_path, values)
    labels = open_dataset(tmp_path)[0].labels()
    assert not labels.tables.any()
    assert (labels.semantic[10:15, 10:16] == IGNORE).all()


@pytest.mark.parametrize("value", [6, 9])
def test_unknown_values_are_refused(tmp_path: Path, value: int) -> None:
    _write(tmp_path, np.full((5, 5), value, np.uint8))
    with pytest.raises(DatasetError, match=rf"room_1.png, got {value}"):
        open_dataset(tmp_path)[0].labels()


def test_missing_files(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no such file or folder"):
        open_dataset(tmp_path / "nowhere")
    with pytest.raises(DatasetError, match="images and masks"):
        open_dataset(tmp_path)
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    with pytest.raises(DatasetError, match="expected photos"):
        open_dataset(tmp_path)
    _write(tmp_path, np.zeros((5, 5), np.uint8))
    (tmp_path / "masks" / "room_1.png").unlink()
    with pytest.raises(DatasetError, match=r"room_1\.jpg: expected a label map at .*room_1\.png, got none"):
        open_dataset(tmp_path)


def test_broken_files(tmp_path: Path) -> None:
    _write(tmp_path, np.zeros((5, 5), np.uint8))
    (tmp_path / "images" / "room_1.jpg").write_bytes(b"no photo")
    (tmp_path / "masks" / "room_1.png").write_bytes(b"")
    (sample,) = open_dataset(tmp_path)
    with pytest.raises(DatasetError, match=r"room_1\.jpg"):
        sample.image()
    with pytest.raises(DatasetError, match=r"room_1\.png"):
        sample.labels()
    (tmp_path / "images" / "room_1.jpg").unlink()
    with pytest.raises(DatasetError, match="readable file"):
        sample.encoded_image()


@pytest.mark.skipif(not NYU.is_dir(), reason="the shared training data is not here (../shared/data/nyuv2)")
def test_nyu_depth() -> None:
    samples = open_dataset(NYU)
    assert len(samples) == 795
    by_name = {sample.name: sample for sample in samples}
    for name, tables in (("nyu_0002", 0), ("nyu_0862", 2), ("nyu_1340", 1)):
        assert by_name[name].labels().tables.max() == tables
