"""Colours against arithmetic: transparency, seams, inks, profiles, and formats that keep colours nearly.

JPEG, AVIF, HEIC and colour profiles are computed by libraries whose last bit changes between versions: there the
expected colours are computed here and compared with a tolerance.
"""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import ImageCms

from tests.surfaces.images.handmade_images import cmyk_profile, png, unfiltered
from tests.surfaces.images.seeded_photos import H, W, decoded, exif, on_white, ramps, saved, seeded, swapped_profile


@pytest.mark.parametrize(("bits", "colour"), [(2, 0), (4, 0), (8, 0), (16, 0), (8, 2), (16, 2)])
def test_transparent_colour_of_a_png(bits: int, colour: int) -> None:
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


def test_transparent_colour_of_16_bits() -> None:
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


def test_nan_pixels_over_whole_strips() -> None:
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
