"""Photos are written so that every reader takes them."""

from __future__ import annotations

import io
import zlib

import pytest
from PIL import Image as Pillow
from PIL.PngImagePlugin import PngInfo

from surfaces.images.encode import normalize_photo


def _saved(kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    Pillow.radial_gradient("L").convert("RGB").save(buffer, kind, **options)
    return buffer.getvalue()


def _with_a_damaged_note() -> bytes:
    note = PngInfo()
    note.add_text("Title", "a room")
    data = _saved("PNG", pnginfo=note)
    checksum = zlib.crc32(b"tEXtTitle\0a room").to_bytes(4, "big")
    assert checksum in data
    return data.replace(checksum, bytes(4))


@pytest.mark.parametrize(
    "data", [_saved("JPEG")[:-2], _with_a_damaged_note()], ids=["a JPEG without its end", "a PNG with a damaged note"]
)
def test_repairable_photos_are_reencoded(data: bytes) -> None:
    with Pillow.open(io.BytesIO(normalize_photo(data))) as photo:
        photo.load()
        assert photo.size == (256, 256)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_normalized_photos_are_copied(kind: str) -> None:
    data = _saved(kind)
    assert normalize_photo(data) is data
