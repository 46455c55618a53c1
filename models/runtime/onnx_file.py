"""Reads just enough of an ONNX file to tell whether it names other files.

Tensors may lie in other files (external data), which the hash of the ONNX file does not cover and which ONNX Runtime
reads where the file says. The fields are those of onnx.proto (https://onnx.ai/onnx/api/classes.html), the encoding is
Protocol Buffers' (https://protobuf.dev/programming-guides/encoding).
"""

from __future__ import annotations

from collections.abc import Iterator

_MESSAGES = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse tensor"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse tensor", 23: "sparse tensor"},
    "sparse tensor": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
"""Fields, by number, of each kind of message that lead to tensors, and the kind of message that they hold."""

_LOCATION = b"location"
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FIELDS_MAX = 5_000_000


def has_external_data(content: bytes) -> bool:
    """Whether any tensor of an ONNX file lies in another file.

    Args:
        content: the file's bytes.

    Raises:
        ValueError: they are not Protocol Buffers, or more fields than a network has, as far as they are read.
    """
    if _LOCATION not in content:  # by which ONNX Runtime finds the other file
        return False
    left, fields = [("model", 0, len(content))], 0
    while left:
        kind, start, end = left.pop()
        for number, wire_type, value, length in _fields(content, start, end):
            fields += 1
            if fields > _FIELDS_MAX:
                raise ValueError(f"more than {_FIELDS_MAX} fields")
            if kind == "tensor" and (number == _EXTERNAL_DATA or (number == _DATA_LOCATION and value)):
                return True
            if wire_type == _BYTES and number in _MESSAGES[kind]:
                left.append((_MESSAGES[kind][number], value, value + length))
    return False


def _fields(content: bytes, at: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """The fields of a message: number, wire type, value (of bytes: where they start), and the bytes' length."""
    while at < end:
        tag, at = _varint(content, at, end)
        number, wire_type = (tag & 0xFFFFFFFF) >> 3, tag & 7
        value, length = at, {_FIXED64: 8, _FIXED32: 4}.get(wire_type, 0)
        if wire_type == _VARINT:
            value, at = _varint(content, at, end)
        elif wire_type == _BYTES:
            length, value = _varint(content, at, end)
            at = value
        elif not length:
            raise ValueError("it is damaged or another kind of file")
        at += length
        if at > end:
            raise ValueError("it is damaged or cut off")
        yield number, wire_type, value, length


def _varint(content: bytes, at: int, end: int) -> tuple[int, int]:
    """A number of seven bits a byte, and where it ends."""
    value = 0
    for place in range(at, min(at + 10, end)):
        value |= (content[place] & 0x7F) << 7 * (place - at)
        if content[place] < 0x80:
            return value, place + 1
    raise ValueError("it is damaged or cut off")
