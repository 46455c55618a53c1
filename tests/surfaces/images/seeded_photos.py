"""Photos of seeded bytes, written in any format and decoded."""

from __future__ import annotations

import hashlib
import io
import random

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image as Pillow
from PIL import ImageCms

from surfaces.detections import Image
from surfaces.images.load import decode_image

W, H = 40, 24
Array = npt.NDArray[np.generic]


def seeded(*shape: int) -> npt.NDArray[np.uint8]:
    count = int(np.prod(shape))
    return np.frombuffer(random.Random(5).randbytes(count), np.uint8).reshape(shape)


def deep(*shape: int) -> npt.NDArray[np.uint16]:
    return seeded(*shape, 2).view("<u2")[..., 0]


def ramps() -> npt.NDArray[np.uint8]:
    """Colours that change slowly, so that lossy formats keep them."""
    down, right = np.mgrid[0:H, 0:W]
    return np.stack([down * 10, right * 6, 255 - down * 4 - right * 2], -1).astype(np.uint8)


def saved(photo: Pillow.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    if kind == "HEIF":
        pytest.importorskip("pillow_heif").from_pillow(photo).save(buffer, **options)
    else:
        photo.save(buffer, kind, **options)
    return buffer.getvalue()


def decoded(data: bytes) -> Image:
    return decode_image(io.BytesIO(data))


def digest(image: Image) -> str:
    return hashlib.sha256(repr(image.shape).encode() + image.tobytes()).hexdigest()[:16]


def on_white(colours: Array, opacity: Array) -> Image:
    """Laid on white, as exact arithmetic has it."""
    share = opacity.astype(float)[..., None] / 255
    rgb = colours if colours.ndim == 3 else np.repeat(colours[..., None], 3, axis=2)
    return np.round(rgb * share + 255 * (1 - share)).astype(np.uint8)


def palette_photo() -> Pillow.Image:
    photo = Pillow.fromarray(seeded(H, W) % 16, "L").convert("P")
    photo.putpalette(seeded(16, 3).tobytes())
    return photo


def exif(orientation: int) -> bytes:
    written = Pillow.Exif()
    written[0x0112] = orientation
    return written.tobytes()


def swapped_profile() -> bytes:
    """An sRGB profile with exchanged red and green primaries, so that a conversion cannot be missed."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    red, green = profile.index(b"rXYZ"), profile.index(b"gXYZ")
    profile[red : red + 4], profile[green : green + 4] = b"gXYZ", b"rXYZ"
    return bytes(profile).replace("sRGB".encode("utf-16-be"), "swap".encode("utf-16-be"))
