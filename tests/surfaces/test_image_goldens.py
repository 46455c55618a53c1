"""What every orientation and colour mode decodes to.

Files are made from seeded bytes. Lossless formats have golden hashes: any change of a pixel is told. JPEG, AVIF, HEIC
and colour profiles are computed by libraries whose last bit changes between versions: there the expected colours are
computed here and compared with a tolerance.
"""

from __future__ import annotations

import hashlib
import io
import random
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from handmade_images import cmyk_profile, png, tiff, unfiltered
from PIL import Image as Pillow
from PIL import ImageCms

from surfaces.detections import Image
from surfaces.images import decode_image

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


ORIENTATIONS = {
    1: "1ff59f37bcc36c50",
    2: "1691cf1f1937ccf6",
    3: "25d30a89b0ad4489",
    4: "a5cb25292540bc23",
    5: "bd765e3945b7952d",
    6: "c9d0aad26e765ea7",
    7: "75bc7443aaabafc5",
    8: "007f3d25440ab332",
}


@pytest.mark.parametrize(("orientation", "golden"), ORIENTATIONS.items())
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_orientations(orientation: int, golden: str, kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    assert digest(decoded(saved(Pillow.fromarray(seeded(H, W, 3)), kind, exif=exif(orientation), **options))) == golden


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientations_differ_from_each_other(orientation: int) -> None:
    assert [*ORIENTATIONS.values()].count(ORIENTATIONS[orientation]) == 1


@pytest.mark.parametrize(("orientation", "golden"), ORIENTATIONS.items())
def test_orientations_of_a_transparent_photo(orientation: int, golden: str) -> None:
    rgba = np.dstack([seeded(H, W, 3), np.full((H, W), 255, np.uint8)])
    assert digest(decoded(saved(Pillow.fromarray(rgba), "PNG", exif=exif(orientation)))) == golden


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {"quality": 100, "subsampling": 0}),
        ("AVIF", {"quality": 100, "subsampling": "4:4:4", "speed": 10}),
        ("HEIF", {"quality": -1, "chroma": 444}),
    ],
)
def test_orientations_of_lossy_formats(orientation: int, kind: str, options: dict[str, object]) -> None:
    stored = Pillow.fromarray(ramps())
    lossless = decoded(saved(stored, "PNG", exif=exif(orientation)))
    image = decoded(saved(stored, kind, exif=exif(orientation), **options))
    assert image.shape == lossless.shape
    assert np.abs(image.astype(int) - lossless).max() <= 6


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
        ("PA TIFF", on_white(seeded(3, 256).T[seeded(H, W, 2)[..., 0]], seeded(H, W, 2)[..., 1])),
        ("RGB PNG", seeded(H, W, 3)),
        ("RGB TIFF, planes", seeded(3, H, W).transpose(1, 2, 0)),
        ("RGB WEBP", seeded(H, W, 3)),
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
def test_golden_pixels_are_the_right_ones(name: str, expected: Array) -> None:
    assert np.abs(decoded(MODES[name][0]()).astype(int) - expected).max() <= 1


