"""EXIF that costs too much is not read: the photo stays as it is stored. A TIFF whose directory does so is refused."""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Callable, Sequence
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from surfaces.errors import DecodeError
from surfaces.images.encode import is_normalized
from surfaces.images.guards import check_decompression_bomb
from surfaces.images.repairs import without_hostile_exif
from tests.surfaces.images.photo_files import PNG_SIGNATURE, decoded, png_chunk, refused, saved

pytestmark = [
    pytest.mark.security,
    pytest.mark.filterwarnings("ignore::UserWarning"),  # Pillow tells of each oddity
]

Entry = tuple[int, int, int, int]
"""Tag, type, count, and the value or where it is."""

SHORT, LONG, RATIONAL, UNDEFINED = 3, 4, 5, 7
ORIENTATION, X_RESOLUTION, EXIF, GPS, INTEROPERABILITY = 274, 282, 34665, 34853, 40965


def directory(entries: Sequence[Entry]) -> bytes:
    """One directory, little endian, with no next one."""
    return struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries) + bytes(4)


def exif(*directories: Sequence[Entry], padding: int = 0) -> bytes:
    """Directories one behind the other from place 8 on, and bytes for values behind them; without the name."""
    return b"II*\0" + struct.pack("<I", 8) + b"".join(map(directory, directories)) + bytes(padding)


def place_of(number: int, entries: int) -> int:
    """Where a directory begins if all before it have so many entries."""
    return 8 + number * (6 + 12 * entries)


_TURNED: Entry = (ORIENTATION, SHORT, 1, 6)

SOUND = exif([_TURNED, (X_RESOLUTION, RATIONAL, 1, place_of(1, 2))], padding=8)

_OVERLAPPING: list[Entry] = [(tag, UNDEFINED, 4000, 8) for tag in range(50_000, 50_100)]
_TO_SECOND: Entry = (EXIF, LONG, 1, place_of(1, 2))

HOSTILE = {
    "values that overlap": exif([_TURNED, *_OVERLAPPING], padding=4000),
    "values of a directory inside": exif([_TURNED, _TO_SECOND], _OVERLAPPING, padding=4000),
    "a directory behind a second pointer": exif(
        [_TURNED, (EXIF, LONG, 2, place_of(1, 2)), (GPS, LONG, 1, 0)], _OVERLAPPING, padding=4000
    ),
    "fractions without end": exif([_TURNED, (X_RESOLUTION, RATIONAL, 5000, 8)], padding=40_000),
    "fractions in many entries": exif(
        [_TURNED, *((tag, RATIONAL, 4000, 8 + 32_000 * (tag - 50_000)) for tag in range(50_000, 50_006))],
        padding=200_000,
    ),
    "directories that contain each other": exif(
        [_TURNED, _TO_SECOND], [(EXIF, LONG, 1, 8), (INTEROPERABILITY, LONG, 1, place_of(1, 2))]
    ),
    "a directory of all entries": exif([_TURNED, *((tag, SHORT, 1, 0) for tag in range(1000, 6000))]),
}
"""Each states that the photo lies on its side."""


def in_jpeg(photo: bytes, block: bytes) -> bytes:
    """A JPEG with EXIF in as many parts as it needs."""
    parts = [block[start : start + 60_000] for start in range(0, len(block), 60_000)]
    named = [b"Exif\0\0" + part for part in parts]
    return photo[:2] + b"".join(b"\xff\xe1" + struct.pack(">H", 2 + len(part)) + part for part in named) + photo[2:]


def in_webp(photo: bytes, block: bytes) -> bytes:
    """A WebP of the extended form with EXIF behind its picture."""
    chunk = b"EXIF" + struct.pack("<I", len(block)) + block + bytes(len(block) % 2)
    flags = bytes([photo[20] | 8])
    return b"RIFF" + struct.pack("<I", len(photo) - 8 + len(chunk)) + photo[8:20] + flags + photo[21:] + chunk


def in_png(photo: bytes, block: bytes) -> bytes:
    """A PNG with EXIF in front of its pixels."""
    header = len(PNG_SIGNATURE) + 25
    return photo[:header] + png_chunk(b"eXIf", block) + photo[header:]


_WIDE, _TALL = (48, 64, 3), (64, 48, 3)
_PHOTO = Pillow.new("RGB", (64, 48), "red")
_CONTAINERS: dict[str, Callable[[bytes], bytes]] = {
    "JPEG": lambda block: in_jpeg(saved(_PHOTO, "JPEG"), block),
    "PNG": lambda block: in_png(saved(_PHOTO, "PNG"), block),
    "WEBP": lambda block: in_webp(saved(_PHOTO, "WEBP", icc_profile=b"x" * 200), block),
}


@pytest.mark.parametrize("kind", _CONTAINERS)
@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_exif_is_ignored(kind: str, case: str) -> None:
    image = decoded(_CONTAINERS[kind](HOSTILE[case]))
    assert image.shape == _WIDE
    np.testing.assert_allclose(image[20, 20], (255, 0, 0), atol=2)


