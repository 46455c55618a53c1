"""Label maps are read as stored, whatever kind of PNG they are; what is none is refused before it is decoded."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image as Pillow

from surfaces.datasets import open_dataset
from surfaces.datasets.codec import decode_map, encode_map
from surfaces.errors import DatasetError
from tests.coco_files import write_photo
from tests.surfaces.images.handmade_images import png, unfiltered

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
    "sixteen bits": (encode_map(np.zeros((4, 4), np.uint16)), "grey of 16 bits"),  # type: ignore[arg-type]
    "colours": (encode_map(np.zeros((4, 4, 3), np.uint8)), "RGB of 8 bits"),
    "opacity": (png(1, 1, 8, 4, b"\0\0\0"), "grey with opacity of 8 bits"),
    "a JPEG": (cv2.imencode(".jpg", np.zeros((4, 4), np.uint8))[1].tobytes(), "expected a PNG file"),
    "cut off": (encode_map(np.zeros((400, 400), np.uint8))[:60], "expected a whole PNG file"),
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
        (tmp_path / "masks" / f"{name[0]}.png").write_bytes(encode_map(np.ones((40, 60), np.uint8)))
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
    (tmp_path / "masks" / "room1.png").write_bytes(encode_map(np.ones((48, 48), np.uint8)))
    image = open_dataset(tmp_path)[0].image()
    assert image[:20].max() < 50
    assert image[28:].min() > 150


def test_huge_photos_are_refused(tmp_path: Path) -> None:
    (tmp_path / "masks").mkdir()
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "room1.png").write_bytes(_HUGE)
    (tmp_path / "masks" / "room1.png").write_bytes(encode_map(np.ones((40, 60), np.uint8)))
    with pytest.raises(DatasetError, match=r"room1\.png: expected at most .*megapixels"):
        open_dataset(tmp_path)[0].image()
