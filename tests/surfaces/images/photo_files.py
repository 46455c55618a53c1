"""Photos of seeded bytes, written by Pillow or by hand: also of kinds that Pillow doesn't write, and that lie."""

from __future__ import annotations

import hashlib
import io
import random
import struct
import zlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image as Pillow
from PIL import ImageCms

from surfaces.detections import Image
from surfaces.errors import DecodeError
from surfaces.images.load import ImageLimits, decode_image

W, H = 40, 24
Array = npt.NDArray[np.generic]

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_TIFF_TYPES = {3: "H", 4: "I"}


def seeded(*shape: int) -> npt.NDArray[np.uint8]:
    count = int(np.prod(shape))
    return np.frombuffer(random.Random(5).randbytes(count), np.uint8).reshape(shape)


def deep(*shape: int) -> npt.NDArray[np.uint16]:
    return seeded(*shape, 2).view("<u2")[..., 0]


def ramps() -> npt.NDArray[np.uint8]:
    """Colours that change slowly, so that lossy formats keep them."""
    down, right = np.mgrid[0:H, 0:W]
    return np.stack([down * 10, right * 6, 255 - down * 4 - right * 2], -1).astype(np.uint8)


def saved(photo: Pillow.Image | Array, kind: str, **options: object) -> bytes:
    # A copy, since saving as JPEG leaves traces in a photo.
    photo = photo.copy() if isinstance(photo, Pillow.Image) else Pillow.fromarray(photo)
    buffer = io.BytesIO()
    if kind == "HEIF":
        pytest.importorskip("pillow_heif").from_pillow(photo).save(buffer, **options)
    else:
        photo.save(buffer, kind, **options)
    return buffer.getvalue()


def decoded(data: bytes, limits: ImageLimits | None = None) -> Image:
    image = decode_image(io.BytesIO(data), limits)
    assert (image.dtype, image.shape[2:]) == (np.uint8, (3,))
    assert image.flags.c_contiguous
    assert image.flags.writeable
    return image


def refused(data: bytes, limits: ImageLimits | None = None) -> str:
    """Why a photo is refused."""
    with pytest.raises(DecodeError) as caught:
        decode_image(io.BytesIO(data), limits)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def digest(image: Image) -> str:
    return hashlib.sha256(repr(image.shape).encode() + image.tobytes()).hexdigest()[:16]


def on_white(colours: Array, opacity: Array) -> Image:
    """Laid on white, as exact arithmetic has it."""
    share = opacity.astype(float)[..., None] / 255
    rgb = colours if colours.ndim == 3 else np.repeat(colours[..., None], 3, axis=2)
    return np.round(rgb * share + 255 * (1 - share)).astype(np.uint8)


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


def png_chunk(kind: bytes, data: bytes) -> bytes:
    """One chunk with its length and checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, depth: int, colour: int, pixels: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG file of `depth` bits a sample; colour 0 grey, 2 RGB, 3 palette, 4 grey and opacity, 6 RGBA.

    Each row of pixels is led by its filter's number. The chunks are before the pixels.
    """
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    extra = b"".join(png_chunk(*each) for each in chunks)
    return PNG_SIGNATURE + header + extra + png_chunk(b"IDAT", zlib.compress(pixels)) + png_chunk(b"IEND", b"")


def unfiltered(samples: bytes, height: int) -> bytes:
    """Rows of a PNG, each led by a 0: not filtered."""
    length = len(samples) // height
    return b"".join(b"\0" + samples[row * length : (row + 1) * length] for row in range(height))


def tiff(
    width: int,
    height: int,
    bits: Sequence[int],
    photometric: int,
    pixels: bytes,
    tags: dict[int, tuple[int, Sequence[int]]] | None = None,
    order: str = "<",
) -> bytes:
    """A TIFF file of one strip; `bits` a sample, for each channel.

    Photometric: 0 white is zero, 1 black is zero, 2 RGB, 5 CMYK, 6 YCbCr, 8 LAB. Tags: type (3 short, 4 long) and
    values by number; they replace the usual ones, which no values remove.
    """

    def written(offset: int) -> bytes:
        entries: dict[int, tuple[int, Sequence[int]]] = {258: (3, bits), 259: (3, [1]), 262: (3, [photometric])}
        entries |= {256: (4, [width]), 257: (4, [height]), 278: (4, [height]), 277: (3, [len(bits)])}
        entries |= {273: (4, [offset]), 279: (4, [len(pixels)]), **(tags or {})}
        entries = {tag: entry for tag, entry in entries.items() if entry[1]}
        directory, outside = b"", b""
        outside_start = 8 + 2 + 12 * len(entries) + 4
        for tag, (kind, values) in sorted(entries.items()):
            raw = struct.pack(f"{order}{len(values)}{_TIFF_TYPES[kind]}", *values)
            field = raw.ljust(4, b"\0")
            if len(raw) > 4:
                field = struct.pack(order + "I", outside_start + len(outside))
                outside += raw
            directory += struct.pack(order + "HHI", tag, kind, len(values)) + field
        head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
        return head + struct.pack(order + "H", len(entries)) + directory + bytes(4) + outside

    return written(len(written(0))) + pixels


def cmyk_profile() -> bytes:
    """A printer's ICC profile (ICC.1:2001) for which cyan ink alone is green, and any other paper is white."""
    white, green = b"\xff\x80\x80", b"\xa0\x30\xb0"  # CIELAB of 8 bits: L*, a* and b* with 128 for 0
    colours = b"".join(green if corner == 0b1000 else white for corner in range(16))
    identity = bytes(range(256))
    matrix = struct.pack(">9i", *(65536 * (place % 4 == 0) for place in range(9)))
    table = b"mft1" + bytes(4) + bytes((4, 3, 2, 0)) + matrix + identity * 4 + colours + identity * 3
    text = b"desc" + bytes(4) + struct.pack(">I", 5) + b"inks\0" + bytes(78)
    tags = [(b"desc", text), (b"wtpt", b"XYZ " + bytes(4) + struct.pack(">3i", 63190, 65536, 54061)), (b"A2B0", table)]
    position = 128 + 4 + 12 * len(tags)
    index, body = struct.pack(">I", len(tags)), b""
    for name, data in tags:
        padded = data + bytes(-len(data) % 4)
        index += name + struct.pack(">II", position + len(body), len(data))
        body += padded
    head = bytearray(128)
    head[0:4] = struct.pack(">I", position + len(body))
    head[8:12] = b"\2\x40\0\0"
    head[12:24] = b"prtrCMYKLab "
    head[36:40] = b"acsp"
    head[68:80] = struct.pack(">3i", 63190, 65536, 54061)
    return bytes(head) + index + body
