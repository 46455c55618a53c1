"""Colours of every mode: golden hashes of lossless formats, and arithmetic with a tolerance.

JPEG, AVIF, HEIC and colour profiles are computed by libraries whose last bit changes between versions: they have no
golden hash.
"""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import ImageCms

from tests.surfaces.images.photo_files import (
    Array,
    H,
    W,
    cmyk_profile,
    decoded,
    deep,
    digest,
    exif,
    on_white,
    png,
    ramps,
    saved,
    seeded,
    swapped_profile,
    tiff,
    unfiltered,
)

GREY, GREY_ALPHA, RGB, RGBA = seeded(H, W), seeded(H, W, 2), seeded(H, W, 3), seeded(H, W, 4)
DEEP, DEEP_RGB = deep(H, W), deep(H, W, 3)
INDICES, COLOURS = GREY % 16, seeded(16, 3)
BINARY = Pillow.fromarray(GREY > 127)
SIGNED = {339: (3, [2])}
FULL_CHROMA = {
    "AVIF": {"quality": 100, "subsampling": "4:4:4", "speed": 10},
    "HEIF": {"quality": -1, "chroma": 444},
    "JPEG": {"quality": 100, "subsampling": 0},
}


def palette_photo(indices: Array = INDICES) -> Pillow.Image:
    photo = Pillow.fromarray(indices).convert("P")
    photo.putpalette(COLOURS.tobytes())
    return photo


def ordered(array: Array, kind: str) -> bytes:
    return array.astype(kind).tobytes()


def plain_png(bits: int, colour: int, samples: bytes) -> bytes:
    return png(W, H, bits, colour, unfiltered(samples, H))


