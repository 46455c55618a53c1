"""Photos and label maps to bytes and back. Photos are decoded as for segmenting; a map's values are never scaled."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow

from surfaces.classes import NUM_CHANNELS
from surfaces.detections import Image
from surfaces.errors import DatasetError, DecodeError
from surfaces.images import load as images
from surfaces.images.guards import FORMATS, check_decompression_bomb, format_of
from surfaces.io import local_files as regular_files

LIMITS = images.ImageLimits(side_min=1)
"""Of a dataset's photos and label maps."""

COCO_BYTES_MAX = 2**32
"""Of a COCO file, which is held as Python's objects; COCO's own largest has a tenth."""

_JPEG_QUALITY = 95
_PNG_HEADER = ">8xI4sIIBB"  # PNG 11.2.1: length, IHDR, width, height, bit depth, colour type
_GREY, _PALETTE = 0, 3
_COLOUR_TYPES = {_GREY: "grey", 2: "RGB", _PALETTE: "palette", 4: "grey with opacity", 6: "RGB with opacity"}
_SUFFIXES = {"JPEG": ".jpg", "TIFF": ".tif"}
_MOST_CHANNELS = 4  # of a PNG file
_BGR_FIRST = [2, 1, 0, 3]  # OpenCV takes a belief's channels for these of an image, and wrote them so


def read_bytes(path: Path, most: int = LIMITS.bytes_max) -> bytes:
    """The bytes of one of a dataset's files.

    Args:
        path: the file.
        most: how many there may be; the check comes before they are read.

    Raises:
        DatasetError: it is missing, no file, cannot be read or has more.
    """
    try:
        return regular_files.read_bytes(path, most)
    except OSError as error:
        raise DatasetError(f"expected a readable file at {path}, got: {error.strerror}") from error


def read_photo(path: Path) -> bytes:
    """The bytes of one of a dataset's photos, so that what is copied on is a photo by its first bytes.

    Raises:
        DatasetError: it is missing, cannot be read, or is of no format that is read.
    """
    return require_photo(read_bytes(path), str(path))


def require_photo(data: bytes, source: str) -> bytes:
    """A photo's file, passed through.

    Args:
        data: the file.
        source: what it is called in error messages.

    Raises:
        DatasetError: its first bytes are of no format that is read.
    """
    if format_of(data) is None:
        raise DatasetError(f"{source}: expected a photo ({', '.join(FORMATS)}), got {len(data)} bytes that are none")
    return data


def decode_image(data: bytes, source: str) -> Image:
    """Decodes a photo, as `surfaces.images.load.decode_image` does for segmenting.

    Args:
        data: the photo's file, of any format that is segmented.
        source: what the photo is called in error messages.

    Returns:
        uint8 HxWx3, sRGB, EXIF orientation applied.

    Raises:
        DatasetError: the bytes are not a photo, or one that is too large.
    """
    try:
        return images.decode_image(io.BytesIO(data), LIMITS)
    except DecodeError as error:
        raise DatasetError(f"{source}: {error}") from error


def encode_jpeg(image: Image) -> bytes:
    """A photo (uint8 HxWx3 RGB) as a JPEG file."""
    return _encode(".jpg", np.ascontiguousarray(image[:, :, ::-1]), [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])


def decode_map(data: bytes, source: str) -> npt.NDArray[np.uint8]:
    """Decodes a label map.

    Args:
        data: a PNG file of one number a pixel: grey of 1, 2, 4 or 8 bits, or a palette, whose indices are taken.
        source: what the map is called in error messages.

    Returns:
        uint8 HxW, the numbers as the file holds them.

    Raises:
        DatasetError: the bytes are not such an image.
    """
    bits, colour = _checked_png(data, source)
    if bits > 8 or colour not in (_GREY, _PALETTE):
        kind = f"{_COLOUR_TYPES.get(colour, 'unknown colours')} of {bits} bits"
        raise DatasetError(f"expected a label map of up to 8 bits a pixel (grey or a palette) in {source}, got {kind}")
    values = _decode(data, source)
    # Pillow keeps 1 bit and palettes as they are, and scales grey of 2 and 4 bits to white at 255.
    return values // (255 // (2**bits - 1)) if colour == _GREY and bits in (2, 4) else values


