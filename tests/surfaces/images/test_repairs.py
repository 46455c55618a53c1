"""Photos with small faults that every viewer accepts, and the same faults where most of the photo is missing."""

from __future__ import annotations

import io
import re
import struct
import zlib

import numpy as np
import pytest
from PIL import Image as Pillow
from PIL.PngImagePlugin import PngInfo

from surfaces.images.encode import normalize_photo
from tests.surfaces.images.photo_files import decoded, png, png_chunk, refused, saved, tiff

KINDS = {
    "baseline": {},
    "full colour": {"subsampling": 0},
    "progressive": {"progressive": True},
    "restarts": {"restart_marker_blocks": 3},
}
MODES = ["RGB", "L", "CMYK"]


def jpeg(mode: str, kind: str) -> bytes:
    noise = np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)
    photo = Pillow.fromarray(noise).resize((240, 160), Pillow.Resampling.BICUBIC)
    return saved(photo.convert(mode), "JPEG", **KINDS[kind])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lost", [1, 2])
def test_jpeg_without_end_marker(mode: str, kind: str, lost: int) -> None:
    data = jpeg(mode, kind)
    assert np.array_equal(decoded(data[:-lost]), decoded(data))


@pytest.mark.parametrize("kind", KINDS)
def test_jpeg_without_its_last_pixels(kind: str) -> None:
    data = jpeg("RGB", kind)
    image, whole = decoded(data[:-8]), decoded(data)
    assert (image != whole).any(axis=2).mean() < 0.03


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.6])
def test_truncated_jpeg_is_refused(mode: str, kind: str, share: float) -> None:
    data = jpeg(mode, kind)
    assert "truncated" in refused(data[: int(share * len(data))])


def test_jpeg_truncated_between_restarts_is_refused() -> None:
    data = jpeg("RGB", "restarts")
    ends = [marker.start() for marker in re.finditer(rb"\xff[\xd0-\xd7]", data)]
    for end in ends[len(ends) // 2 :: 5][:-1]:
        assert "truncated" in refused(data[:end])


def test_jpeg_without_a_scan_is_refused() -> None:
    data = jpeg("RGB", "progressive")
    assert "truncated" in refused(data[: data.rindex(b"\xff\xda")])


def damaged(kind: bytes, data: bytes) -> bytes:
    """A chunk whose checksum is wrong."""
    chunk = png_chunk(kind, data)
    return chunk[:-1] + bytes([chunk[-1] ^ 1])


def rows() -> bytes:
    return (b"\0" + bytes(range(64))) * 32


@pytest.mark.parametrize("kind", [b"tEXt", b"pHYs", b"gAMA", b"iCCP", b"tIME", b"prIv", b"tRNS"])
@pytest.mark.parametrize("count", [1, 3])
def test_damaged_ancillary_chunks_of_a_png_are_ignored(kind: bytes, count: int) -> None:
    sound = png(64, 32, 8, 0, rows())
    for place in (33, len(sound) - 12):  # before and after the pixels
        data = sound[:place] + damaged(kind, b"a\0\0" + bytes(6)) * count + sound[place:]
        assert np.array_equal(decoded(data), decoded(sound))


def test_valid_chunks_beside_damaged_ones_are_kept() -> None:
    sound = png(64, 32, 8, 0, rows(), (b"tRNS", b"\0\3"))
    data = sound[:33] + damaged(b"tEXt", b"a\0b") + sound[33:]
    assert decoded(data)[0, 3].tolist() == [255, 255, 255]


@pytest.mark.parametrize("kind", [b"IHDR", b"IDAT"])
def test_damaged_critical_chunks_of_a_png_are_refused(kind: bytes) -> None:
    data = bytearray(png(64, 32, 8, 0, rows()))
    start = data.index(kind)
    (length,) = struct.unpack_from(">I", data, start - 4)
    assert zlib.crc32(data[start : start + 4 + length]) == struct.unpack_from(">I", data, start + 4 + length)[0]
    data[start + 4 + length] ^= 1
    refused(bytes(data))


def pages(*sizes: int, order: str = "<") -> bytes:
    """A TIFF of grey pages, each as high as it is wide and of the grey that this is."""
    data = b""
    link = 4
    for size in sizes:
        page = tiff(size, size, [8], 1, bytes([size]) * size * size, order=order)
        if not data:
            data = page
        else:
            data = data[:link] + struct.pack(order + "I", len(data)) + data[link + 4 :]
            strips = {273: len(page) - size * size + len(data) - 8}
            body = bytearray(page[8:])
            (count,) = struct.unpack_from(order + "H", body, 0)
            for start in range(2, 2 + 12 * count, 12):
                (tag,) = struct.unpack_from(order + "H", body, start)
                if tag in strips:
                    struct.pack_into(order + "I", body, start + 8, strips[tag])
            data += body
        directory = len(data) - (len(page) - 8)
        link = directory + 2 + 12 * struct.unpack_from(order + "H", data, directory)[0]
    return data


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("sizes", [(20, 80), (80, 20), (20, 80, 40), (80,)])
def test_largest_page_of_a_tiff(order: str, sizes: tuple[int, ...]) -> None:
    image = decoded(pages(*sizes, order=order))
    assert image.shape == (80, 80, 3)
    assert (image == 80).all()


def test_largest_page_of_a_tiff_by_pillow() -> None:
    photo, thumbnail = Pillow.new("RGB", (64, 48), "red"), Pillow.new("RGB", (32, 24), "blue")
    data = saved(thumbnail, "TIFF", save_all=True, append_images=[photo, thumbnail], compression="tiff_deflate")
    assert decoded(data)[0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize("target", [8, 2**31])
def test_cyclic_and_missing_pages(target: int) -> None:
    data = pages(40)
    end = 8 + 2 + 12 * struct.unpack_from("<H", data, 8)[0]
    assert decoded(data[:end] + struct.pack("<I", target) + data[end + 4 :]).shape == (40, 40, 3)


def with_a_damaged_note() -> bytes:
    note = PngInfo()
    note.add_text("Title", "a room")
    data = saved(Pillow.radial_gradient("L").convert("RGB"), "PNG", pnginfo=note)
    checksum = zlib.crc32(b"tEXtTitle\0a room").to_bytes(4, "big")
    assert checksum in data
    return data.replace(checksum, bytes(4))


@pytest.mark.parametrize(
    "data", [jpeg("RGB", "baseline")[:-2], with_a_damaged_note()], ids=["a JPEG without its end", "a damaged note"]
)
def test_repairable_photos_are_reencoded(data: bytes) -> None:
    with Pillow.open(io.BytesIO(normalize_photo(data))) as photo:
        photo.load()
        assert np.array_equal(photo.size[::-1], decoded(data).shape[:2])


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_normalized_photos_are_copied(kind: str) -> None:
    data = saved(Pillow.radial_gradient("L").convert("RGB"), kind)
    assert normalize_photo(data) is data