def test_twelve_bits_fill_the_range() -> None:
    first, second, third = seeded(H, W * 3 // 2).astype(int).reshape(-1, 3).T
    values = np.stack([first << 4 | second >> 4, (second & 15) << 8 | third], -1).reshape(H, W)
    assert np.array_equal(decoded(MODES["12 bits grey TIFF"][0]())[..., 1], values >> 4)


@pytest.mark.parametrize(("bits", "colour"), [(2, 0), (4, 0), (8, 0), (16, 0), (8, 2), (16, 2)])
def test_the_transparent_colour_of_a_png_has_the_depth_of_its_pixels(bits: int, colour: int) -> None:
    channels = 1 if colour == 0 else 3
    samples = np.zeros((H, W, channels), int)
    samples[:, : W // 2] = 2**bits * 2 // 3  # transparent
    shifted = samples[..., 0] << np.arange(8 - bits, -1, -bits)[np.arange(W) % (8 // bits)] if bits < 8 else None
    if shifted is not None:
        pixels = shifted.reshape(H, -1, 8 // bits).sum(-1).astype(np.uint8).tobytes()
    else:
        pixels = samples.astype(f">u{bits // 8}").tobytes()
    key = samples[0, 0].astype(">u2").tobytes()
    image = decoded(png(W, H, bits, colour, unfiltered(pixels, H), (b"tRNS", key)))
    assert (image[:, : W // 2] == 255).all()
    assert (image[:, W // 2 :] == 0).all()


def test_the_transparent_colour_of_16_bits_may_be_any() -> None:
    pixels = np.broadcast_to(np.array([0x8001, 0x40FF, 0x0102], ">u2"), (H, W, 3)).tobytes()
    image = decoded(png(W, H, 16, 2, unfiltered(pixels, H), (b"tRNS", pixels[:6])))
    assert (image == 255).all()


@pytest.mark.parametrize("orientation", [1, 6])
def test_tall_photos_have_no_seams(orientation: int) -> None:
    stored = seeded(700, 20, 4)
    image = decoded(saved(Pillow.fromarray(stored), "PNG", exif=exif(orientation)))
    expected = on_white(stored[..., :3], stored[..., 3])
    assert np.abs(image.astype(int) - np.rot90(expected, -1 if orientation == 6 else 0)).max() <= 1


def test_tall_palette_photos_have_no_seams() -> None:
    photo = Pillow.fromarray(seeded(700, 20) % 16, "L").convert("P")
    photo.putpalette(seeded(16, 3).tobytes())
    opacity = np.arange(0, 256, 16, dtype=np.uint8)
    image = decoded(saved(photo, "PNG", transparency=opacity.tobytes()))
    indices = seeded(700, 20) % 16
    assert np.abs(image.astype(int) - on_white(seeded(16, 3)[indices], opacity[indices])).max() <= 1


def test_floats_may_be_missing_over_whole_strips() -> None:
    values = np.full((700, 20), 0.5, np.float32)
    values[:300] = np.nan
    image = decoded(saved(Pillow.fromarray(values), "TIFF"))
    assert (image[:300] == 0).all()
    assert (image[300:] == 128).all()


def test_cmyk_of_jpeg_is_inverted_as_adobe_does() -> None:
    inks = np.dstack([ramps(), np.full((H, W), 30, np.uint8)])
    image = decoded(saved(Pillow.fromarray(inks, "CMYK"), "JPEG", quality=100, subsampling=0))
    expected = (255 - inks[..., :3].astype(float)) * (255 - 30) / 255
    assert np.abs(image - expected).max() <= 6


def test_ycck() -> None:
    inks = ramps()
    stored = np.dstack([np.asarray(Pillow.fromarray(inks).convert("YCbCr")), np.full((H, W), 255 - 30, np.uint8)])
    data = bytearray(saved(Pillow.fromarray(255 - stored, "CMYK"), "JPEG", quality=100, subsampling=0))
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
    rgba = Pillow.fromarray(np.dstack([ramps(), np.full((H, W), 128, np.uint8)]))
    profile = swapped_profile()
    opaque = decoded(saved(rgba.convert("RGB"), "PNG", icc_profile=profile))
    image = decoded(saved(rgba, "PNG", icc_profile=profile))
    assert np.abs(image.astype(int) - on_white(opaque, np.full((H, W), 128))).max() <= 1


def swapped_profile() -> bytes:
    """sRGB whose red and green have changed places."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    red, green = profile.index(b"rXYZ"), profile.index(b"gXYZ")
    profile[red : red + 4], profile[green : green + 4] = b"gXYZ", b"rXYZ"
    return bytes(profile).replace("sRGB".encode("utf-16-be"), "swap".encode("utf-16-be"))


@pytest.mark.parametrize(
    ("kind", "options"),
    [("AVIF", {"quality": 100, "subsampling": "4:4:4", "speed": 10}), ("HEIF", {"quality": -1, "chroma": 444})],
)
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_modes_of_avif_and_heic(kind: str, options: dict[str, object], mode: str) -> None:
    photo = Pillow.fromarray(ramps()).convert(mode)
    if mode == "RGBA":
        photo.putalpha(128)
    image = decoded(saved(photo, kind, **options))
    assert np.abs(image.astype(int) - decoded(saved(photo, "PNG"))).max() <= 6
