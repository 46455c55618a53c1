"""Refuses the directories of a TIFF or of EXIF, which is a TIFF without a picture, whose values cost far more than they
are worth: entries that share their bytes, numbers without end, directories that contain each other.

The check walks the same path as Pillow's reader: the first directory, and those of EXIF, GPS and interoperability.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

from surfaces.errors import DecodeError

_VALUES_MAX = 2**12  # of a tag; each takes up to thirty times its size once read
_OFFSETS_MAX = 2**18  # a strip for every row of every channel
_ALL_VALUES_MAX = 2**14
_ALL_OFFSETS_MAX = 2**20
_TILE_PIXELS_MAX = 2**24
_DIRECTORIES_MAX = 16
_ENTRIES_MAX = 2**12

_TILE_WIDTH, _TILE_LENGTH = 322, 323
_DIRECTORIES = (34665, 34853, 40965)  # Exif, GPS, interoperability
_BYTES, _INTEGERS = (1, 2, 7), (3, 4)
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8}
_FORMATS = {3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 13: "I", 16: "Q"}
_INLINE = 4  # bytes that an entry holds itself
_EXIF_NAME = re.compile(rb"(?:Exif\0\0){0,2}")


def tiff_order(data: bytes) -> str:
    """The byte order of a TIFF, as `struct` writes it."""
    return "<" if data[:2] == b"II" else ">"


def tiff_entries(data: bytes, order: str, position: int) -> Iterator[tuple[int, int, int, int]]:
    """Tag, type, count and (if it is one integer) value of each entry of a directory (TIFF 6.0, section 2).

    Raises:
        struct.error: the directory lies outside of the file.
    """
    (entries,) = struct.unpack_from(order + "H", data, position)
    for start in range(position + 2, position + 2 + 12 * entries, 12):
        tag, kind, count = struct.unpack_from(order + "HHI", data, start)
        (value,) = struct.unpack_from(order + ("H" if kind == 3 else "I"), data, start + 8)
        yield tag, kind, count, value


def check_tiff(data: bytes) -> None:
    """Checks what the directories of a TIFF or of EXIF cost whoever reads them.

    Args:
        data: a TIFF file, or a block of EXIF from its byte order on. Values and directories that lie outside of it
            cost nothing: they are left to the reader.

    Raises:
        DecodeError: they cost more than any camera or program writes.
        struct.error: a directory lies outside of the file.
    """
    order = tiff_order(data)
    waiting = list(struct.unpack_from(order + "I", data, 4))
    directories = entries = size = values = offsets = 0
    tile = {}
    while waiting:
        directories += 1
        at_most(_DIRECTORIES_MAX, directories, "directories in a TIFF")
        is_first = directories == 1
        position = waiting.pop()
        for place, (tag, kind, count, value) in enumerate(_entries_within(data, order, position)):
            entries += 1
            at_most(_ENTRIES_MAX, entries, "entries in a TIFF's directories")
            if kind not in _BYTES:
                is_offset = is_first and kind in _INTEGERS
                at_most(_OFFSETS_MAX if is_offset else _VALUES_MAX, count, "values of a TIFF's tag")
                offsets += count * is_offset
                values += count * (not is_offset)
            own = count * _SIZES.get(kind, 0)
            if own > _INLINE and value + own <= len(data):
                size += own
            at_most(len(data), size, "bytes of values in a TIFF of that size")
            at_most(_ALL_OFFSETS_MAX, offsets, "integers in a TIFF's directories")
            at_most(_ALL_VALUES_MAX, values, "values in a TIFF's directories")
            if tag in _DIRECTORIES:
                waiting += _first_integer(data, order, kind, value if own > _INLINE else position + 10 + 12 * place)
            if is_first and tag in (_TILE_WIDTH, _TILE_LENGTH):
                tile[tag] = value
    if len(tile) == 2:
        at_most(_TILE_PIXELS_MAX, tile[_TILE_WIDTH] * tile[_TILE_LENGTH], "pixels in a TIFF's tile")


def is_sound_exif(block: bytes) -> bool:
    """Whether EXIF, with or without its name in front, may be read; what is damaged but costs nothing may."""
    match = _EXIF_NAME.match(block)
    try:
        check_tiff(block[match.end() if match else 0 :])
    except DecodeError:
        return False
    except struct.error:
        return True
    return True


def at_most(most: int, came: int, what: str) -> None:
    """Refuses more of something than there should be.

    Raises:
        DecodeError: `came` is above `most`.
    """
    if came > most:
        raise DecodeError(f"expected at most {most} {what}, this one has {came} or more")


def _entries_within(data: bytes, order: str, position: int) -> Iterator[tuple[int, int, int, int]]:
    """The entries of a directory as far as they lie within the file."""
    try:
        yield from tiff_entries(data, order, position)
    except struct.error:
        return


def _first_integer(data: bytes, order: str, kind: int, position: int) -> list[int]:
    """The first of an entry's values, if it is an integer within the file that can be a position."""
    try:
        (value,) = struct.unpack_from(order + _FORMATS[kind], data, position)
    except (KeyError, struct.error):
        return []
    return [value] if 0 <= value < len(data) else []
