"""Opens ONNX files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import onnxruntime

from surfaces.errors import DeviceError, WeightsError
from surfaces.io.local_files import read_bytes

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
_BYTES_MAX = 2_147_483_647  # of a message in protobuf, which ONNX files are
_ERRORS_ONLY = 3

DEVICES = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
"""ONNX Runtime's execution providers by device."""


def has_external_data(content: bytes) -> bool:
    """Whether any tensor of an ONNX file is stored in another file.

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


def open_session(
    path: Path, threads: int | None = None, sha256: str | None = None, device: str = "cpu"
) -> onnxruntime.InferenceSession:
    """A session of ONNX Runtime.

    Args:
        path: the ONNX file; all of its tensors are in it.
        threads: CPU threads; None: ONNX Runtime's choice, one a core.
        sha256: of the file's bytes, hexadecimal; None: not checked.
        device: one of DEVICES; `cuda` needs the package onnxruntime-gpu in place of onnxruntime.

    Raises:
        DeviceError: the device cannot be used.
        WeightsError: the file is missing, is not an ONNX file, keeps tensors in another one, or has other bytes.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    options.add_session_config_entry("session.load_model_format", "ONNX")
    if threads:
        options.intra_op_num_threads = threads
    data = _read(path)
    if sha256 and hashlib.sha256(data).hexdigest() != sha256:
        raise WeightsError(f"expected {path} with sha256 {sha256[:12]}…: it has changed meanwhile")
    providers = _providers(device)
    try:
        session = onnxruntime.InferenceSession(data, options, providers=providers)
    except Exception as error:  # onnxruntime's errors share no public base class
        raise WeightsError(f"expected an ONNX file at {path}: {first_line(error)}") from error
    if session.get_providers()[0] != DEVICES[device]:  # ONNX Runtime falls back to the CPU
        raise DeviceError(f"expected ONNX Runtime to open {path} on {device}, got {session.get_providers()[0]}")
    return session


def _providers(device: str) -> list[str]:
    """The device's execution provider, and the CPU's for operators that it does not have."""
    if device not in DEVICES:
        raise DeviceError(f"expected a device out of {', '.join(DEVICES)}, got {device!r}")
    if DEVICES[device] not in onnxruntime.get_available_providers():
        raise DeviceError(f"expected an ONNX Runtime for {device} (pip install onnxruntime-gpu), got one without")
    return list(dict.fromkeys([DEVICES[device], DEVICES["cpu"]]))


def first_line(error: Exception) -> str:
    """The first line of an error's message; its name where it has none."""
    return (str(error) or repr(error)).splitlines()[0]


def _read(path: Path) -> bytes:
    """The bytes of a file without external data: of a network in memory, ONNX Runtime looks in the current folder."""
    try:
        data = read_bytes(path, _BYTES_MAX)
        is_divided = has_external_data(data)
    except (OSError, ValueError) as error:
        raise WeightsError(f"expected an ONNX file at {path}: {getattr(error, 'strerror', None) or error}") from error
    if is_divided:
        raise WeightsError(f"expected an ONNX file at {path} that holds all of its tensors, some are in other files")
    return data