@pytest.mark.parametrize("kind", _CONTAINERS)
def test_exif_orientation_is_applied(kind: str) -> None:
    assert decoded(_CONTAINERS[kind](SOUND)).shape == _TALL


def test_values_outside_of_exif_cost_nothing() -> None:
    turned = exif([(274, SHORT, 1, 6), (50_000, UNDEFINED, 10**9, 8)])
    assert decoded(_CONTAINERS["JPEG"](turned)).shape == _TALL


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_photos_with_hostile_exif_are_not_normalized(kind: str) -> None:
    assert not is_normalized(_CONTAINERS[kind](HOSTILE["values that overlap"]))
    assert is_normalized(_CONTAINERS[kind](exif([(X_RESOLUTION, RATIONAL, 1, 8)], padding=8)))


def test_exif_of_avif_is_not_read() -> None:
    block = exif([(274, SHORT, 1, 6), (50_000, RATIONAL, 2**12, 26)], padding=2**15)
    data = saved(_PHOTO, "AVIF", exif=block, speed=10)
    assert b"Exif" in data[:400]
    with Pillow.open(io.BytesIO(without_hostile_exif("AVIF", data))) as photo:
        assert 50_000 not in photo.getexif()
    assert decoded(data).shape == _TALL


def _tiff(extra: list[tuple[int, int, int, int]], behind: bytes = b"") -> bytes:
    """A grey TIFF of 64x64 pixels with further entries; what is behind its pixels begins at `_BEHIND`."""
    entries = [(256, SHORT, 1, 64), (257, SHORT, 1, 64), (258, SHORT, 1, 8), (259, SHORT, 1, 1), (262, SHORT, 1, 1)]
    entries += [(273, LONG, 1, 8), (277, SHORT, 1, 1), (278, SHORT, 1, 64), (279, LONG, 1, 4096), *extra]
    data = bytes(4096) + behind
    return b"II*\0" + struct.pack("<I", 8 + len(data)) + data + directory(sorted(entries))


_BEHIND = 8 + 4096

_TIFFS = {
    "values that overlap": _tiff([(tag, UNDEFINED, 4000, 8) for tag in range(50_000, 50_010)]),
    "values of a directory inside that overlap": _tiff(
        [(EXIF, LONG, 1, _BEHIND)], directory([(tag, UNDEFINED, 4000, 8) for tag in range(50_000, 50_010)])
    ),
    "a directory that contains itself": _tiff([(EXIF, LONG, 1, _BEHIND)], directory([(EXIF, LONG, 1, _BEHIND)])),
}


@pytest.mark.parametrize("case", _TIFFS)
def test_hostile_directories_of_tiff_are_refused(case: str) -> None:
    assert re.search(r"expected at most \d+ (bytes of values|directories)", refused(_TIFFS[case]))


def test_a_tiff_with_more_entries_is_accepted() -> None:
    inside = directory([(0x9000, UNDEFINED, 4, 0), (0x829A, RATIONAL, 1, 8)])
    data = _tiff([(EXIF, LONG, 1, _BEHIND), (700, UNDEFINED, 400, 8), (50_000, UNDEFINED, 10**9, 8)], inside)
    assert decoded(data).shape == (64, 64, 3)


_ENTRIES = st.lists(
    st.tuples(
        st.sampled_from([256, 258, 273, 274, 282, 322, 34665, 34853, 40965, 50_000]),
        st.integers(0, 18),
        st.one_of(st.integers(0, 9), st.integers(0, 2**32 - 1)),
        st.one_of(st.integers(0, 400), st.integers(0, 2**32 - 1)),
    ),
    max_size=12,
)


@settings(max_examples=150, deadline=None)
@given(st.lists(_ENTRIES, min_size=1, max_size=4), st.integers(0, 300), st.integers(0, 1000))
def test_any_directories(directories: list[list[tuple[int, int, int, int]]], padding: int, cut: int) -> None:
    block = exif(*directories, padding=padding)[: 8 + cut]
    with suppress(DecodeError):
        check_decompression_bomb("TIFF", block)
    for put in _CONTAINERS.values():
        assert decoded(put(block)).shape in (_WIDE, _TALL)
    with suppress(DecodeError):
        decoded(_tiff(directories[0], block))


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(["JPEG", "PNG", "WEBP", "AVIF", "TIFF"]), st.binary(max_size=200))
def test_any_bytes_after_a_signature_are_searched_for_exif(kind: str, tail: bytes) -> None:
    head = {"JPEG": b"\xff\xd8\xff\xe1\0\x20Exif\0\0", "WEBP": b"RIFF\0\0\0\0WEBPEXIF", "AVIF": b"\0\0\0\x90meta"}
    assert len(without_hostile_exif(kind, head.get(kind, b"") + tail)) == len(head.get(kind, b"") + tail)