def encode_map(label_map: npt.NDArray[np.uint8]) -> bytes:
    """A label map (uint8 HxW) as a PNG file."""
    return _encode(".png", label_map, [])


def decode_soft_labels(data: bytes, source: str) -> npt.NDArray[np.uint8]:
    """Decodes what `encode_belief` wrote.

    Args:
        data: a PNG file as `encode_belief` writes it.
        source: what the belief is called in error messages.

    Returns:
        uint8 (BELIEF_CHANNELS, h, w), as in `Labels`.

    Raises:
        DatasetError: the bytes are not such an image, or one of another number of classes.
    """
    bits, _ = _checked_png(data, source)
    if bits != 8:
        raise DatasetError(f"expected {NUM_CHANNELS} bytes a pixel in {source}, got samples of {bits} bits")
    pixels = _decode(data, source)
    if pixels.ndim == 2 and NUM_CHANNELS > _MOST_CHANNELS and pixels.shape[0] % NUM_CHANNELS == 0:
        return pixels.reshape(NUM_CHANNELS, -1, pixels.shape[1])
    if pixels.ndim != 3 or pixels.shape[2] != NUM_CHANNELS:
        raise DatasetError(f"expected {NUM_CHANNELS} bytes a pixel in {source}, got shape {pixels.shape}")
    return np.ascontiguousarray(pixels[..., _BGR_FIRST[: pixels.shape[2]]].transpose(2, 0, 1))


def encode_soft_labels(soft_labels: npt.NDArray[np.uint8]) -> bytes:
    """A belief, uint8 (C, h, w), as a PNG file with one channel a class; more than PNG has, one below the other."""
    if len(soft_labels) > _MOST_CHANNELS:
        return _encode(".png", soft_labels.reshape(-1, soft_labels.shape[2]), [])
    return _encode(".png", np.ascontiguousarray(soft_labels.transpose(1, 2, 0)), [])


def suffix_of(photo: bytes) -> str:
    """The suffix that the file of a photo should have, such as `.png`; `.jpg` for bytes of no known format."""
    name = format_of(photo) or "JPEG"
    return _SUFFIXES.get(name, f".{name.lower()}")


def _checked_png(data: bytes, source: str) -> tuple[int, int]:
    """Bit depth and colour type of a PNG file, whose size is within the limits."""
    try:
        _, kind, width, height, bits, colour = struct.unpack_from(_PNG_HEADER, data)
    except struct.error:
        kind = b""
    if format_of(data) != "PNG" or kind != b"IHDR":
        raise DatasetError(f"expected a PNG file in {source}, got {len(data)} bytes that are none")
    if width * height > LIMITS.pixels_max:
        raise DatasetError(f"expected at most {LIMITS.pixels_max / 1e6:g} megapixels in {source}, got {width}x{height}")
    try:
        check_decompression_bomb("PNG", data)
    except DecodeError as error:
        raise DatasetError(f"{source}: {error}") from error
    return bits, colour


def _decode(data: bytes, source: str) -> npt.NDArray[np.uint8]:
    """The pixels of a checked PNG file, uint8 HxW or HxWxC."""
    try:
        # Not by OpenCV: it unpacks the texts of a file without a limit.
        with Pillow.open(io.BytesIO(data), formats=("PNG",)) as image:
            return np.array(image, np.uint8)
    except Exception as error:  # corrupt bytes make the decoder raise nearly anything
        raise DatasetError(f"expected a whole PNG file in {source}, got: {error}".splitlines()[0]) from error


def _encode(suffix: str, pixels: npt.NDArray[np.uint8], options: list[int]) -> bytes:
    done, encoded = cv2.imencode(suffix, pixels, options)
    if not done:
        raise DatasetError(f"expected an array that fits a {suffix} file, got shape {pixels.shape}")
    return encoded.tobytes()
