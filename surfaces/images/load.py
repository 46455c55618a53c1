"""Loads untrusted photos from URLs, files and bytes as upright sRGB images."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, ImageFile, UnidentifiedImageError
from PIL import Image as Pillow

from surfaces.detections import Image
from surfaces.errors import DecodeError, FetchError, NotAnImageError
from surfaces.images.colour import scale_transparent_colour, write_srgb
from surfaces.images.guards import FORMATS, check_decompression_bomb, format_of
from surfaces.images.repairs import with_jpeg_end, with_largest_page_first, without_damaged_notes, without_hostile_exif
from surfaces.io.storage import BYTES_MAX, is_remote, local_path
from surfaces.messages import printable

if TYPE_CHECKING:
    from surfaces.io.http import FetchLimits

Pixel = TypeVar("Pixel", bound=np.generic)

_EXPECTED = "expected a photo's path, a Pillow image, or uint8 pixels of shape HxWx3 (RGB), HxWx4 (RGBA) or HxW (grey)"
_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"RIFF", b"BM", b"II*\0", b"MM\0*")
_STEPS = {2: (1, -1), 3: (-1, -1), 4: (-1, 1), 6: (-1, 1), 7: (-1, -1), 8: (1, -1)}
"""By EXIF orientation: the steps of rows and columns in the upright image, after transposition."""
TRANSPOSED = (5, 6, 7, 8)
"""EXIF orientations in which rows and columns are exchanged."""

# Set once, since `catch_warnings` is not thread-safe.
warnings.filterwarnings("ignore", module=r"PIL\.")
is_address = is_remote


@dataclass(frozen=True)
class ImageLimits:
    """Limits of a photo's size.

    Attributes:
        pixels_max: at most 178 million; checked before decoding.
        bytes_max: of the file.
        side_min: of the shorter side.
        side_max: of the longer side; JPEG files can't hold more.
    """

    pixels_max: int = 50_000_000
    bytes_max: int = BYTES_MAX
    side_min: int = 16
    side_max: int = 65_500


def load_image(
    source: str | os.PathLike[str], image_limits: ImageLimits | None = None, fetch_limits: FetchLimits | None = None
) -> Image:
    """Loads a photo from an http or https URL, a path, or a file URL (`file:///…`).

    Raises FetchError where it cannot be read, DecodeError where it is not a usable photo.
    """
    source = local_path(os.fspath(source))
    if is_remote(source):
        from surfaces.io.http import fetch  # reading files must not need urllib3

        return decode_image(io.BytesIO(fetch(source, fetch_limits)), image_limits)
    with _open_file(source) as file:
        return decode_image(file, image_limits)


def as_image(photo: Image | Pillow.Image | str | os.PathLike[str]) -> Image:
    """Converts a photo to an image as networks take it, uint8 HxWx3 sRGB; an array of that kind is returned as is.

    Args:
        photo: a URL or a path (see `load_image`); a Pillow image, whose EXIF orientation is applied; or uint8 pixels,
            HxWx3 RGB, HxWx4 RGBA, HxW or HxWx1 grey. Transparent parts are blended with white.

    Raises:
        NotAnImageError: another value; further errors as of `load_image`.
    """
    if isinstance(photo, str | os.PathLike):
        try:
            return load_image(photo)
        except (FetchError, DecodeError) as error:
            raise type(error)(f"{printable(os.fspath(photo))}: {error}") from error
    if isinstance(photo, Pillow.Image):
        return _from_pillow(photo)
    if not isinstance(photo, np.ndarray):
        raise NotAnImageError(f"{_EXPECTED}, got {type(photo).__name__}")
    if photo.dtype != np.uint8:
        raise NotAnImageError(f"{_EXPECTED}, got an array of {photo.dtype}; convert it, white is 255")
    if 0 in photo.shape or not (photo.ndim == 2 or (photo.ndim == 3 and photo.shape[2] in (1, 3, 4))):
        raise NotAnImageError(f"{_EXPECTED}, got an array of shape {photo.shape}")
    if photo.shape[2:] == (3,):
        return photo
    pixels = photo[..., 0] if photo.shape[2:] == (1,) else photo
    return _from_pillow(Pillow.fromarray(np.ascontiguousarray(pixels)))


def _from_pillow(photo: Pillow.Image) -> Image:
    if 0 in photo.size:
        raise NotAnImageError(f"{_EXPECTED}, got a Pillow image of {photo.width}x{photo.height} pixels")
    try:
        photo.load()
        return _to_array(photo)
    except DecodeError:
        raise
    except Exception as error:  # as in `decode_image`
        raise DecodeError(f"the photo is truncated or corrupt: {error}".splitlines()[0]) from error


def _open_file(path: str) -> BinaryIO:
    try:
        if not Path(path).is_file():  # a pipe or a device could block forever
            kind = (
                "a folder" if Path(path).is_dir() else "a pipe or a device" if Path(path).exists() else "no such file"
            )
            raise FetchError(f"expected a photo's address or file, there is {kind}")
        return Path(path).open("rb")
    except (OSError, ValueError) as error:
        raise FetchError(f"the file could not be read: {getattr(error, 'strerror', None) or error}") from error


def decode_image(file: BinaryIO, limits: ImageLimits | None = None) -> Image:
    """Decodes a photo of one of the formats of `surfaces.images.guards`; HEIC needs the extra `heic`.

    Colours are converted to sRGB by the embedded profile, transparent parts are blended with white, deep grey is scaled
    to 8 bits. The first frame of an animation is decoded, and the largest page of a TIFF. Faults that common viewers
    accept are repaired (`surfaces.images.repairs`). Raises DecodeError for others, and photos too small or too large.
    """
    limits = limits or ImageLimits()
    name, data = _checked(file.read(limits.bytes_max + 1), limits)
    with _decode_errors(limits):
        with _open_photo(name, data, limits) as photo:
            scale_transparent_colour(photo)
            photo.load()
            _check_size(photo.size, limits)  # HEIC states its size twice
        # Here the photo has released the file's bytes.
        return _to_array(photo)


def check_photo(data: bytes) -> None:
    """Checks a photo as `decode_image` does, except for faults that only decoding shows, such as truncation."""
    limits = ImageLimits()
    name, data = _checked(data, limits)
    with _decode_errors(limits), _open_photo(name, data, limits):
        pass


def read_size(data: bytes, limits: ImageLimits | None = None) -> tuple[tuple[int, int], int]:
    """Height and width of a photo once it is upright, and its EXIF orientation; its pixels are not decoded.

    Raises DecodeError as `check_photo`.
    """
    limits = limits or ImageLimits()
    name, data = _checked(data, limits)
    with _decode_errors(limits), _open_photo(name, data, limits) as photo:
        orientation = 1 if name == "TIFF" else exif_orientation(photo)  # Pillow states the size of an upright TIFF
        width, height = photo.size
    return ((width, height) if orientation in TRANSPOSED else (height, width)), orientation


def turn_upright(pixels: npt.NDArray[Pixel], orientation: int) -> npt.NDArray[Pixel]:
    """Turns pixels (HxW or HxWxC) from the stored to the upright position, by the EXIF orientation."""
    down, right = _STEPS.get(orientation, (1, 1))
    turned = pixels[::down, ::right]
    return np.ascontiguousarray(turned.swapaxes(0, 1) if orientation in TRANSPOSED else turned)


def _checked(data: bytes, limits: ImageLimits) -> tuple[str, bytes]:
    """The format of a photo, and its bytes with harmful metadata removed."""
    if not data:
        raise DecodeError("expected a photo, got 0 bytes")
    if len(data) > limits.bytes_max:
        raise DecodeError(f"expected at most {limits.bytes_max} bytes, the photo has more")
    name = format_of(data)
    if name is None:
        raise DecodeError(f"expected a photo ({', '.join(FORMATS)}), got {_sniff_type(data[:512])}")
    if name == "TIFF":
        data = with_largest_page_first(data)
    check_decompression_bomb(name, data)
    if name == "PNG":
        data = without_damaged_notes(data)
    return name, without_hostile_exif(name, data)


@contextmanager
def _decode_errors(limits: ImageLimits) -> Iterator[None]:
    """Turns all exceptions of decoders into DecodeError."""
    try:
        yield
    except DecodeError:
        raise
    except (UnidentifiedImageError, SyntaxError):
        raise DecodeError(f"expected a photo ({', '.join(FORMATS)}), got a damaged one") from None
    except Pillow.DecompressionBombError:
        raise DecodeError(f"expected at most {limits.pixels_max / 1e6:g} megapixels, the photo has far more") from None
    except Exception as error:  # decoders raise nearly anything for corrupt bytes
        raise DecodeError(f"the photo is truncated or corrupt: {error}".splitlines()[0]) from error


def _open_photo(name: str, data: bytes, limits: ImageLimits) -> ImageFile.ImageFile:
    photo = _open_heic(data) if name == "HEIC" else Pillow.open(io.BytesIO(data), formats=(name,))
    _check_size(photo.size, limits)
    if name == "JPEG" and (whole := with_jpeg_end(data)) is not data:
        return Pillow.open(io.BytesIO(whole), formats=(name,))
    return photo


def _open_heic(data: bytes) -> ImageFile.ImageFile:
    try:
        from pillow_heif import HeifImageFile
    except ImportError:
        raise DecodeError("expected pillow-heif for a HEIC photo, install interior-surfaces[heic]") from None
    reader: Callable[[BinaryIO], ImageFile.ImageFile] = HeifImageFile  # registering it would change Pillow globally
    return reader(io.BytesIO(data))


def _check_size(size_wh: tuple[int, int], limits: ImageLimits) -> None:
    width, height = size_wh
    came = f"the photo has {width}x{height}"
    if min(size_wh) < limits.side_min:
        raise DecodeError(f"expected at least {limits.side_min} pixels a side, {came}")
    if max(size_wh) > limits.side_max:
        raise DecodeError(f"expected at most {limits.side_max} pixels a side, {came}")
    if width * height > limits.pixels_max:
        raise DecodeError(f"expected at most {limits.pixels_max / 1e6:g} megapixels, {came}")


def _sniff_type(head: bytes) -> str:
    if head.startswith(_SIGNATURES):
        return "a damaged one"
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype html", b"<html")):
        return "an HTML page"
    if text.startswith((b"<?xml", b"<svg")):
        return "XML or SVG"
    if text.startswith(b"%pdf"):
        return "a PDF"
    return "bytes of another kind"


def _to_array(photo: Pillow.Image) -> Image:
    orientation = exif_orientation(photo)
    width, height = photo.size
    is_transposed = orientation in TRANSPOSED
    image = np.empty((width, height, 3) if is_transposed else (height, width, 3), np.uint8)
    down, right = _STEPS.get(orientation, (1, 1))
    write_srgb(photo, (image.swapaxes(0, 1) if is_transposed else image)[::down, ::right])
    return image


def exif_orientation(photo: Pillow.Image) -> int:
    """EXIF orientation of a photo (Exif 3.0, 4.6.5.1); 1 where the reader has applied it, as TIFF's does."""
    if photo.format == "HEIF":  # the container's orientation is applied; EXIF only repeats it (ISO/IEC 23008-12, A.2.1)
        return 1
    with suppress(Exception):  # broken EXIF is no reason to refuse the pixels
        return int(photo.getexif().get(ExifTags.Base.Orientation, 1))
    return 1
