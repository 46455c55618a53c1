"""Reads and decodes a dataset's files: photos, label maps, soft labels."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow

from surfaces.classes import NUM_CHANNELS
from surfaces.detections import Image
from surfaces.errors import DatasetError, DecodeError
from surfaces.images import load
from surfaces.images.encode import encode_jpeg as encode_jpeg
from surfaces.images.encode import encode_png
from surfaces.images.guards import FORMATS, check_decompression_bomb, format_of
from surfaces.io import local_files

LIMITS = load.ImageLimits(side_min=1)
"""Of a dataset's photos and label maps."""

COCO_BYTES_MAX = 10**9
"""Of a COCO file that is held as Python's objects, some ten times its size; COCO's own largest has half."""


_PNG_HEADER = ">8xI4sIIBB"  # PNG 11.2.1: length, IHDR, width, height, bit depth, colour type
_GREY, _PALETTE = 0, 3
_COLOUR_TYPES = {_GREY: "grey", 2: "RGB", _PALETTE: "palette", 4: "grey with opacity", 6: "RGB with opacity"}
_PNG_CHANNELS_MAX = 4
_BGR_FIRST = [2, 1, 0, 3]  # OpenCV writes the first three channels in reverse order


def read_bytes(path: Path, most: int = LIMITS.bytes_max) -> bytes:
    """The bytes of a dataset's file; raises DatasetError where it is missing, no regular file, unreadable or larger."""
    try:
        return local_files.read_bytes(path, most)
    except OSError as error:
        raise DatasetError(f"expected a readable file at {path}, got: {error.strerror}") from error


def read_photo(path: Path) -> bytes:
    """The bytes of a dataset's photo; errors as of `read_bytes` and `require_photo`."""
    return require_photo(read_bytes(path), str(path))


def require_photo(data: bytes, source: str) -> bytes:
    """Returns the bytes of a photo; raises DatasetError for others, so that no other file is copied."""
    if format_of(data) is None:
        raise DatasetError(f"{source}: expected a photo ({', '.join(FORMATS)}), got {len(data)} bytes that are none")
    return data


def decode_image(data: bytes, source: str) -> Image:
    """Decodes a photo as `surfaces.images.load.decode_image` does; errors are DatasetError and name the source."""
    try:
        return load.decode_image(io.BytesIO(data), LIMITS)
    except DecodeError as error:
        raise DatasetError(f"{source}: {error}") from error


def photo_size(data: bytes, source: str) -> tuple[tuple[int, int], int]:
    """Height and width of an upright photo, and its EXIF orientation; errors are DatasetError and name the source."""
    try:
        return load.read_size(data, LIMITS)
    except DecodeError as error:
        raise DatasetError(f"{source}: {error}") from error


def decode_map(data: bytes, source: str) -> npt.NDArray[np.uint8]:
    """Decodes a label map without scaling its values, uint8 HxW; raises DatasetError where the bytes are none.

    The PNG file has one number per pixel: grey of 1, 2, 4 or 8 bits, or a palette, whose indices are returned. `source`
    is its name in error messages.
    """
    bits, colour = check_png(data, source)
    if bits > 8 or colour not in (_GREY, _PALETTE):
        kind = f"{_COLOUR_TYPES.get(colour, 'unknown colours')} of {bits} bits"
        raise DatasetError(f"expected a label map of up to 8 bits a pixel (grey or a palette) in {source}, got {kind}")
    values = _decode_png(data, source)
    # Pillow scales grey of 2 and 4 bits to white at 255, but not 1 bit and palettes.
    return values // (255 // (2**bits - 1)) if colour == _GREY and bits in (2, 4) else values


def decode_soft_labels(data: bytes, source: str) -> npt.NDArray[np.uint8]:
    """Decodes the PNG file of `encode_soft_labels` to uint8 (NUM_CHANNELS, h, w), as in `Labels`.

    Raises DatasetError where the bytes are not such an image, or one of another number of classes.
    """
    bits, _ = check_png(data, source)
    if bits != 8:
        raise DatasetError(f"expected {NUM_CHANNELS} bytes a pixel in {source}, got samples of {bits} bits")
    pixels = _decode_png(data, source)
    if pixels.ndim == 2 and NUM_CHANNELS > _PNG_CHANNELS_MAX and pixels.shape[0] % NUM_CHANNELS == 0:
        return pixels.reshape(NUM_CHANNELS, -1, pixels.shape[1])
    if pixels.ndim != 3 or pixels.shape[2] != NUM_CHANNELS:
        raise DatasetError(f"expected {NUM_CHANNELS} bytes a pixel in {source}, got shape {pixels.shape}")
    return np.ascontiguousarray(pixels[..., _BGR_FIRST[: pixels.shape[2]]].transpose(2, 0, 1))


def encode_soft_labels(soft_labels: npt.NDArray[np.uint8]) -> bytes:
    """Encodes uint8 (C, h, w) as a PNG file with C channels, or, above four, with the channels below each other."""
    if len(soft_labels) > _PNG_CHANNELS_MAX:
        return encode_png(soft_labels.reshape(-1, soft_labels.shape[2]))
    return encode_png(np.ascontiguousarray(soft_labels.transpose(1, 2, 0)))


def check_png(data: bytes, source: str) -> tuple[int, int]:
    """Bit depth and colour type of a PNG file."""
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


def _decode_png(data: bytes, source: str) -> npt.NDArray[np.uint8]:
    try:
        # Not by OpenCV, which expands a file's texts without a limit.
        with Pillow.open(io.BytesIO(data), formats=("PNG",)) as image:
            return np.array(image, np.uint8)
    except Exception as error:  # the decoder raises nearly anything for corrupt bytes
        raise DatasetError(f"expected a whole PNG file in {source}, got: {error}".splitlines()[0]) from error
