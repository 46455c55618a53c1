"""Repairs faults that common viewers accept, and hides EXIF that is unsafe to read.

Each function returns the repaired file, or the same bytes. Pillow's own switch also accepts photos that are mostly
missing.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import islice

import numpy as np
from PIL import Image as Pillow

from surfaces.errors import DecodeError
from surfaces.images.guards import is_sound_exif, jpeg_segments, tiff_entries, tiff_order
from surfaces.messages import printable

_EXIF_NAME = b"Exif\0\0"
_JPEG_APP1 = 0xE1

_JPEG_END = b"\xff\xd9"
_JPEG_FRAMES, _JPEG_SCAN = (0xC0, 0xC1, 0xC2), 0xDA  # baseline, extended, progressive
_JPEG_COEFFICIENTS = 64
_JPEG_HEADER_MAX = 6 + 3 * 255
_JPEG_MISSING_MAX = 0.02  # of the pixels
_NOISE = bytes(range(1, 255)) * 4
_JPEG_FILLER = _NOISE + b"".join(b"\xff" + bytes([restart]) + _NOISE for restart in range(0xD0, 0xD8))

_PNG_ANCILLARY = 0x20  # of the first letter of a chunk's name (PNG, 5.4)

_TIFF_PAGES_MAX = 2**12
_TIFF_ENTRIES_READ = 64  # entries are sorted, and those of interest are among the first
_TIFF_WIDTH, _TIFF_HEIGHT, _TIFF_STRIPS, _TIFF_TILES = 256, 257, 273, 324


def with_jpeg_end(data: bytes) -> bytes:
    """Adds the end marker to a JPEG that lacks it, if at most its last few pixels are missing."""
    try:
        if [segment.kind for segment in jpeg_segments(data)][-1] == _JPEG_END[1] or not _has_all_scans(data):
            return data
    except (LookupError, ValueError, struct.error):  # damaged headers, which the decoder reports
        return data
    open_end = data.rstrip(b"\xff")
    return open_end + _JPEG_END if _missing_share(open_end) <= _JPEG_MISSING_MAX else data


def without_damaged_notes(data: bytes) -> bytes:
    """Removes ancillary chunks (texts, profile, time) with a wrong checksum from a PNG, as libpng does, and bad EXIF.

    Raises DecodeError where the checksum of a critical chunk is wrong.
    """
    kept: list[bytes] = []
    view = memoryview(data)
    start = position = 8
    while position + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length
        if end > len(data) or kind == b"IEND":
            break
        is_hostile = kind == b"eXIf" and not is_sound_exif(data[position + 8 : end - 4])
        if is_hostile or view[end - 4 : end] != zlib.crc32(view[position + 4 : end - 4]).to_bytes(4, "big"):
            if not kind[0] & _PNG_ANCILLARY:
                name = printable(kind.decode("latin-1"))
                raise DecodeError(f"the photo is truncated or corrupt: wrong checksum in its chunk {name}")
            kept.append(data[start:position])
            start = end
        position = end
    return data[:8] + b"".join(kept) + data[start:] if kept else data


def without_hostile_exif(name: str, data: bytes) -> bytes:
    """Renames the EXIF of a photo, so that readers skip it, if reading it costs too much (`surfaces.images.guards`)."""
    if name == "AVIF":  # the container has the orientation, EXIF is not needed (ISO/IEC 23008-12, A.2.1)
        return _overwrite(data, _exif_types_of_avif(data), b"none")
    find, hidden = _EXIF_FINDERS.get(name, (None, b""))
    if find is None:
        return data
    places = list(find(data))
    if is_sound_exif(b"".join(data[start:end].removeprefix(_EXIF_NAME) for _, start, end in places)):
        return data
    return _overwrite(data, [place for place, _, _ in places], hidden)


def with_largest_page_first(data: bytes) -> bytes:
    """Points the header of a TIFF to its (first) largest page, since readers decode only the page it points to."""
    order = tiff_order(data)
    largest, pixels = 0, 0
    visited: set[int] = set()
    try:
        (page,) = struct.unpack_from(order + "I", data, 4)
        while page and page not in visited and len(visited) < _TIFF_PAGES_MAX:
            visited.add(page)
            entries = islice(tiff_entries(data, order, page), _TIFF_ENTRIES_READ)
            values = {tag: value for tag, _, _, value in entries}
            size = values.get(_TIFF_WIDTH, 0) * values.get(_TIFF_HEIGHT, 0)
            if size > pixels and (_TIFF_STRIPS in values or _TIFF_TILES in values):
                largest, pixels = page, size
            (count,) = struct.unpack_from(order + "H", data, page)
            (page,) = struct.unpack_from(order + "I", data, page + 2 + 12 * count)
    except struct.error:
        pass  # the next page is outside of the file
    if not largest or data[4:8] == (head := struct.pack(order + "I", largest)):
        return data
    return data[:4] + head + data[8:]


def _exif_of_jpeg(data: bytes) -> Iterator[tuple[int, int, int]]:
    """The position of the name, the start and the end of each part of a JPEG's EXIF."""
    with suppress(struct.error):
        for kind, _, position in jpeg_segments(data):
            if kind == _JPEG_SCAN:
                return
            start = position + 2
            if kind == _JPEG_APP1 and data.startswith(_EXIF_NAME, start):
                (length,) = struct.unpack_from(">H", data, position)
                yield start, start, position + length


