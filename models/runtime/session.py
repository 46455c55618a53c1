"""Opens ONNX files on the CPU."""

from __future__ import annotations

from pathlib import Path

import onnxruntime

from surfaces.errors import WeightsError

_ERRORS_ONLY = 3


def open_session(path: Path, threads: int | None = None) -> onnxruntime.InferenceSession:
    """A session of ONNX Runtime.

    Args:
        path: the ONNX file.
        threads: CPU threads; None: ONNX Runtime's choice, one a core.

    Raises:
        WeightsError: the file is missing or is not an ONNX file.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    if threads:
        options.intra_op_num_threads = threads
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors share no public base class
        raise WeightsError(f"expected an ONNX file at {path}: {str(error).splitlines()[0]}") from error
