"""Opens ONNX files on the CPU."""

from __future__ import annotations

from pathlib import Path

import onnxruntime

from surfaces.errors import WeightsError
from surfaces.regular_files import read_bytes

_BYTES_MAX = 2_147_483_647  # of a message in protobuf, which ONNX files are
_ERRORS_ONLY = 3


def open_session(path: Path, threads: int | None = None) -> onnxruntime.InferenceSession:
    """A session of ONNX Runtime.

    The file is read here, and not by ONNX Runtime, which would also read weights from other files that it names: those
    count in no hash, and may lie anywhere.

    Args:
        path: the ONNX file.
        threads: CPU threads; None: ONNX Runtime's choice, one a core.

    Raises:
        WeightsError: the file is missing, is not an ONNX file, or keeps weights in another one.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    if threads:
        options.intra_op_num_threads = threads
    try:
        data = read_bytes(path, _BYTES_MAX)
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors share no public base class
        raise WeightsError(f"expected an ONNX file at {path}: {str(error).splitlines()[0]}") from error
