"""Label Studio's brush masks: the run-length encoding (RLE) of a picture's RGBA bytes, as a stream of bits.

The format is thi.ng's rle-pack (https://github.com/thi-ng/umbrella/tree/develop/packages/rle-pack). First the number of
values (32 bits), the bits of a value less one (5), and four widths of counts less one (4 bits each). Then groups: 1 bit
that tells a run of one value from single values, the index of a width (2 bits), the count less one, and the run's value
or all the single ones. `encode_brush` writes byte for byte what label_studio_sdk's converter does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from labelstudio.errors import AnnotationError
from surfaces.detections import Mask

Bits = npt.NDArray[np.int64]
"""int64 N: positions in the stream, or numbers read there."""

_CHANNELS = 4
_OPAQUE = 127
_VALUE_BITS = 8
_KIND_BITS = 3
_COUNT_BITS = (3, 4, 8, 16)
_HEADER_BITS = 32 + 5 + 4 * len(_COUNT_BITS)
_BLOCK_BYTES = 1 << 17


def encode_brush(mask: Mask) -> list[int]:
    """Packs a mask; holes and separate parts survive.

    Args:
        mask: bool HxW.

    Returns:
        The bytes of its RLE; inside is opaque white, outside transparent black.
    """
    counts, inside = _runs_of(mask.ravel())
    widths = np.array(_COUNT_BITS)
    index = np.searchsorted(1 << widths[:-1], counts)
    # The longest runs fill several groups, all of the greatest width.
    longest = 1 << _COUNT_BITS[-1]
    groups = -(-counts // longest)
    rest = counts - (groups - 1) * longest
    counts, inside, index = (np.repeat(numbers, groups) for numbers in (np.full_like(counts, longest), inside, index))
    counts[np.cumsum(groups) - 1] = rest
    codes = (((0b100 | index) << widths[index] | counts - 1) << _VALUE_BITS) | inside * 255
    return _packed(codes, _KIND_BITS + widths[index] + _VALUE_BITS, mask.size * _CHANNELS)


def decode_brush(rle: Any, height: int, width: int) -> Mask:
    """Unpacks a mask that Label Studio's browser, its converter or `encode_brush` packed.

    Args:
        rle: a list of bytes, as it came from the server.
        height: of the photo, pixels.
        width: of the photo, pixels.

    Returns:
        bool HxW, True where alpha is above 127: the browser's strokes are antialiased.

    Raises:
        AnnotationError: it is no such list, belongs to a photo of another size, or is cut off.
    """
    stream = _opened(rle)
    stated = height * width * _CHANNELS
    if stream.values != stated:
        raise AnnotationError(f"expected brush RLE of {stated} values ({width}x{height}), got {stream.values}")
    groups = _groups_of(stream)
    ends = np.cumsum(groups.counts)
    last = int(np.searchsorted(ends, stated))
    if last == ends.size or ends[last] != stated:
        raise AnnotationError(f"expected brush RLE of {stated} values, got groups of {ends[: last + 1].max(initial=0)}")
    counts, alpha = _values_of(stream, groups.until(last))
    # Alpha is each fourth value, so of the values before any position a quarter is.
    pixels = np.diff(np.cumsum(counts) // _CHANNELS, prepend=0)
    return np.repeat(alpha > _OPAQUE, pixels).reshape(height, width)


def _runs_of(pixels: npt.NDArray[np.bool_]) -> tuple[Bits, Bits]:
    """How many values each run has in RGBA, and whether it is inside."""
    starts = np.flatnonzero(np.diff(pixels, prepend=~pixels[:1]))
    return np.diff(starts, append=pixels.size) * _CHANNELS, pixels[starts].astype(np.int64)


def _packed(codes: Bits, lengths: Bits, values: int) -> list[int]:
    """The bytes of the header and of the groups, each a number and how many bits it has."""
    header = values
    for number, length in ((_VALUE_BITS - 1, 5), *((width - 1, 4) for width in _COUNT_BITS)):
        header = header << length | number
    ends = _HEADER_BITS + np.cumsum(lengths)
    used = int(ends[-1]) if ends.size else _HEADER_BITS
    bits = np.zeros(used + 8 - used % 8, np.uint8)  # as the converter: where no bit is left over, a byte follows
    bits[:_HEADER_BITS] = [header >> shift & 1 for shift in reversed(range(_HEADER_BITS))]
    for shift in range(int(lengths.max(initial=0))):
        long_enough = lengths > shift
        bits[ends[long_enough] - 1 - shift] = codes[long_enough] >> shift & 1
    encoded: list[int] = np.packbits(bits).tolist()
    return encoded


@dataclass(frozen=True)
class _Stream:
    """RLE whose header was read. `data` goes on with zeros behind its `size` bits."""

    data: bytes
    size: int
    values: int
    widths: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class _Groups:
    """Groups in the order of the stream: where their values begin, how many there are, and whether they are runs."""

    positions: Bits
    counts: Bits
    are_runs: npt.NDArray[np.bool_]

    def until(self, last: int) -> _Groups:
        return _Groups(self.positions[: last + 1], self.counts[: last + 1], self.are_runs[: last + 1])


def _opened(rle: Any) -> _Stream:
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


def _groups_of(stream: _Stream) -> _Groups:
    """All whole groups, those of padding bits behind the last one included."""
    starts = _starts_of(stream)
    kinds = _numbers(stream, starts, np.full_like(starts, _KIND_BITS))
    widths = np.array(stream.widths)[kinds & 0b11]
    counts = _numbers(stream, starts + _KIND_BITS, widths) + 1
    are_runs = kinds & 0b100 > 0
    positions = starts + _KIND_BITS + widths
    whole = positions + np.where(are_runs, 1, counts) * _VALUE_BITS <= stream.size
    return _Groups(positions[whole], counts[whole], are_runs[whole])


def _starts_of(stream: _Stream) -> Bits:
    """Where groups begin: each one's own bits say where it ends. Only the last may reach beyond the stream."""
    lengths = np.zeros(8, np.uint8)
    lengths[0b100:] = np.array(stream.widths) + _KIND_BITS + _VALUE_BITS  # those of single values are known later
    found: list[Bits] = []
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
    """The bits of a group of single values."""
    width = stream.widths[_number(stream.data, start, _KIND_BITS)]
    count = _number(stream.data, start + _KIND_BITS, width) + 1
    return _KIND_BITS + width + count * _VALUE_BITS


def _values_of(stream: _Stream, groups: _Groups) -> tuple[Bits, Bits]:
    """The groups' values, each with its count: that of a run, or 1."""
    values = np.where(groups.are_runs, 1, groups.counts)
    counts = np.repeat(np.where(groups.are_runs, groups.counts, 1), values)
    place = np.arange(counts.size) - np.repeat(np.cumsum(values) - values, values)
    positions = np.repeat(groups.positions, values) + place * _VALUE_BITS
    return counts, _numbers(stream, positions, np.full_like(positions, _VALUE_BITS))


def _number(data: bytes, position: int, width: int) -> int:
    """The number of so many bits (up to 25) at a position."""
    word = int.from_bytes(data[position >> 3 : (position >> 3) + 4], "big")
    return word >> (32 - (position & 7) - width) & ((1 << width) - 1)


def _numbers(stream: _Stream, positions: Bits, widths: Bits) -> Bits:
    """The numbers of so many bits (up to 25) at all positions."""
    data = np.frombuffer(stream.data, np.uint8)
    word = np.zeros_like(positions)
    for place in range(4):
        word = word << 8 | data[(positions >> 3) + place]
    numbers: Bits = word >> (32 - (positions & 7) - widths) & ((1 << widths) - 1)
    return numbers
