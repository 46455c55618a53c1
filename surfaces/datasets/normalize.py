"""Photos of any kind as files that every reader sees alike."""

from __future__ import annotations

import io
import warnings

from PIL import ExifTags
from PIL import Image as Pillow

from surfaces.datasets.codec import encode_jpeg
from surfaces.images.load import decode_image
from surfaces.images.repairs import with_jpeg_end, without_damaged_notes, without_hostile_exif


def _repaired_jpeg(data: bytes) -> bytes:
    return with_jpeg_end(without_hostile_exif("JPEG", data))


_REPAIRS = {b"\xff\xd8\xff": _repaired_jpeg, b"\x89PNG": without_damaged_notes}
"""By a file's first bytes: puts right what other readers refuse."""


def normalize_photo(data: bytes) -> bytes:
    """A photo as an upright JPEG or PNG file, so that masks lie on it also for readers that know no EXIF.

    Args:
        data: a photo's file, of any kind that `surfaces.images.load` reads.

    Returns:
        The same bytes where they are such a file already, else a new JPEG file.

    Raises:
        DecodeError: the bytes are no photo.
    """
    return data if is_normalized(data) else encode_jpeg(decode_image(io.BytesIO(data)))


def is_normalized(data: bytes) -> bool:
    """Whether a photo's file is an upright JPEG or PNG file without faults.

    Raises:
        DecodeError: it is damaged.
    """
    repair = next((repair for head, repair in _REPAIRS.items() if data.startswith(head)), None)
    return repair is not None and repair(data) is data and _is_upright(data)


def _is_upright(data: bytes) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Pillow.open(io.BytesIO(data), formats=("JPEG", "PNG")) as photo:
                return bool(photo.getexif().get(ExifTags.Base.Orientation, 1) == 1)
    except Exception:  # broken EXIF: nobody can turn the photo by it
        return True
