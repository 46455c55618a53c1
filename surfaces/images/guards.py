"""Detects a photo's format, and refuses files whose structure makes decoders do excessive work.

A JPEG of a few megabytes can have 100,000 scans, a PNG as many compressed texts, a TIFF tag values that take twenty
times their size in memory. Each check follows the path of Pillow's reader in a bounded number of steps.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

from surfaces.errors import DecodeError

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "AVIF", "HEIC")
"""The formats that are decoded, an allow list: some of Pillow's decoders (such as EPS) start programs."""

_SIGNATURES = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
)
_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"})

_TIFF_VALUES_MAX = 2**12  # of a tag; each takes up to thirty times its size in memory
_TIFF_OFFSETS_MAX = 2**18  # a strip for every row of every channel
_TIFF_ALL_VALUES_MAX = 2**14
_TIFF_ALL_OFFSETS_MAX = 2**20
_TIFF_TILE_PIXELS_MAX = 2**24
_TIFF_DIRECTORIES_MAX = 16
_TIFF_ENTRIES_MAX = 2**12
_TIFF_TILE_WIDTH, _TIFF_TILE_LENGTH = 322, 323
_TIFF_DIRECTORIES = (34665, 34853, 40965)  # Exif, GPS, interoperability
_TIFF_BYTES, _TIFF_INTEGERS = (1, 2, 7), (3, 4)
_TIFF_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8}
_TIFF_FORMATS = {3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 13: "I", 16: "Q"}
_TIFF_INLINE_BYTES = 4
_EXIF_NAME = re.compile(rb"(?:Exif\0\0){0,2}")

_BLOCKS_MAX = 2**16
_JPEG_SEGMENTS_MAX = 2**12
_JPEG_SCANS_MAX = 50  # encoders write about ten; each costs a pass over the photo
_JPEG_JUNK_MAX = 2**16
_JPEG_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")  # without byte stuffing, restarts and padding
_JPEG_BARE, _JPEG_END, _JPEG_SCAN = (0x01, 0xD8), 0xD9, 0xDA
_PNG_COMPRESSED_MAX = 100  # each expands to at most a megabyte, Pillow's limit
_BMP_RUN_LENGTHS = (1, 2)


class JpegSegment(NamedTuple):
    """A marker of a JPEG: its second byte, the number of bytes between it and the previous segment, and its end."""

    kind: int
    junk: int
    position: int


def format_of(data: bytes) -> str | None:
    """The format of a file by its first bytes, one of `FORMATS`; None for others."""
    for signature, name in _SIGNATURES:
        if data.startswith(signature):
            return name
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[4:8] == b"ftyp":
        # ISO/IEC 14496-12, 4.3: the major brand, a version, the compatible brands.
        box = data[8 : min(int.from_bytes(data[:4], "big"), 256)]
        brands = {box[0:4], *(box[start : start + 4] for start in range(8, len(box), 4))}
        if brands & _AVIF_BRANDS:
            return "AVIF"
        if brands & _HEIC_BRANDS:
            return "HEIC"
    return None


def check_decompression_bomb(name: str, data: bytes) -> None:
    """Raises DecodeError for a file with more parts than cameras and programs write; `name` is from `format_of`."""
    check = _CHECKS.get(name)
    if check is None:  # the libraries that read the other containers have limits of their own
        return
    try:
        check(data)
    except (IndexError, struct.error):
        return  # truncated, which the decoder reports


def is_sound_exif(block: bytes) -> bool:
    """Whether EXIF, with or without its leading name, is safe to read; damaged EXIF that costs nothing is."""
    match = _EXIF_NAME.match(block)
    try:
        _check_tiff(block[match.end() if match else 0 :])
    except DecodeError:
        return False
    except struct.error:
        return True
    return True


def jpeg_segments(data: bytes) -> Iterator[JpegSegment]:
    """The markers of a JPEG up to the first end marker after a scan, or up to the end of the data.

    Raises struct.error where the data end within a segment.
    """
    has_scan = False
    position = 2
    while marker := _JPEG_MARKER.search(data, position):
        kind = data[marker.start() + 1]
        yield JpegSegment(kind, marker.start() - position, marker.end())
        if kind == _JPEG_END and has_scan:
            return
        has_scan |= kind == _JPEG_SCAN
        position = marker.end()
        if kind not in _JPEG_BARE:
            position += max(2, struct.unpack_from(">H", data, position)[0])


def tiff_order(data: bytes) -> str:
    """The byte order of a TIFF, as in formats of `struct`."""
    return "<" if data[:2] == b"II" else ">"


def tiff_entries(data: bytes, order: str, position: int) -> Iterator[tuple[int, int, int, int]]:
    """The tag, type, count and (where it is one integer) value of each entry of a directory (TIFF 6.0, section 2).

    Raises struct.error where the directory is outside of the data.
    """
    (entries,) = struct.unpack_from(order + "H", data, position)
    for start in range(position + 2, position + 2 + 12 * entries, 12):
        tag, kind, count = struct.unpack_from(order + "HHI", data, start)
        (value,) = struct.unpack_from(order + ("H" if kind == 3 else "I"), data, start + 8)
        yield tag, kind, count, value


