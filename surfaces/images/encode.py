"""Writes the pictures of sheets and pages."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from surfaces.detections import Image
from surfaces.errors import OutputError
from surfaces.io.atomic_files import replace_file

_QUALITY = 88


def write_picture(path: Path, image: Image) -> None:
    """Writes a picture (uint8 HxWx3 RGB) in the format that the path's suffix names, `.jpg` or `.png`.

    Raises:
        OutputError: the suffix is neither, or the file system refuses.
    """
    if path.suffix.lower() not in (".jpg", ".jpeg", ".png"):
        raise OutputError(f"expected a picture's name to end in .jpg or .png, got {path.name}")
    options = [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
    _, encoded = cv2.imencode(path.suffix, np.ascontiguousarray(image[:, :, ::-1]), options)
    replace_file(path, encoded.tobytes())
