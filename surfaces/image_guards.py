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
from surfaces.tiff_guards import at_most, check_tiff

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


def refuse_bombs(name: str, data: bytes) -> None:
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