def _at_most(most: int, count: int, what: str) -> None:
    if count > most:
        raise DecodeError(f"expected at most {most} {what}, this one has {count} or more")


def _check_tiff(data: bytes) -> None:
    """Checks the cost of reading the directories of a TIFF file, or of EXIF from its byte order on.

    Values and directories outside of the data cost nothing and are left to the reader. Raises struct.error where the
    first directory is outside.
    """
    order = tiff_order(data)
    waiting = list(struct.unpack_from(order + "I", data, 4))
    directories = entries = size = values = offsets = 0
    tile = {}
    while waiting:
        directories += 1
        _at_most(_TIFF_DIRECTORIES_MAX, directories, "directories in a TIFF")
        is_first = directories == 1
        position = waiting.pop()
        for index, (tag, kind, count, value) in enumerate(_entries_within(data, order, position)):
            entries += 1
            _at_most(_TIFF_ENTRIES_MAX, entries, "entries in a TIFF's directories")
            if kind not in _TIFF_BYTES:
                is_offset = is_first and kind in _TIFF_INTEGERS
                _at_most(_TIFF_OFFSETS_MAX if is_offset else _TIFF_VALUES_MAX, count, "values of a TIFF's tag")
                offsets += count * is_offset
                values += count * (not is_offset)
            own = count * _TIFF_SIZES.get(kind, 0)
            is_inline = own <= _TIFF_INLINE_BYTES
            if not is_inline and value + own <= len(data):
                size += own
            _at_most(len(data), size, "bytes of values in a TIFF of that size")
            _at_most(_TIFF_ALL_OFFSETS_MAX, offsets, "integers in a TIFF's directories")
            _at_most(_TIFF_ALL_VALUES_MAX, values, "values in a TIFF's directories")
            if tag in _TIFF_DIRECTORIES:
                waiting += _first_integer(data, order, kind, position + 10 + 12 * index if is_inline else value)
            if is_first and tag in (_TIFF_TILE_WIDTH, _TIFF_TILE_LENGTH):
                tile[tag] = value
    if len(tile) == 2:
        _at_most(_TIFF_TILE_PIXELS_MAX, tile[_TIFF_TILE_WIDTH] * tile[_TIFF_TILE_LENGTH], "pixels in a TIFF's tile")


def _entries_within(data: bytes, order: str, position: int) -> Iterator[tuple[int, int, int, int]]:
    """The entries of a directory up to the end of the data."""
    try:
        yield from tiff_entries(data, order, position)
    except struct.error:
        return


def _first_integer(data: bytes, order: str, kind: int, position: int) -> list[int]:
    """The first of an entry's values, if it is an integer that can be a position in the data."""
    try:
        (value,) = struct.unpack_from(order + _TIFF_FORMATS[kind], data, position)
    except (KeyError, struct.error):
        return []
    return [value] if 0 <= value < len(data) else []


def _check_jpeg(data: bytes) -> None:
    scans = 0
    for count, segment in enumerate(jpeg_segments(data), 1):
        if not scans and segment.junk > _JPEG_JUNK_MAX:
            raise DecodeError(f"expected at most {_JPEG_JUNK_MAX} stray bytes in the JPEG's header, it has more")
        scans += segment.kind == _JPEG_SCAN
        _at_most(_JPEG_SEGMENTS_MAX, count, "segments in a JPEG")
        _at_most(_JPEG_SCANS_MAX, scans, "scans in a JPEG")


def _check_png(data: bytes) -> None:
    chunks = compressed = 0
    position = 8
    while True:
        length, kind = struct.unpack_from(">I4s", data, position)
        if kind == b"IEND":
            return
        chunks += 1
        compressed += kind in (b"iCCP", b"zTXt", b"iTXt")
        _at_most(_BLOCKS_MAX, chunks, "chunks in a PNG")
        _at_most(_PNG_COMPRESSED_MAX, compressed, "texts and profiles in a PNG")
        position += 12 + length


def _check_gif(data: bytes) -> None:
    position = 13 + (3 << (data[10] & 7) + 1 if data[10] & 0x80 else 0)
    blocks = 0
    while data[position] not in b",;":
        blocks += 1
        _at_most(_BLOCKS_MAX, blocks, "blocks before a GIF's image")
        if data[position] != ord("!"):
            position += 1
            continue
        is_comment = data[position + 1] == 0xFE
        # Pillow continues after an empty first block, unless it is a comment.
        first = data[position + 2]
        position += 3 + first
        if is_comment and not first:
            continue
        while size := data[position]:
            blocks += 1
            _at_most(_BLOCKS_MAX, blocks, "blocks before a GIF's image")
            position += 1 + size
        position += 1


def _check_bmp(data: bytes) -> None:
    header_size, compression = struct.unpack_from("<I12xI", data, 14)
    if header_size > 12 and compression in _BMP_RUN_LENGTHS:
        # Pillow decodes run lengths in Python, a microsecond per pixel.
        raise DecodeError("expected a plain BMP, got one of run lengths")


_CHECKS: dict[str, Callable[[bytes], None]] = {
    "JPEG": _check_jpeg,
    "PNG": _check_png,
    "GIF": _check_gif,
    "BMP": _check_bmp,
    "TIFF": _check_tiff,
}
