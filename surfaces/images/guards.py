"""Tells a photo's format from its bytes and refuses files built to exhaust whoever decodes them.

The decoders check the number of pixels, not the work that a file's structure makes: a JPEG of a few megabytes can hold
100,000 scans of the whole photo, a PNG as many compressed notes, a TIFF numbers that take twenty times their size once
read. Each check here walks the same path as Pillow's reader, in a bounded number of steps, and leaves everything else
that may be wrong to the decoder.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

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


FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "AVIF", "HEIC")
"""What is decoded. Named one by one: Pillow's other decoders (EPS and the like) start programs."""

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

_BLOCKS_MAX = 2**16
_JPEG_SEGMENTS_MAX = 2**12
_JPEG_SCANS_MAX = 50  # encoders write ten or so; each costs a pass over the photo
_JPEG_JUNK_MAX = 2**16
_PNG_COMPRESSED_MAX = 100  # each grows to a megabyte, the limit of Pillow

_JPEG_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")  # no byte stuffing, restart or padding
_JPEG_BARE, _JPEG_END, _JPEG_SCAN = (0x01, 0xD8), 0xD9, 0xDA
_BMP_RUN_LENGTHS = (1, 2)


def format_of(data: bytes) -> str | None:
    """Which of the `FORMATS` a file claims to be by its first bytes; None where it's none of them."""
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
    """Refuses a file whose structure makes far more work than its photo is worth.

    Args:
        name: its format, from `format_of`.
        data: the whole file.

    Raises:
        DecodeError: it has more parts than any camera or program writes.
    """
    check = _CHECKS.get(name)
    if check is None:  # these containers are read by libraries that have limits of their own
        return
    try:
        check(data)
    except (IndexError, struct.error):
        return  # truncated: the decoder says how


class JpegSegment(NamedTuple):
    """A marker of a JPEG.

    Attributes:
        kind: its second byte.
        junk: how many bytes there are between the end of the segment before and the marker.
        position: of the byte that follows the marker: the segment's length, where it has one.
    """

    kind: int
    junk: int
    position: int


def jpeg_segments(data: bytes) -> Iterator[JpegSegment]:
    """The markers of a JPEG up to the first end marker after a scan, or as many as there are.

    Raises:
        struct.error: it ends within a segment.
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


def _check_jpeg(data: bytes) -> None:
    scans = 0
    for count, segment in enumerate(jpeg_segments(data), 1):
        if not scans and segment.junk > _JPEG_JUNK_MAX:
            raise DecodeError(f"expected at most {_JPEG_JUNK_MAX} stray bytes in the JPEG's header, it has more")
        scans += segment.kind == _JPEG_SCAN
        at_most(_JPEG_SEGMENTS_MAX, count, "segments in a JPEG")
        at_most(_JPEG_SCANS_MAX, scans, "scans in a JPEG")


def _check_png(data: bytes) -> None:
    chunks = compressed = 0
    position = 8
    while True:
        length, kind = struct.unpack_from(">I4s", data, position)
        if kind == b"IEND":
            return
        chunks += 1
        compressed += kind in (b"iCCP", b"zTXt", b"iTXt")
        at_most(_BLOCKS_MAX, chunks, "chunks in a PNG")
        at_most(_PNG_COMPRESSED_MAX, compressed, "texts and profiles in a PNG")
        position += 12 + length


def _check_gif(data: bytes) -> None:
    position = 13 + (3 << (data[10] & 7) + 1 if data[10] & 0x80 else 0)
    blocks = 0
    while data[position] not in b",;":
        blocks += 1
        at_most(_BLOCKS_MAX, blocks, "blocks before a GIF's image")
        if data[position] != ord("!"):
            position += 1
            continue
        is_comment = data[position + 1] == 0xFE
        # Pillow reads on after an empty first block, unless it is a comment.
        first = data[position + 2]
        position += 3 + first
        if is_comment and not first:
            continue
        while size := data[position]:
            blocks += 1
            at_most(_BLOCKS_MAX, blocks, "blocks before a GIF's image")
            position += 1 + size
        position += 1


def _check_bmp(data: bytes) -> None:
    header_size, compression = struct.unpack_from("<I12xI", data, 14)
    if header_size > 12 and compression in _BMP_RUN_LENGTHS:
        # Pillow decodes them in Python, at a microsecond a pixel; nobody stores photos so.
        raise DecodeError("expected a plain BMP, got one of run lengths")


_CHECKS: dict[str, Callable[[bytes], None]] = {
    "JPEG": _check_jpeg,
    "PNG": _check_png,
    "GIF": _check_gif,
    "BMP": _check_bmp,
    "TIFF": check_tiff,
}
