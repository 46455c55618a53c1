"""Encodes images as JPEG and PNG, and normalizes photos for export."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import ExifTags
from PIL import Image as Pillow

from surfaces.detections import Image
from surfaces.errors import OutputError
from surfaces.images.guards import format_of
from surfaces.images.load import decode_image
from surfaces.images.repairs import with_jpeg_end, without_damaged_notes, without_hostile_exif
from surfaces.io.atomic_files import replace_file

_PAGE_QUALITY = 88
_SUFFIXES = {"JPEG": ".jpg", "TIFF": ".tif"}


def encode_jpeg(image: Image, quality: int = 95, full_chroma: bool = False) -> bytes:
    """Encodes an image (uint8 HxWx3 RGB) as a JPEG file.

    Args:
        image: the image.
        quality: 0 to 100.
        full_chroma: no chroma subsampling, for sharp thin lines.
    """
    options = [cv2.IMWRITE_JPEG_QUALITY, quality]
    if full_chroma:
        options += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    _, encoded = cv2.imencode(".jpg", np.ascontiguousarray(image[:, :, ::-1]), options)
    return encoded.tobytes()


def encode_png(pixels: npt.NDArray[np.uint8]) -> bytes:
    """Encodes uint8 HxW as a grey PNG file, or HxWxC with channels in OpenCV's order (BGR, BGRA)."""
    _, encoded = cv2.imencode(".png", pixels)
    return encoded.tobytes()


def write_picture(path: Path, image: Image) -> None:
    """Writes an image (uint8 HxWx3 RGB) in the format of the path's suffix, `.jpg` or `.png`.

    Raises:
        OutputError: another suffix, or the file system refuses.
    """
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

    Args:
        data: a photo's file, of any format that `surfaces.images.load` reads.

    Returns:
        The same bytes where they are such a file already, else a new JPEG file.

    Raises:
        DecodeError: the bytes are no photo.
    """
    return data if is_normalized(data) else encode_jpeg(decode_image(io.BytesIO(data)))


def is_normalized(data: bytes) -> bool:
    """Whether a photo's file is an upright and undamaged JPEG or PNG file.

    Raises:
        DecodeError: it is damaged beyond repair.
    """
    if data.startswith(b"\xff\xd8\xff"):
        repaired = with_jpeg_end(without_hostile_exif("JPEG", data))
    elif data.startswith(b"\x89PNG"):
        repaired = without_damaged_notes(data)
    else:
        return False
    return repaired is data and _is_upright(data)


def _is_upright(data: bytes) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Pillow.open(io.BytesIO(data), formats=("JPEG", "PNG")) as photo:
                return bool(photo.getexif().get(ExifTags.Base.Orientation, 1) == 1)
    except Exception:  # broken EXIF has no orientation
        return True
