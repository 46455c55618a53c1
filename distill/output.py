"""Writes reports and pictures: a file is replaced whole, or stays as it was."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import cv2
import numpy as np

from surfaces.detections import Image
from surfaces.errors import OutputError

_QUALITY = 88


def write_file(path: Path, data: bytes) -> None:
    """Writes a file, over an older one of that name; its folder is created where absent.

    Raises:
        OutputError: the file system refuses.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            Path(temporary).chmod(0o644)
            Path(temporary).replace(path)
        finally:
            Path(temporary).unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"could not write {path}: {error.strerror}") from error


def write_picture(path: Path, image: Image) -> None:
    """Writes a picture (uint8 HxWx3 RGB) in the format that the path's suffix names, `.jpg` or `.png`.

    Raises:
        OutputError: the suffix is neither, or the file system refuses.
    """
    if path.suffix.lower() not in (".jpg", ".jpeg", ".png"):
        raise OutputError(f"expected a picture's name to end in .jpg or .png, got {path.name}")
    options = [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
    _, encoded = cv2.imencode(path.suffix, np.ascontiguousarray(image[:, :, ::-1]), options)
    write_file(path, encoded.tobytes())
