"""Label Studio's brush masks: the run-length encoding (RLE) of a picture's RGBA bytes, as a stream of bits.

The format is thi.ng's rle-pack (https://github.com/thi-ng/umbrella/tree/develop/packages/rle-pack). The header has the
number of values (32 bits), the bits per value less one (5), and four widths of counts less one (4 bits each). Groups
follow: 1 bit for a run of one value or single values, the index of a width (2 bits), the count less one, and the run's
value or all single values. `encode_brush` writes the same bytes as label_studio_sdk's converter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from labelstudio.errors import AnnotationError
from surfaces.detections import Mask

Integers = npt.NDArray[np.int64]

_CHANNELS = 4
_OPAQUE = 127
_VALUE_BITS = 8
_KIND_BITS = 3
_COUNT_BITS = (3, 4, 8, 16)
_HEADER_BITS = 32 + 5 + 4 * len(_COUNT_BITS)
_BLOCK_BYTES = 1 << 17


def encode_brush(mask: Mask) -> list[int]:
    """Encodes a mask, bool HxW, as RLE bytes; inside is opaque white, outside transparent black."""
    pixels = mask.ravel()
    starts = np.flatnonzero(np.diff(pixels, prepend=~pixels[:1]))
    counts, inside = np.diff(starts, append=pixels.size) * _CHANNELS, pixels[starts].astype(np.int64)
    widths = np.array(_COUNT_BITS)
    index = np.searchsorted(1 << widths[:-1], counts)
    # The longest runs need several groups of the largest width.
    count_max = 1 << _COUNT_BITS[-1]
    groups = -(-counts // count_max)
    last_counts = counts - (groups - 1) * count_max
    counts, inside, index = (np.repeat(each, groups) for each in (np.full_like(counts, count_max), inside, index))
    counts[np.cumsum(groups) - 1] = last_counts
    codes = (((0b100 | index) << widths[index] | counts - 1) << _VALUE_BITS) | inside * 255
    return _pack(codes, _KIND_BITS + widths[index] + _VALUE_BITS, mask.size * _CHANNELS)


def decode_brush(rle: Any, height: int, width: int) -> Mask:
    """Decodes RLE of Label Studio's editor, its converter or `encode_brush` to a mask, bool HxW.

    Inside is where alpha is above 127: strokes in the editor are antialiased. Raises an AnnotationError for anything
    that is no list of bytes, truncated, or of another size.
    """
    stream = _read_header(rle)
    expected = height * width * _CHANNELS
    if stream.values != expected:
        raise AnnotationError(f"expected brush RLE of {expected} values ({width}x{height}), got {stream.values}")
    positions, counts, are_runs = _read_groups(stream)
    ends = np.cumsum(counts)
    count = int(np.searchsorted(ends, expected)) + 1
    if count > ends.size or ends[count - 1] != expected:
        got = ends[:count].max(initial=0)
        raise AnnotationError(f"expected brush RLE of {expected} values, got groups of {got}")
    counts, alpha = _read_values(stream, positions[:count], counts[:count], are_runs[:count])
    # Alpha is each fourth value, so a quarter of the values before any position are alpha values.
    pixels = np.diff(np.cumsum(counts) // _CHANNELS, prepend=0)
    return np.repeat(alpha > _OPAQUE, pixels).reshape(height, width)


def _pack(codes: Integers, lengths: Integers, values: int) -> list[int]:
    """The bytes of the header and of groups, each given as a number and its length in bits."""
    header = values
    for number, length in ((_VALUE_BITS - 1, 5), *((width - 1, 4) for width in _COUNT_BITS)):
        header = header << length | number
    ends = _HEADER_BITS + np.cumsum(lengths)
    used = int(ends[-1]) if ends.size else _HEADER_BITS
    bits = np.zeros(used + 8 - used % 8, np.uint8)  # like the converter, at least one bit of padding
    bits[:_HEADER_BITS] = [header >> shift & 1 for shift in reversed(range(_HEADER_BITS))]
    for shift in range(int(lengths.max(initial=0))):
        long_enough = lengths > shift
        bits[ends[long_enough] - 1 - shift] = codes[long_enough] >> shift & 1
    encoded: list[int] = np.packbits(bits).tolist()
    return encoded


@dataclass(frozen=True)
class _Stream:
    """`data` has zeros after its `size` bits, so that reads never exceed it."""

    data: bytes
    size: int
    values: int
    widths: tuple[int, ...]


def _read_header(rle: Any) -> _Stream:
    if not isinstance(rle, list):
        raise AnnotationError(f"expected brush RLE as a list of bytes, got {type(rle).__name__}")
    try:
        data = bytes(rle)
    except (TypeError, ValueError) as error:
        raise AnnotationError(f"expected brush RLE as a list of bytes: {error}") from error
    size = len(data) * 8
    if size < _HEADER_BITS:
        raise AnnotationError(f"expected brush RLE with a header of {_HEADER_BITS} bits, got {size}")
    data += bytes(8)
    value_bits = _number(data, 32, 5) + 1
    if value_bits != _VALUE_BITS:
        raise AnnotationError(f"expected brush RLE with values of {_VALUE_BITS} bits, got {value_bits}")
    widths = tuple(_number(data, 37 + 4 * place, 4) + 1 for place in range(len(_COUNT_BITS)))
    return _Stream(data, size, int.from_bytes(data[:4], "big"), widths)


def _read_groups(stream: _Stream) -> tuple[Integers, Integers, npt.NDArray[np.bool_]]:
    """All complete groups, also those that the padding happens to form: positions of values, counts, which are runs."""
    starts = _find_group_starts(stream)
    kinds = _numbers(stream, starts, np.full_like(starts, _KIND_BITS))
    widths = np.array(stream.widths)[kinds & 0b11]
    counts = _numbers(stream, starts + _KIND_BITS, widths) + 1
    are_runs = kinds & 0b100 > 0
    positions = starts + _KIND_BITS + widths
    complete = positions + np.where(are_runs, 1, counts) * _VALUE_BITS <= stream.size
    return positions[complete], counts[complete], are_runs[complete]


def _find_group_starts(stream: _Stream) -> Integers:
    """Positions of groups, whose first bits determine their length; the last one may exceed the stream."""
    lengths = np.zeros(8, np.uint8)
    lengths[0b100:] = np.array(stream.widths) + _KIND_BITS + _VALUE_BITS  # single values: 0, depends on their count
    found: list[Integers] = []
    position = _HEADER_BITS
    while position < stream.size:
        first = position // 8
        block = np.frombuffer(stream.data, np.uint8, min(_BLOCK_BYTES + 1, len(stream.data) - first), first)
        bits = np.unpackbits(block)
        steps = lengths[bits[:-2] << 2 | bits[1:-1] << 1 | bits[2:]].tobytes()
        offset = first * 8
        end = min(offset + _BLOCK_BYTES * 8, stream.size)
        starts = []
        while position < end:
            starts.append(position)
            position += steps[position - offset] or _length_of_singles(stream, position)
        found.append(np.array(starts, np.int64))
    return np.concatenate(found) if found else np.zeros(0, np.int64)


def _length_of_singles(stream: _Stream, start: int) -> int:
    width = stream.widths[_number(stream.data, start, _KIND_BITS)]
    count = _number(stream.data, start + _KIND_BITS, width) + 1
    return _KIND_BITS + width + count * _VALUE_BITS


def _read_values(
    stream: _Stream, positions: Integers, counts: Integers, are_runs: npt.NDArray[np.bool_]
) -> tuple[Integers, Integers]:
    """Counts and values: a run's count with its value, 1 with each single value."""
    values = np.where(are_runs, 1, counts)
    repeated = np.repeat(np.where(are_runs, counts, 1), values)
    place = np.arange(repeated.size) - np.repeat(np.cumsum(values) - values, values)
    value_positions = np.repeat(positions, values) + place * _VALUE_BITS
    return repeated, _numbers(stream, value_positions, np.full_like(value_positions, _VALUE_BITS))


def _number(data: bytes, position: int, width: int) -> int:
    word = int.from_bytes(data[position >> 3 : (position >> 3) + 4], "big")
    return word >> (32 - (position & 7) - width) & ((1 << width) - 1)


def _numbers(stream: _Stream, positions: Integers, widths: Integers) -> Integers:
    data = np.frombuffer(stream.data, np.uint8)
    word = np.zeros_like(positions)
    for place in range(4):
        word = word << 8 | data[(positions >> 3) + place]
    numbers: Integers = word >> (32 - (positions & 7) - widths) & ((1 << widths) - 1)
    return numbers
