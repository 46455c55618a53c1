"""Encodes images as JPEG and PNG, and normalizes photos for export."""

from __future__ import annotations

import io
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow

from surfaces.detections import Image
from surfaces.errors import OutputError
from surfaces.images.guards import format_of
from surfaces.images.load import decode_image, exif_orientation
from surfaces.images.repairs import with_jpeg_end, without_damaged_notes, without_hostile_exif
from surfaces.io.atomic_files import replace_file

_PAGE_QUALITY = 88
_ROWS_AT_ONCE = 256
_SUFFIXES = {"JPEG": ".jpg", "TIFF": ".tif"}


def encode_jpeg(image: Image, quality: int = 95, full_chroma: bool = False, in_place: bool = False) -> bytes:
    """Encodes an image (uint8 HxWx3 RGB) as a JPEG file; `full_chroma` keeps thin lines sharp.

    `in_place` makes no copy of the image, which may be large, but exchanges its red and blue meanwhile.
    """
    options = [cv2.IMWRITE_JPEG_QUALITY, quality]
    if full_chroma:
        options += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    bgr = np.ascontiguousarray(image) if in_place else image.copy()
    _exchange_red_and_blue(bgr)
    try:
        written, encoded = cv2.imencode(".jpg", bgr, options)
    finally:
        if in_place:
            _exchange_red_and_blue(bgr)
    if not written:
        raise OutputError(
            f"expected at most 65500 pixels a side for a JPEG file, got {image.shape[1]}x{image.shape[0]}"
        )
    return encoded.tobytes()


def _exchange_red_and_blue(image: Image) -> None:
    for top in range(0, len(image), _ROWS_AT_ONCE):  # of which OpenCV makes copies
        rows = image[top : top + _ROWS_AT_ONCE]
        cv2.cvtColor(rows, cv2.COLOR_RGB2BGR, dst=rows)


def encode_png(pixels: npt.NDArray[np.uint8]) -> bytes:
    """Encodes uint8 HxW as a grey PNG file, or HxWxC with channels in OpenCV's order (BGR, BGRA)."""
    _, encoded = cv2.imencode(".png", pixels)
    return encoded.tobytes()


def write_picture(path: Path, image: Image) -> None:
    """Writes an image (uint8 HxWx3 RGB) as `.jpg` or `.png`, by the path's suffix; raises OutputError for others."""
    suffix = path.suffix.lower()
    if suffix not in (".jpg", ".jpeg", ".png"):
        raise OutputError(f"expected a picture's name to end in .jpg or .png, got {path.name}")
    is_png = suffix == ".png"
    replace_file(path, encode_png(image[:, :, ::-1]) if is_png else encode_jpeg(image, _PAGE_QUALITY))


def suffix_of(photo: bytes) -> str:
    """The file suffix of a photo's format, such as `.png`; `.jpg` for bytes of no known format."""
    name = format_of(photo) or "JPEG"
    return _SUFFIXES.get(name, f".{name.lower()}")


def normalize_photo(data: bytes) -> bytes:
    """A photo as an upright JPEG or PNG file, so that masks fit it also in programs that ignore EXIF.

    Returns the same bytes where they are such a file already. Raises DecodeError where they are no photo.
    """
    return data if is_normalized(data) else encode_jpeg(decode_image(io.BytesIO(data)))


def is_normalized(data: bytes) -> bool:
    """Whether a photo's file is an upright, undamaged JPEG or PNG file; raises DecodeError if it is beyond repair."""
    if data.startswith(b"\xff\xd8\xff"):
        repaired = with_jpeg_end(without_hostile_exif("JPEG", data))
    elif data.startswith(b"\x89PNG"):
        repaired = without_damaged_notes(data)
    else:
        return False
    return repaired is data and _is_upright(data)


def _is_upright(data: bytes) -> bool:
    with suppress(Exception), Pillow.open(io.BytesIO(data), formats=("JPEG", "PNG")) as photo:
        return exif_orientation(photo) == 1
    return True
