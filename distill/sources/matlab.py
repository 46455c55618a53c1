"""Reads MATLAB's files of version 5."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import scipy.io

from surfaces.errors import DatasetError


def text_of(cell: Any) -> str:
    """The text of a cell of an array of texts; an empty cell has none."""
    return "".join(np.asarray(cell).ravel().tolist())


def load_matlab(path: Path) -> dict[str, Any]:
    """The variables of a file by name. Raises DatasetError where it is none."""
    try:
        return dict(scipy.io.loadmat(str(path)))
    except Exception as error:  # scipy raises nearly anything for other bytes
        raise DatasetError(f"expected a MATLAB file at {path}, got: {str(error).splitlines()[0]}") from error
