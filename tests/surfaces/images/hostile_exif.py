"""EXIF, and the directories of TIFF files, whose values cost far more than they are worth."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from tests.surfaces.images.handmade_images import PNG_SIGNATURE, png_chunk

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

HOSTILE = {
    "values that overlap": exif([_TURNED, *((tag, UNDEFINED, 4000, 8) for tag in range(50_000, 50_100))], padding=4000),
    "values of a directory inside": exif(
        [_TURNED, (EXIF, LONG, 1, place_of(1, 2))],
        [(tag, UNDEFINED, 4000, 8) for tag in range(50_000, 50_100)],
        padding=4000,
    ),
    "a directory behind a second pointer": exif(
        [_TURNED, (EXIF, LONG, 2, place_of(1, 2)), (GPS, LONG, 1, 0)],
        [(tag, UNDEFINED, 4000, 8) for tag in range(50_000, 50_100)],
        padding=4000,
    ),
    "fractions without end": exif([_TURNED, (X_RESOLUTION, RATIONAL, 5000, 8)], padding=40_000),
    "fractions in many entries": exif(
        [_TURNED, *((tag, RATIONAL, 4000, 8 + 32_000 * (tag - 50_000)) for tag in range(50_000, 50_006))],
        padding=200_000,
    ),
    "directories that contain each other": exif(
        [_TURNED, (EXIF, LONG, 1, place_of(1, 2))], [(EXIF, LONG, 1, 8), (INTEROPERABILITY, LONG, 1, place_of(1, 2))]
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