def _exif_of_webp(data: bytes) -> Iterator[tuple[int, int, int]]:
    """The same for the EXIF chunk of a WebP (RFC 9649, 2.3)."""
    position = 12
    while position + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, position)
        if kind == b"EXIF":
            yield position, position + 8, position + 8 + length
            return
        position += 8 + length + length % 2


def _exif_types_of_avif(data: bytes) -> list[int]:
    """The positions of the types of EXIF items in an AVIF (ISO/IEC 14496-12, 8.11.6)."""
    found = []
    for start, end in _boxes(data, b"meta", 0, len(data)):
        for items, items_end in _boxes(data, b"iinf", start + 4, end):
            count_bytes = 4 if data[items : items + 1] > b"\0" else 2
            for item, _ in _boxes(data, b"infe", items + 4 + count_bytes, items_end):
                place = item + (10 if data[item : item + 1] > b"\2" else 8)
                if data.startswith(b"Exif", place):
                    found.append(place)
    return found


def _boxes(data: bytes, kind: bytes, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The start and the end of the contents of the boxes of a kind, among consecutive boxes."""
    while start + 8 <= end:
        size, name = struct.unpack_from(">I4s", data, start)
        content = start + 8
        if size == 1 and content + 8 <= end:
            (size,) = struct.unpack_from(">Q", data, content)
            content += 8
        stop = min(start + size, end) if size else end
        if stop < content:
            return
        if name == kind:
            yield content, stop
        start = stop


def _overwrite(data: bytes, places: Sequence[int], word: bytes) -> bytes:
    if not places:
        return data
    changed = bytearray(data)
    for place in places:
        changed[place : place + len(word)] = word
    return bytes(changed)


def _has_all_scans(data: bytes) -> bool:
    """Whether every coefficient of every component has its last bit in some scan (ITU-T T.81, B.2.3 and G.1.1.1)."""
    missing: dict[int, list[bool]] = {}
    for segment in jpeg_segments(data):
        payload = data[segment.position + 2 : segment.position + 2 + _JPEG_HEADER_MAX]
        if segment.kind in _JPEG_FRAMES:
            missing = {payload[6 + 3 * n]: [True] * _JPEG_COEFFICIENTS for n in range(payload[5])}
        elif segment.kind == _JPEG_SCAN:
            count = payload[0]
            first, last, bits = payload[1 + 2 * count : 4 + 2 * count]
            if bits & 15 == 0:
                for n in range(count):
                    missing[payload[1 + 2 * n]][first : last + 1] = [False] * (last + 1 - first)
    return bool(missing) and not any(map(any, missing.values()))


def _missing_share(data: bytes) -> float:
    """The share of a JPEG's pixels that its last scan lacks: those from the first that changes with appended bytes on.

    Where the scan is complete, decoders skip appended bytes.
    """
    ended, filled = (_decode_eighth(data + more + _JPEG_END) for more in (b"", _JPEG_FILLER))
    changed = (ended != filled).any(axis=2)
    height, width = changed.shape
    rows = np.flatnonzero(changed.any(axis=1))
    if not len(rows):
        return 0.0
    top = int(rows[0]) // 2 * 2  # units of a scan are 8 or 16 pixels high, here 1 or 2
    left = int(np.flatnonzero(changed[top : top + 2].any(axis=0))[0])
    return 1.0 - float(top * width + min(2, height - top) * left) / float(height * width)


def _decode_eighth(data: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """A JPEG decoded at an eighth of its size, one pixel per block, which is far quicker."""
    with Pillow.open(io.BytesIO(data), formats=("JPEG",)) as photo:
        photo.draft(photo.mode, (max(1, photo.width // 8), max(1, photo.height // 8)))
        return np.atleast_3d(np.asarray(photo))


_EXIF_FINDERS: dict[str, tuple[Callable[[bytes], Iterator[tuple[int, int, int]]], bytes]] = {
    "JPEG": (_exif_of_jpeg, b"none\0\0"),
    "WEBP": (_exif_of_webp, b"none"),
}
"""By format: how to find its EXIF, and the name of parts that readers skip."""
