"""Photos and label maps to bytes and back, with OpenCV alone: what training needs on a machine without Pillow."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from surfaces.classes import BELIEF_CHANNELS
from surfaces.detections import Image
from surfaces.errors import DatasetError

_JPEG_QUALITY = 95
_MOST_CHANNELS = 4  # of a PNG file


def read_bytes(path: Path) -> bytes:
    """The bytes of one of a dataset's files.

    Raises:
        DatasetError: it is missing or cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise DatasetError(f"expected a readable file at {path}, got: {error.strerror}") from error


def decode_image(data: bytes, source: str) -> Image:
    """Decodes a photo.

    Args:
        data: a JPEG or PNG file.
        source: what the photo is called in error messages.

    Returns:
        uint8 HxWx3 RGB, EXIF orientation applied.

    Raises:
        DatasetError: the bytes are not an image.
    """
    pixels = _decode(data, cv2.IMREAD_COLOR, source)
    return np.ascontiguousarray(pixels[:, :, ::-1])


def encode_jpeg(image: Image) -> bytes:
    """A photo (uint8 HxWx3 RGB) as a JPEG file."""
    return _encode(".jpg", np.ascontiguousarray(image[:, :, ::-1]), [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])


def decode_map(data: bytes, source: str) -> npt.NDArray[np.uint8]:
    """Decodes a label map.

    Args:
        data: a PNG file of one byte a pixel.
        source: what the map is called in error messages.

    Returns:
        uint8 HxW.

    Raises:
        DatasetError: the bytes are not an image of one byte a pixel.
    """
    pixels = _decode(data, cv2.IMREAD_UNCHANGED, source)
    if pixels.ndim != 2 or pixels.dtype != np.uint8:
        raise DatasetError(f"expected one byte a pixel in {source}, got {pixels.dtype} of shape {pixels.shape}")
    return pixels


def encode_map(label_map: npt.NDArray[np.uint8]) -> bytes:
    """A label map (uint8 HxW) as a PNG file."""
    return _encode(".png", label_map, [])


def decode_belief(data: bytes, source: str) -> npt.NDArray[np.uint8]:
    """Decodes what `encode_belief` wrote.

    Args:
        data: a PNG file as `encode_belief` writes it.
        source: what the belief is called in error messages.

    Returns:
        uint8 (BELIEF_CHANNELS, h, w), as in `Labels`.

    Raises:
        DatasetError: the bytes are not such an image, or one of another number of classes.
    """
    pixels = _decode(data, cv2.IMREAD_UNCHANGED, source)
    if pixels.ndim == 2 and BELIEF_CHANNELS > _MOST_CHANNELS and pixels.shape[0] % BELIEF_CHANNELS == 0:
        return pixels.reshape(BELIEF_CHANNELS, -1, pixels.shape[1])
    if pixels.ndim != 3 or pixels.shape[2] != BELIEF_CHANNELS or pixels.dtype != np.uint8:
        raise DatasetError(
            f"expected {BELIEF_CHANNELS} bytes a pixel in {source}, got {pixels.dtype} of shape {pixels.shape}"
        )
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def encode_belief(belief: npt.NDArray[np.uint8]) -> bytes:
    """A belief, uint8 (C, h, w), as a PNG file with one channel a class; more than PNG has, one below the other."""
    if len(belief) > _MOST_CHANNELS:
        return _encode(".png", belief.reshape(-1, belief.shape[2]), [])
    return _encode(".png", np.ascontiguousarray(belief.transpose(1, 2, 0)), [])


def suffix_of(photo: bytes) -> str:
    """The suffix that the file of a photo should have: `.png` or `.jpg`."""
    return ".png" if photo.startswith(b"\x89PNG") else ".jpg"


def _decode(data: bytes, flags: int, source: str) -> npt.NDArray[np.uint8]:
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags) if data else None
    if pixels is None:
        raise DatasetError(f"expected an image in {source}, got {len(data)} bytes that are none")
    return pixels  # type: ignore[return-value]


def _encode(suffix: str, pixels: npt.NDArray[np.uint8], options: list[int]) -> bytes:
    done, encoded = cv2.imencode(suffix, pixels, options)
    if not done:
        raise DatasetError(f"expected an array that fits a {suffix} file, got shape {pixels.shape}")
    return encoded.tobytes()