def transparent_tiff(photometric: int, channels: int) -> bytes:
    """TIFF whose colours are multiplied by their opacity already (ExtraSamples 1)."""
    alpha = seeded(H, W, 1) | 0x80
    colours = (seeded(channels, H, W).transpose(1, 2, 0).astype(int) * alpha // 255).astype(np.uint8)
    pixels = np.dstack([colours, alpha])
    return tiff(W, H, [8] * (channels + 1), photometric, pixels.tobytes(), {338: (3, [1])})


def floats(white: float) -> bytes:
    values = GREY.astype(np.float32) / 255 * white
    values[0, 0], values[0, 1] = np.nan, -1
    return saved(values, "TIFF")


def animated(kind: str, **options: object) -> bytes:
    others = [Pillow.new("RGB", (W, H), "black")] * 2
    return saved(RGB & 0xC0, kind, save_all=True, append_images=others, **options)


def planes(bits: int) -> dict[int, tuple[int, list[int]]]:
    """Tags of a TIFF whose red stands before its green and blue; three strips of one offset each."""
    size = W * H * bits // 8
    start = 8 + 2 + 12 * 10 + 4 + 6 + 24  # header, directory of 10 entries, bits a sample, offsets and lengths
    return {284: (3, [2]), 273: (4, [start + plane * size for plane in range(3)]), 279: (4, [size] * 3)}


def translucent_palette_tiff() -> bytes:
    colours = seeded(3, 256).astype(int) * 257
    return tiff(W, H, [8, 8], 3, GREY_ALPHA.tobytes(), {338: (3, [2]), 320: (3, colours.ravel().tolist())})


def rgba_bmp() -> bytes:
    pixels = RGBA.tobytes()
    masks = (0xFF, 0xFF00, 0xFF0000, 0xFF000000)
    sizes = np.array([108, W, H], "<i4").tobytes() + np.array([1, 32], "<u2").tobytes()
    head = sizes + np.array([3, len(pixels), 0, 0, 0, 0, *masks], "<u4").tobytes()
    file = np.array([122 + len(pixels), 0, 122], "<u4").tobytes()
    return b"BM" + file + head.ljust(108, b"\0") + pixels


MODES = {
    "1 PNG": (saved(BINARY, "PNG"), "98c41c8e521b77f9"),
    "1 TIFF": (saved(BINARY, "TIFF", compression="group4"), "98c41c8e521b77f9"),
    "1 TIFF, white is zero": (tiff(W, H, [1], 0, seeded(H, W // 8).tobytes()), "6f313a66b547d5f5"),
    "1 BMP": (saved(BINARY, "BMP"), "98c41c8e521b77f9"),
    "2 bits PNG": (plain_png(2, 0, seeded(H, W // 4).tobytes()), "2bd5746177abc827"),
    "4 bits PNG": (plain_png(4, 0, seeded(H, W // 2).tobytes()), "cefeef479a351cfb"),
    "L PNG": (saved(GREY, "PNG"), "abc0d78f4a98b85d"),
    "L TIFF": (saved(GREY, "TIFF", compression="tiff_lzw"), "abc0d78f4a98b85d"),
    "L TIFF, white is zero": (tiff(W, H, [8], 0, GREY.tobytes()), "b17f464df9ca2a69"),
    "L GIF": (saved(GREY, "GIF"), "abc0d78f4a98b85d"),
    "L BMP": (saved(GREY, "BMP"), "abc0d78f4a98b85d"),
    "LA PNG": (saved(GREY_ALPHA, "PNG"), "5925acfdeafc62a0"),
    "LA TIFF": (saved(GREY_ALPHA, "TIFF"), "5925acfdeafc62a0"),
    "La TIFF": (transparent_tiff(1, 1), "7fa36937b6e82afb"),
    "P PNG": (saved(palette_photo(), "PNG"), "4da300de2b561181"),
    "P GIF": (saved(palette_photo(), "GIF"), "4da300de2b561181"),
    "P BMP": (saved(palette_photo(), "BMP"), "4da300de2b561181"),
    "P TIFF": (saved(palette_photo(), "TIFF"), "4da300de2b561181"),
    "P PNG, a transparent colour": (saved(palette_photo(), "PNG", transparency=3), "2bd456afa20997de"),
    "P PNG, translucent colours": (
        saved(palette_photo(), "PNG", transparency=bytes(range(0, 256, 16))),
        "2461c68464160011",
    ),
    "P GIF, a transparent colour": (saved(palette_photo(), "GIF", transparency=3), "2bd456afa20997de"),
    "PA TIFF": (translucent_palette_tiff(), "5f9d139d565ce816"),
    "RGB PNG": (saved(RGB, "PNG"), "1ff59f37bcc36c50"),
    "RGB BMP": (saved(RGB, "BMP"), "1ff59f37bcc36c50"),
    "RGB TIFF": (saved(RGB, "TIFF", compression="tiff_adobe_deflate"), "1ff59f37bcc36c50"),
    "RGB TIFF, big endian": (tiff(W, H, [8] * 3, 2, RGB.tobytes(), order=">"), "1ff59f37bcc36c50"),
    "RGB TIFF, planes": (tiff(W, H, [8] * 3, 2, seeded(3, H, W).tobytes(), planes(8)), "3d69b2f5e863f898"),
    "RGB WEBP": (saved(RGB, "WEBP", lossless=True), "1ff59f37bcc36c50"),
    "RGBA PNG": (saved(RGBA, "PNG"), "7f86c62bab99823b"),
    "RGBA WEBP": (saved(RGBA, "WEBP", lossless=True, exact=True), "7f86c62bab99823b"),
    "RGBA TIFF": (saved(RGBA, "TIFF"), "7f86c62bab99823b"),
    "RGBA BMP": (rgba_bmp(), "f3912dc6560f42fd"),
    "RGBa TIFF": (transparent_tiff(2, 3), "59b03988c82b0bc9"),
    "RGBX TIFF": (tiff(W, H, [8] * 4, 2, RGBA.tobytes(), {338: (3, [0])}), "e5df66a5a12e877f"),
    "16 bits grey PNG": (plain_png(16, 0, ordered(DEEP, ">u2")), "2ba453f53f3c5c40"),
    "16 bits grey TIFF": (tiff(W, H, [16], 1, ordered(DEEP, "<u2")), "2ba453f53f3c5c40"),
    "16 bits grey TIFF, big endian": (tiff(W, H, [16], 1, ordered(DEEP, ">u2"), order=">"), "2ba453f53f3c5c40"),
    "16 bits grey TIFF, white is zero": (tiff(W, H, [16], 0, ordered(DEEP, "<u2")), "7230017f308bf552"),
    "16 bits grey TIFF, signed": (tiff(W, H, [16], 1, ordered(DEEP, "<u2"), SIGNED), "c7a678fca34c1d50"),
    "12 bits grey TIFF": (tiff(W, H, [12], 1, seeded(H, W * 3 // 2).tobytes()), "c55d69d05a0ac1a7"),
    "32 bits grey TIFF": (tiff(W, H, [32], 1, seeded(H, W * 4).tobytes()), "6410641a8e45a725"),
    "32 bits grey TIFF, signed": (tiff(W, H, [32], 1, seeded(H, W * 4).tobytes(), SIGNED), "ffc82aa5181657e3"),
    "float TIFF to 1": (floats(1), "986608f77643461c"),
    "float TIFF to 255": (floats(255), "986608f77643461c"),
    "float TIFF to 65535": (floats(65535), "986608f77643461c"),
    "16 bits LA PNG": (plain_png(16, 4, ordered(deep(H, W, 2), ">u2")), "8325f612d6b39b0b"),
    "16 bits RGB PNG": (plain_png(16, 2, ordered(DEEP_RGB, ">u2")), "ab59a2e4978b7bec"),
    "16 bits RGBA PNG": (plain_png(16, 6, ordered(deep(H, W, 4), ">u2")), "fcf39e0b179673a3"),
    "16 bits RGB TIFF": (tiff(W, H, [16] * 3, 2, ordered(DEEP_RGB, "<u2")), "ab59a2e4978b7bec"),
    "16 bits RGB TIFF, big endian": (tiff(W, H, [16] * 3, 2, ordered(DEEP_RGB, ">u2"), order=">"), "ab59a2e4978b7bec"),
    "CMYK TIFF": (saved(Pillow.fromarray(RGBA, "CMYK"), "TIFF"), "4bf8fe883d5e7abb"),
    "16 bits CMYK TIFF": (tiff(W, H, [16] * 4, 5, ordered(deep(H, W, 4), "<u2")), "27636a8b31775fbf"),
    "YCbCr TIFF": (saved(Pillow.fromarray(RGB, "YCbCr"), "TIFF"), "71391ed5bf0285af"),
    "first frame of a GIF": (animated("GIF"), "d0f8f1f9e29872b7"),
    "first frame of a PNG": (animated("PNG"), "d0f8f1f9e29872b7"),
    "first frame of a WEBP": (animated("WEBP", lossless=True), "d0f8f1f9e29872b7"),
    "first page of a TIFF": (animated("TIFF"), "d0f8f1f9e29872b7"),
}
GREYS = np.repeat(GREY[..., None], 3, axis=2)
DEEP_GREYS = np.repeat((DEEP >> 8)[..., None], 3, axis=2)
CORRECT: dict[str, Array] = {
    "1 PNG": (GREYS > 127) * 255,
    **dict.fromkeys(("L PNG", "L TIFF", "L BMP"), GREYS),
    "L TIFF, white is zero": 255 - GREYS,
    "LA PNG": on_white(GREY_ALPHA[..., 0], GREY_ALPHA[..., 1]),
    **dict.fromkeys(("P PNG", "P GIF"), COLOURS[INDICES]),
    "P PNG, translucent colours": on_white(COLOURS[INDICES], INDICES * np.uint8(16)),
    "P GIF, a transparent colour": np.where(INDICES[..., None] == 3, 255, COLOURS[INDICES]),
    "PA TIFF": on_white(seeded(3, 256).T[GREY_ALPHA[..., 0]], GREY_ALPHA[..., 1]),
    **dict.fromkeys(("RGB PNG", "RGB WEBP"), RGB),
    "RGB TIFF, planes": seeded(3, H, W).transpose(1, 2, 0),
    **dict.fromkeys(("RGBA PNG", "RGBA WEBP", "RGBA TIFF"), on_white(RGBA[..., :3], RGBA[..., 3])),
    "RGBA BMP": on_white(RGBA[::-1, :, :3], RGBA[::-1, :, 3]),
    "RGBX TIFF": RGBA[..., :3],
    **dict.fromkeys(("16 bits grey PNG", "16 bits grey TIFF, big endian"), DEEP_GREYS),
    "16 bits grey TIFF, white is zero": 255 - DEEP_GREYS,
    **dict.fromkeys(("16 bits RGB PNG", "16 bits RGB TIFF, big endian"), DEEP_RGB >> 8),
    **dict.fromkeys([name for name in MODES if name.startswith("first")], RGB & 0xC0),
}


@pytest.mark.parametrize("name", MODES)
def test_modes(name: str) -> None:
    data, golden = MODES[name]
    image = decoded(data)
    assert digest(image) == golden
    if name in CORRECT:
        assert np.abs(image.astype(int) - CORRECT[name]).max() <= 1


def test_twelve_bits_are_scaled() -> None:
    first, second, third = seeded(H, W * 3 // 2).astype(int).reshape(-1, 3).T
    values = np.stack([first << 4 | second >> 4, (second & 15) << 8 | third], -1).reshape(H, W)
    assert np.array_equal(decoded(MODES["12 bits grey TIFF"][0])[..., 1], values >> 4)


@pytest.mark.parametrize(("bits", "colour"), [(2, 0), (4, 0), (8, 0), (16, 0), (8, 2), (16, 2)])
def test_transparent_colour_of_a_png(bits: int, colour: int) -> None:
    channels = 1 if colour == 0 else 3
    samples = np.zeros((H, W, channels), int)
    samples[:, : W // 2] = 2**bits * 2 // 3  # transparent
    if bits < 8:
        shifted = samples[..., 0] << np.arange(8 - bits, -1, -bits)[np.arange(W) % (8 // bits)]
        pixels = shifted.reshape(H, -1, 8 // bits).sum(-1).astype(np.uint8).tobytes()
    else:
        pixels = ordered(samples, f">u{bits // 8}")
    key = ordered(samples[0, 0], ">u2")
    image = decoded(png(W, H, bits, colour, unfiltered(pixels, H), (b"tRNS", key)))
    assert (image[:, : W // 2] == 255).all()
    assert (image[:, W // 2 :] == 0).all()


def test_transparent_colour_of_16_bits() -> None:
    pixels = np.broadcast_to(np.array([0x8001, 0x40FF, 0x0102], ">u2"), (H, W, 3)).tobytes()
    assert (decoded(png(W, H, 16, 2, unfiltered(pixels, H), (b"tRNS", pixels[:6]))) == 255).all()


@pytest.mark.parametrize("orientation", [1, 6])
def test_tall_photos_have_no_seams(orientation: int) -> None:
    stored = seeded(700, 20, 4)
    image = decoded(saved(stored, "PNG", exif=exif(orientation)))
    expected = on_white(stored[..., :3], stored[..., 3])
    assert np.abs(image.astype(int) - np.rot90(expected, -1 if orientation == 6 else 0)).max() <= 1


def test_tall_palette_photos_have_no_seams() -> None:
    indices, opacity = seeded(700, 20) % 16, np.arange(0, 256, 16, dtype=np.uint8)
    image = decoded(saved(palette_photo(indices), "PNG", transparency=opacity.tobytes()))
    assert np.abs(image.astype(int) - on_white(COLOURS[indices], opacity[indices])).max() <= 1


def test_nan_pixels_over_whole_strips() -> None:
    values = np.full((700, 20), 0.5, np.float32)
    values[:300] = np.nan
    image = decoded(saved(values, "TIFF"))
    assert (image[:300] == 0).all()
    assert (image[300:] == 128).all()


def test_cmyk_of_jpeg_is_inverted_as_adobe_does() -> None:
    inks = np.dstack([ramps(), np.full((H, W), 30, np.uint8)])
    image = decoded(saved(Pillow.fromarray(inks, "CMYK"), "JPEG", **FULL_CHROMA["JPEG"]))
    expected = (255 - inks[..., :3].astype(float)) * (255 - 30) / 255
    assert np.abs(image - expected).max() <= 6


def test_ycck() -> None:
    inks = ramps()
    stored = np.dstack([np.asarray(Pillow.fromarray(inks).convert("YCbCr")), np.full((H, W), 255 - 30, np.uint8)])
    data = bytearray(saved(Pillow.fromarray(255 - stored, "CMYK"), "JPEG", **FULL_CHROMA["JPEG"]))
    marker = data.index(b"Adobe")
    assert data[marker + 11] == 0
    data[marker + 11] = 2  # the planes are YCCK
    expected = (255 - inks.astype(float)) * (255 - 30) / 255
    assert np.abs(decoded(bytes(data)) - expected).max() <= 6


@pytest.mark.parametrize("kind", ["TIFF", "JPEG"])
def test_cmyk_follows_its_profile(kind: str) -> None:
    photo = Pillow.new("CMYK", (W, H))
    photo.paste((255, 0, 0, 0), (0, 0, 16, H))
    image = decoded(saved(photo, kind, icc_profile=cmyk_profile()))
    assert np.abs(image[4, 4].astype(int) - (0, 182, 53)).max() <= 4  # CIELAB 63, -80, 48
    assert image[4, 36].tolist() == [255, 255, 255]


def test_lab() -> None:
    spaces = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    lab = ImageCms.profileToProfile(Pillow.fromarray(ramps()), *spaces, outputMode="LAB")
    assert np.abs(decoded(saved(lab, "TIFF")).astype(int) - ramps()).mean() <= 4  # 8 bits of CIELAB are coarse


def test_a_profile_is_applied_before_opacity() -> None:
    rgba = np.dstack([ramps(), np.full((H, W), 128, np.uint8)])
    profile = swapped_profile()
    opaque = decoded(saved(ramps(), "PNG", icc_profile=profile))
    image = decoded(saved(rgba, "PNG", icc_profile=profile))
    assert np.abs(image.astype(int) - on_white(opaque, rgba[..., 3])).max() <= 1


@pytest.mark.parametrize("kind", ["AVIF", "HEIF"])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_modes_of_avif_and_heic(kind: str, mode: str) -> None:
    photo = Pillow.fromarray(ramps()).convert(mode)
    if mode == "RGBA":
        photo.putalpha(128)
    image = decoded(saved(photo, kind, **FULL_CHROMA[kind]))
    assert np.abs(image.astype(int) - decoded(saved(photo, "PNG"))).max() <= 6


TRANSPOSITIONS = {
    2: [Pillow.Transpose.FLIP_LEFT_RIGHT],
    3: [Pillow.Transpose.ROTATE_180],
    4: [Pillow.Transpose.FLIP_TOP_BOTTOM],
    5: [Pillow.Transpose.TRANSPOSE],
    6: [Pillow.Transpose.ROTATE_270],
    7: [Pillow.Transpose.TRANSVERSE],
    8: [Pillow.Transpose.ROTATE_90],
}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "JPEG", "AVIF", "HEIF"])
def test_orientations(orientation: int, kind: str) -> None:
    tolerance = 6 if kind in FULL_CHROMA else 0
    options = {"lossless": True} if kind == "WEBP" else FULL_CHROMA.get(kind, {})
    stored = Pillow.fromarray(ramps() if tolerance else RGB)
    image = decoded(saved(stored, kind, exif=exif(orientation), **options))
    for transposition in TRANSPOSITIONS.get(orientation, []):
        stored = stored.transpose(transposition)
    assert image.shape == (stored.height, stored.width, 3)
    assert np.abs(image.astype(int) - np.asarray(stored)).max() <= tolerance


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientations_of_a_transparent_photo(orientation: int) -> None:
    rgba = np.dstack([RGB, np.full((H, W), 255, np.uint8)])
    opaque = decoded(saved(RGB, "PNG", exif=exif(orientation)))
    assert np.array_equal(decoded(saved(rgba, "PNG", exif=exif(orientation))), opaque)
