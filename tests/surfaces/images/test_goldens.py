"""What every colour mode of lossless formats decodes to: golden hashes, so that any change of a pixel is told."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image as Pillow

from tests.surfaces.images.handmade_images import png, tiff, unfiltered
from tests.surfaces.images.seeded_photos import (
    Array,
    H,
    W,
    decoded,
    deep,
    digest,
    on_white,
    palette_photo,
    saved,
    seeded,
)


def transparent_tiff(photometric: int, channels: int) -> bytes:
    """TIFF whose colours are multiplied by their opacity already (ExtraSamples 1)."""
    alpha = seeded(H, W, 1) | 0x80
    colours = (seeded(channels, H, W).transpose(1, 2, 0).astype(int) * alpha // 255).astype(np.uint8)
    pixels = np.dstack([colours, alpha])
    return tiff(W, H, [8] * (channels + 1), photometric, pixels.tobytes(), {338: (3, [1])})


def floats(white: float) -> bytes:
    values = seeded(H, W).astype(np.float32) / 255 * white
    values[0, 0], values[0, 1] = np.nan, -1
    return saved(Pillow.fromarray(values), "TIFF")


def ordered(array: Array, kind: str) -> bytes:
    return array.astype(kind).tobytes()


def animated(kind: str, **options: object) -> bytes:
    others = [Pillow.new("RGB", (W, H), "black")] * 2
    photo = Pillow.fromarray(seeded(H, W, 3) & 0xC0)
    return saved(photo, kind, save_all=True, append_images=others, **options)


MODES: dict[str, tuple[Callable[[], bytes], str]] = {
    "1 PNG": (lambda: saved(Pillow.fromarray(seeded(H, W) > 127), "PNG"), "98c41c8e521b77f9"),
    "1 TIFF": (lambda: saved(Pillow.fromarray(seeded(H, W) > 127), "TIFF", compression="group4"), "98c41c8e521b77f9"),
    "1 TIFF, white is zero": (lambda: tiff(W, H, [1], 0, seeded(H, W // 8).tobytes()), "6f313a66b547d5f5"),
    "1 BMP": (lambda: saved(Pillow.fromarray(seeded(H, W) > 127), "BMP"), "98c41c8e521b77f9"),
    "2 bits PNG": (lambda: png(W, H, 2, 0, unfiltered(seeded(H, W // 4).tobytes(), H)), "2bd5746177abc827"),
    "4 bits PNG": (lambda: png(W, H, 4, 0, unfiltered(seeded(H, W // 2).tobytes(), H)), "cefeef479a351cfb"),
    "L PNG": (lambda: saved(Pillow.fromarray(seeded(H, W)), "PNG"), "abc0d78f4a98b85d"),
    "L TIFF": (lambda: saved(Pillow.fromarray(seeded(H, W)), "TIFF", compression="tiff_lzw"), "abc0d78f4a98b85d"),
    "L TIFF, white is zero": (lambda: tiff(W, H, [8], 0, seeded(H, W).tobytes()), "b17f464df9ca2a69"),
    "L GIF": (lambda: saved(Pillow.fromarray(seeded(H, W)), "GIF"), "abc0d78f4a98b85d"),
    "L BMP": (lambda: saved(Pillow.fromarray(seeded(H, W)), "BMP"), "abc0d78f4a98b85d"),
    "LA PNG": (lambda: saved(Pillow.fromarray(seeded(H, W, 2), "LA"), "PNG"), "5925acfdeafc62a0"),
    "LA TIFF": (lambda: saved(Pillow.fromarray(seeded(H, W, 2), "LA"), "TIFF"), "5925acfdeafc62a0"),
    "La TIFF": (lambda: transparent_tiff(1, 1), "7fa36937b6e82afb"),
    "P PNG": (lambda: saved(palette_photo(), "PNG"), "4da300de2b561181"),
    "P GIF": (lambda: saved(palette_photo(), "GIF"), "4da300de2b561181"),
    "P BMP": (lambda: saved(palette_photo(), "BMP"), "4da300de2b561181"),
    "P TIFF": (lambda: saved(palette_photo(), "TIFF"), "4da300de2b561181"),
    "P PNG, a transparent colour": (lambda: saved(palette_photo(), "PNG", transparency=3), "2bd456afa20997de"),
    "P PNG, translucent colours": (
        lambda: saved(palette_photo(), "PNG", transparency=bytes(range(0, 256, 16))),
        "2461c68464160011",
    ),
    "P GIF, a transparent colour": (lambda: saved(palette_photo(), "GIF", transparency=3), "2bd456afa20997de"),
    "PA TIFF": (lambda: translucent_palette_tiff(), "5f9d139d565ce816"),
    "RGB PNG": (lambda: saved(Pillow.fromarray(seeded(H, W, 3)), "PNG"), "1ff59f37bcc36c50"),
    "RGB BMP": (lambda: saved(Pillow.fromarray(seeded(H, W, 3)), "BMP"), "1ff59f37bcc36c50"),
    "RGB TIFF": (
        lambda: saved(Pillow.fromarray(seeded(H, W, 3)), "TIFF", compression="tiff_adobe_deflate"),
        "1ff59f37bcc36c50",
    ),
    "RGB TIFF, big endian": (lambda: tiff(W, H, [8] * 3, 2, seeded(H, W, 3).tobytes(), order=">"), "1ff59f37bcc36c50"),
    "RGB TIFF, planes": (lambda: tiff(W, H, [8] * 3, 2, seeded(3, H, W).tobytes(), planes(8)), "3d69b2f5e863f898"),
    "RGB WEBP": (lambda: saved(Pillow.fromarray(seeded(H, W, 3)), "WEBP", lossless=True), "1ff59f37bcc36c50"),
    "RGBA PNG": (lambda: saved(Pillow.fromarray(seeded(H, W, 4)), "PNG"), "7f86c62bab99823b"),
    "RGBA WEBP": (
        lambda: saved(Pillow.fromarray(seeded(H, W, 4)), "WEBP", lossless=True, exact=True),
        "7f86c62bab99823b",
    ),
    "RGBA TIFF": (lambda: saved(Pillow.fromarray(seeded(H, W, 4)), "TIFF"), "7f86c62bab99823b"),
    "RGBA BMP": (lambda: rgba_bmp(), "f3912dc6560f42fd"),
    "RGBa TIFF": (lambda: transparent_tiff(2, 3), "59b03988c82b0bc9"),
    "RGBX TIFF": (lambda: tiff(W, H, [8] * 4, 2, seeded(H, W, 4).tobytes(), {338: (3, [0])}), "e5df66a5a12e877f"),
    "16 bits grey PNG": (lambda: png(W, H, 16, 0, unfiltered(ordered(deep(H, W), ">u2"), H)), "2ba453f53f3c5c40"),
    "16 bits grey TIFF": (lambda: tiff(W, H, [16], 1, ordered(deep(H, W), "<u2")), "2ba453f53f3c5c40"),
    "16 bits grey TIFF, big endian": (
        lambda: tiff(W, H, [16], 1, ordered(deep(H, W), ">u2"), order=">"),
        "2ba453f53f3c5c40",
    ),
    "16 bits grey TIFF, white is zero": (lambda: tiff(W, H, [16], 0, ordered(deep(H, W), "<u2")), "7230017f308bf552"),
    "16 bits grey TIFF, signed": (
        lambda: tiff(W, H, [16], 1, ordered(deep(H, W), "<u2"), {339: (3, [2])}),
        "c7a678fca34c1d50",
    ),
    "12 bits grey TIFF": (lambda: tiff(W, H, [12], 1, seeded(H, W * 3 // 2).tobytes()), "c55d69d05a0ac1a7"),
    "32 bits grey TIFF": (lambda: tiff(W, H, [32], 1, seeded(H, W * 4).tobytes()), "6410641a8e45a725"),
    "32 bits grey TIFF, signed": (
        lambda: tiff(W, H, [32], 1, seeded(H, W * 4).tobytes(), {339: (3, [2])}),
        "ffc82aa5181657e3",
    ),
    "float TIFF to 1": (lambda: floats(1), "986608f77643461c"),
    "float TIFF to 255": (lambda: floats(255), "986608f77643461c"),
    "float TIFF to 65535": (lambda: floats(65535), "986608f77643461c"),
    "16 bits LA PNG": (lambda: png(W, H, 16, 4, unfiltered(ordered(deep(H, W, 2), ">u2"), H)), "8325f612d6b39b0b"),
    "16 bits RGB PNG": (lambda: png(W, H, 16, 2, unfiltered(ordered(deep(H, W, 3), ">u2"), H)), "ab59a2e4978b7bec"),
    "16 bits RGBA PNG": (lambda: png(W, H, 16, 6, unfiltered(ordered(deep(H, W, 4), ">u2"), H)), "fcf39e0b179673a3"),
    "16 bits RGB TIFF": (lambda: tiff(W, H, [16] * 3, 2, ordered(deep(H, W, 3), "<u2")), "ab59a2e4978b7bec"),
    "16 bits RGB TIFF, big endian": (
        lambda: tiff(W, H, [16] * 3, 2, ordered(deep(H, W, 3), ">u2"), order=">"),
        "ab59a2e4978b7bec",
    ),
    "CMYK TIFF": (lambda: saved(Pillow.fromarray(seeded(H, W, 4), "CMYK"), "TIFF"), "4bf8fe883d5e7abb"),
    "16 bits CMYK TIFF": (lambda: tiff(W, H, [16] * 4, 5, ordered(deep(H, W, 4), "<u2")), "27636a8b31775fbf"),
    "YCbCr TIFF": (lambda: saved(Pillow.fromarray(seeded(H, W, 3), "YCbCr"), "TIFF"), "71391ed5bf0285af"),
    "first frame of a GIF": (lambda: animated("GIF"), "d0f8f1f9e29872b7"),
    "first frame of a PNG": (lambda: animated("PNG"), "d0f8f1f9e29872b7"),
    "first frame of a WEBP": (lambda: animated("WEBP", lossless=True), "d0f8f1f9e29872b7"),
    "first page of a TIFF": (lambda: animated("TIFF"), "d0f8f1f9e29872b7"),
}


def planes(bits: int) -> dict[int, tuple[int, list[int]]]:
    """Tags of a TIFF whose red stands before its green and blue; three strips of one offset each."""
    size = W * H * bits // 8
    start = 8 + 2 + 12 * 10 + 4 + 6 + 24  # header, directory of 10 entries, bits a sample, offsets and lengths
    return {284: (3, [2]), 273: (4, [start + plane * size for plane in range(3)]), 279: (4, [size] * 3)}


def translucent_palette_tiff() -> bytes:
    colours = seeded(3, 256).astype(int) * 257
    return tiff(W, H, [8, 8], 3, seeded(H, W, 2).tobytes(), {338: (3, [2]), 320: (3, colours.ravel().tolist())})


def rgba_bmp() -> bytes:
    pixels = seeded(H, W, 4).tobytes()
    masks = (0xFF, 0xFF00, 0xFF0000, 0xFF000000)
    sizes = np.array([108, W, H], "<i4").tobytes() + np.array([1, 32], "<u2").tobytes()
    head = sizes + np.array([3, len(pixels), 0, 0, 0, 0, *masks], "<u4").tobytes()
    file = np.array([122 + len(pixels), 0, 122], "<u4").tobytes()
    return b"BM" + file + head.ljust(108, b"\0") + pixels


@pytest.mark.parametrize("name", MODES)
def test_modes(name: str) -> None:
    write, golden = MODES[name]
    assert digest(decoded(write())) == golden


GREY = np.repeat(seeded(H, W)[..., None], 3, axis=2)
DEEP_GREY = np.repeat((deep(H, W) >> 8)[..., None], 3, axis=2)
FIRST_FRAME = seeded(H, W, 3) & 0xC0


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("1 PNG", (GREY > 127) * 255),
        ("L PNG", GREY),
        ("L TIFF", GREY),
        ("L TIFF, white is zero", 255 - GREY),
        ("L BMP", GREY),
        ("LA PNG", on_white(seeded(H, W, 2)[..., 0], seeded(H, W, 2)[..., 1])),
        ("P PNG", seeded(16, 3)[seeded(H, W) % 16]),
        ("P GIF", seeded(16, 3)[seeded(H, W) % 16]),
        (
            "P PNG, translucent colours",
            on_white(seeded(16, 3)[seeded(H, W) % 16], seeded(H, W) % 16 * np.uint8(16)),
        ),
        (
            "P GIF, a transparent colour",
            np.where(seeded(H, W)[..., None] % 16 == 3, 255, seeded(16, 3)[seeded(H, W) % 16]),
        ),
        ("RGB WEBP", seeded(H, W, 3)),
        ("RGBA WEBP", on_white(seeded(H, W, 4)[..., :3], seeded(H, W, 4)[..., 3])),
        ("RGBA TIFF", on_white(seeded(H, W, 4)[..., :3], seeded(H, W, 4)[..., 3])),
        ("PA TIFF", on_white(seeded(3, 256).T[seeded(H, W, 2)[..., 0]], seeded(H, W, 2)[..., 1])),
        ("RGB PNG", seeded(H, W, 3)),
        ("RGB TIFF, planes", seeded(3, H, W).transpose(1, 2, 0)),
        ("RGBA PNG", on_white(seeded(H, W, 4)[..., :3], seeded(H, W, 4)[..., 3])),
        ("RGBA BMP", on_white(seeded(H, W, 4)[::-1, :, :3], seeded(H, W, 4)[::-1, :, 3])),
        ("RGBX TIFF", seeded(H, W, 4)[..., :3]),
        ("16 bits grey PNG", DEEP_GREY),
        ("16 bits grey TIFF, big endian", DEEP_GREY),
        ("16 bits grey TIFF, white is zero", 255 - DEEP_GREY),
        ("16 bits RGB PNG", deep(H, W, 3) >> 8),
        ("16 bits RGB TIFF, big endian", deep(H, W, 3) >> 8),
        ("first frame of a GIF", FIRST_FRAME),
        ("first frame of a PNG", FIRST_FRAME),
        ("first frame of a WEBP", FIRST_FRAME),
        ("first page of a TIFF", FIRST_FRAME),
    ],
)
def test_golden_pixels_are_correct(name: str, expected: Array) -> None:
    assert np.abs(decoded(MODES[name][0]()).astype(int) - expected).max() <= 1


def test_twelve_bits_are_scaled() -> None:
    first, second, third = seeded(H, W * 3 // 2).astype(int).reshape(-1, 3).T
    values = np.stack([first << 4 | second >> 4, (second & 15) << 8 | third], -1).reshape(H, W)
    assert np.array_equal(decoded(MODES["12 bits grey TIFF"][0]())[..., 1], values >> 4)
