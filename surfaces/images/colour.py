"""Converts a decoded photo of any colour mode to sRGB, strip by strip to save memory."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow
from PIL import ImageFile

from surfaces.detections import Image
from surfaces.errors import DecodeError

if TYPE_CHECKING:
    from PIL import ImageCms

_ROWS_AT_ONCE = 256
_FLOAT_WHITES = (1, 2**8 - 1, 2**16 - 1)
_TIFF_BITS, _TIFF_PHOTOMETRIC, _TIFF_SAMPLE_FORMAT = 258, 262, 339
_WHITE_IS_ZERO, _SIGNED = 0, 2

_Grey = npt.NDArray[Any]


def write_srgb(photo: Pillow.Image, image: Image) -> None:
    """Converts a photo to sRGB: applies its profile, blends with white, reduces deep channels to 8 bits.

    Pillow's own conversions hold three copies of a photo; this one holds a strip. The image (uint8 HxWx3) is written to
    and may be a transposed or flipped view. Raises DecodeError for floating-point pixels outside of the known ranges.
    """
    to_eight_bits = _depth_conversion(photo)
    transform = _profile_transform(photo)
    for rows, strip in _strips(photo):
        base = _to_base_mode(to_eight_bits(strip))
        opacity = base.getchannel("A") if base.mode in ("LA", "RGBA") else None
        colours = base if opacity is None else base.convert(base.mode[:-1])
        colours = transform.apply(colours) if transform else colours.convert("RGB")
        if opacity is not None:
            white = Pillow.new("RGB", colours.size, "white")
            white.paste(colours, mask=opacity)
            colours = white
        image[rows] = np.asarray(colours)


def scale_transparent_colour(photo: ImageFile.ImageFile) -> None:
    """Scales the transparent colour of a PNG, opened and not yet decoded, to 8 bits, as Pillow scales the pixels."""
    colour = photo.info.get("transparency")
    if photo.format != "PNG" or photo.mode not in ("L", "RGB") or colour is None:
        return
    depth = re.search(r";(\d+)", str(photo.tile[0].args))
    bits = int(depth[1]) if depth else 8
    # PNG 11.3.2.1: as many bits as a sample has; the rest of the 16 are ignored.
    values = [value % 2**bits for value in np.atleast_1d(colour).tolist()]
    scaled = [value >> bits - 8 if bits > 8 else value * 255 // (2**bits - 1) for value in values]
    photo.info["transparency"] = scaled[0] if photo.mode == "L" else tuple(scaled)


def _strips(photo: Pillow.Image) -> Iterator[tuple[slice, Pillow.Image]]:
    for top in range(0, photo.height, _ROWS_AT_ONCE):
        bottom = min(top + _ROWS_AT_ONCE, photo.height)
        yield slice(top, bottom), photo.crop((0, top, photo.width, bottom))


def _depth_conversion(photo: Pillow.Image) -> Callable[[Pillow.Image], Pillow.Image]:
    """A conversion of grey of 12 bits and more to L, or LA where one value is transparent; the identity for others."""
    if photo.mode not in ("I", "F") and not photo.mode.startswith("I;16"):
        return lambda strip: strip
    tags = getattr(photo, "tag_v2", {})
    to_bytes = _from_floats(photo) if photo.mode == "F" else _from_integers(photo.mode, tags)
    # Pillow inverts only 8 bits of this kind.
    is_negative = tags.get(_TIFF_PHOTOMETRIC) == _WHITE_IS_ZERO
    transparent = photo.info.get("transparency")

    def convert(strip: Pillow.Image) -> Pillow.Image:
        values = np.asarray(strip)
        grey = Pillow.fromarray(to_bytes(values) ^ np.uint8(255 * is_negative))
        if transparent is not None:
            grey.putalpha(Pillow.fromarray(np.where(values == transparent, 0, 255).astype(np.uint8)))
        return grey

    return convert


def _from_integers(mode: str, tags: dict[int, tuple[int, ...]]) -> Callable[[_Grey], npt.NDArray[np.uint8]]:
    bits = tags.get(_TIFF_BITS, (16,))[0]
    is_signed = tags.get(_TIFF_SAMPLE_FORMAT, (1,))[0] == _SIGNED
    if is_signed:
        return lambda values: (values.clip(0) >> (bits - 1 - 8)).astype(np.uint8)
    if mode == "I":  # Pillow's integers are signed, the file's were not
        return lambda values: (values.view(np.uint32) >> (bits - 8)).astype(np.uint8)
    return lambda values: (values >> (bits - 8)).astype(np.uint8)


def _from_floats(photo: Pillow.Image) -> Callable[[_Grey], npt.NDArray[np.uint8]]:
    """Floats have no defined white: the first common value that no pixel exceeds."""
    brightest = np.fmax.reduce([np.fmax.reduce(np.asarray(strip), axis=None) for _, strip in _strips(photo)])
    white = next((value for value in _FLOAT_WHITES if brightest <= value), None)
    if white is None:
        raise DecodeError(f"expected floating-point pixels of at most {_FLOAT_WHITES[-1]}, the photo has {brightest}")
    return lambda values: (np.nan_to_num(values).clip(0, white) * (255 / white) + 0.5).astype(np.uint8)


def _to_base_mode(strip: Pillow.Image) -> Pillow.Image:
    """A strip as L, RGB, CMYK or LAB (the modes of profiles), or as LA or RGBA."""
    if strip.mode in ("L", "RGB", "CMYK", "LAB", "LA", "RGBA") and "transparency" not in strip.info:
        return strip
    mode = _profile_mode(strip.mode)
    return strip.convert(mode + "A" if strip.has_transparency_data else mode)


def _profile_mode(mode: str) -> str:
    if mode in ("CMYK", "LAB"):
        return mode
    return "L" if mode in ("1", "L", "LA", "La", "I", "F") or mode.startswith("I;16") else "RGB"


def _profile_transform(photo: Pillow.Image) -> ImageCms.ImageCmsTransform | None:
    profile = photo.info.get("icc_profile")
    if not profile:
        return None
    from PIL import ImageCms  # half of all photos have no profile

    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if ImageCms.getProfileDescription(source).startswith("sRGB"):
            return None
        return ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), _profile_mode(photo.mode), "RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None  # a broken profile, or one of another colour space, is ignored
