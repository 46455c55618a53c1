"""The one door through which photos enter: a web address, a file or bytes in, an upright sRGB `Image` out."""

from __future__ import annotations

import io
import re
import warnings
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from PIL import Image as Pillow
from PIL import ImageOps, UnidentifiedImageError

from surfaces.detections import Image
from surfaces.errors import DecodeError, FetchError

if TYPE_CHECKING:
    from surfaces.fetch import FetchLimits

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "AVIF")
"""What is decoded, told from the bytes. Named one by one: Pillow's other decoders (EPS and the like) start programs."""

_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"RIFF", b"BM", b"II*\0", b"MM\0*")
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_ROWS_AT_ONCE = 256


@dataclass(frozen=True)
class ImageLimits:
    """What size of photo is accepted.

    Attributes:
        pixels_max: most pixels; checked before anything is decoded.
        side_min: fewest pixels of the shorter side.
        side_max: most pixels of the longer side; JPEG files can't hold more.
    """

    pixels_max: int = 40_000_000
    side_min: int = 16
    side_max: int = 65_500


def is_address(source: str) -> bool:
    """Whether a source is a web address rather than a path."""
    return _ADDRESS.match(source) is not None


def load_image(source: str, image_limits: ImageLimits | None = None, fetch_limits: FetchLimits | None = None) -> Image:
    """Reads a photo from the web or from a file.

    Args:
        source: an http or https address, or the path of a file.
        image_limits: of the photo's size; the defaults of `ImageLimits` where None.
        fetch_limits: of the download; the defaults of `FetchLimits` where None.

    Returns:
        uint8 HxWx3, sRGB, EXIF orientation applied.

    Raises:
        FetchError: the address or the file can't be read.
        DecodeError: what was read is not a photo that can be used.
    """
    if is_address(source):
        from surfaces.fetch import fetch  # reading files must not need requests

        return decode_image(io.BytesIO(fetch(source, fetch_limits)), image_limits)
    with _open_file(source) as file:
        return decode_image(file, image_limits)


def _open_file(path: str) -> BinaryIO:
    try:
        if not Path(path).is_file():  # a pipe or a device could block for ever
            raise FetchError("expected a photo's address or file, there is no such file")
        return Path(path).open("rb")
    except (OSError, ValueError) as error:
        raise FetchError(f"the file could not be read: {getattr(error, 'strerror', None) or error}") from error


def decode_image(file: BinaryIO, limits: ImageLimits | None = None) -> Image:
    """Decodes a photo of one of the `FORMATS`.

    Colours are converted to sRGB by the embedded profile, transparent parts are laid on white, 16-bit grey is scaled
    to 8 bits, and of an animation the first frame is taken.

    Args:
        file: the photo's bytes, seekable.
        limits: of its size; the defaults of `ImageLimits` where None.

    Returns:
        uint8 HxWx3, sRGB, EXIF orientation applied.

    Raises:
        DecodeError: empty, not an image, truncated, corrupt, too small or too large.
    """
    limits = limits or ImageLimits()
    head = file.read(512)
    if not head:
        raise DecodeError("expected a photo, got 0 bytes")
    file.seek(0)
    try:
        with warnings.catch_warnings():
            # Pillow's own limit, above ours, only warns; its other warnings are of no use to whoever asked for a photo.
            warnings.simplefilter("ignore")
            with Pillow.open(file, formats=FORMATS) as photo:
                _check_size(photo.size, limits)
                photo.load()
                return _to_array(_to_srgb(_upright(photo)))
    except DecodeError:
        raise
    except UnidentifiedImageError:
        raise DecodeError(f"expected a photo ({', '.join(FORMATS)}), got {_guess(head)}") from None
    except Pillow.DecompressionBombError:
        raise DecodeError(f"expected at most {limits.pixels_max / 1e6:g} megapixels, the photo has far more") from None
    except Exception as error:  # corrupt bytes make the decoders raise nearly anything
        raise DecodeError(f"the photo is truncated or corrupt: {error}".splitlines()[0]) from error


def _check_size(size_wh: tuple[int, int], limits: ImageLimits) -> None:
    width, height = size_wh
    came = f"the photo has {width}x{height}"
    if min(size_wh) < limits.side_min:
        raise DecodeError(f"expected at least {limits.side_min} pixels a side, {came}")
    if max(size_wh) > limits.side_max:
        raise DecodeError(f"expected at most {limits.side_max} pixels a side, {came}")
    if width * height > limits.pixels_max:
        raise DecodeError(f"expected at most {limits.pixels_max / 1e6:g} megapixels, {came}")


def _guess(head: bytes) -> str:
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


def _upright(photo: Pillow.Image) -> Pillow.Image:
    with suppress(Exception):  # broken EXIF is no reason to refuse a photo whose pixels are sound
        ImageOps.exif_transpose(photo, in_place=True)
    return photo


def _to_srgb(photo: Pillow.Image) -> Pillow.Image:
    profile = photo.info.get("icc_profile")
    photo = _to_plain_mode(photo)
    if profile:
        photo = _apply_profile(photo, profile)
    return photo if photo.mode == "RGB" else photo.convert("RGB")


def _to_plain_mode(photo: Pillow.Image) -> Pillow.Image:
    """The photo as L, RGB or CMYK (what colour profiles speak of), or in a mode that converts to RGB directly."""
    if photo.mode in ("I", "F"):
        raise DecodeError("expected 8 or 16 bits a channel, the photo has 32")
    if photo.mode.startswith("I;16"):
        return Pillow.fromarray((np.asarray(photo) >> 8).astype(np.uint8))
    if photo.has_transparency_data:
        photo = photo.convert("RGBA")
        white = Pillow.new("RGB", photo.size, "white")
        white.paste(photo, mask=photo.getchannel("A"))
        return white
    return photo.convert("RGB") if photo.mode == "P" else photo


def _apply_profile(photo: Pillow.Image, profile: bytes) -> Pillow.Image:
    from PIL import ImageCms  # half of all photos carry no profile

    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if ImageCms.getProfileDescription(source).startswith("sRGB"):
            return photo
        converted = ImageCms.profileToProfile(photo, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):
        return photo  # a broken profile, or one of another colour space: the pixels are shown as they are
    return converted or photo


def _to_array(photo: Pillow.Image) -> Image:
    """Copies strip by strip: Pillow's own conversion holds three copies of a photo at once."""
    width, height = photo.size
    image = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, _ROWS_AT_ONCE):
        bottom = min(top + _ROWS_AT_ONCE, height)
        image[top:bottom] = np.asarray(photo.crop((0, top, width, bottom)))
    return image
