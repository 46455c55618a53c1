"""Opens ONNX files on the CPU."""

from __future__ import annotations

import hashlib
from pathlib import Path

import onnxruntime

from models.runtime.onnx_file import has_external_data
from surfaces.errors import WeightsError
from surfaces.regular_files import read_bytes

_BYTES_MAX = 2_147_483_647  # of a message in protobuf, which ONNX files are
_ERRORS_ONLY = 3


def open_session(path: Path, threads: int | None = None, sha256: str | None = None) -> onnxruntime.InferenceSession:
    """A session of ONNX Runtime.

    Args:
        path: the ONNX file; all of its tensors are in it.
        threads: CPU threads; None: ONNX Runtime's choice, one a core.
        sha256: of its bytes, hexadecimal, by which it was identified; None: not checked.

    Raises:
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
    try:
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors share no public base class
        raise WeightsError(f"expected an ONNX file at {path}: {(str(error) or repr(error)).splitlines()[0]}") from error


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
