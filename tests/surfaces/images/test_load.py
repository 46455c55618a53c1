from __future__ import annotations

import os
import random
import struct
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import ImageCms

from surfaces.detections import Image
from surfaces.errors import DecodeError, FetchError
from surfaces.images.guards import format_of
from surfaces.images.load import ImageLimits, load_image
from surfaces.io.http import FetchLimits
from tests.photo_servers import PhotoServer
from tests.surfaces.images.photo_files import decoded, exif, png, png_chunk, refused, saved, swapped_profile

KINDS = ["JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "AVIF", "HEIF"]
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # pytest undoes our filter

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
UPRIGHT, SWAPPED = [RED, GREEN, BLUE, WHITE], [GREEN, RED, BLUE, WHITE]
BROKEN_EXIF = b"Exif\0\0MM\0*\0\0\0\x08\0\x01garbage"


def corners(image: Image) -> list[tuple[int, ...]]:
    """Colours of the upper left, upper right, lower left and lower right corner, rounded to full or none."""
    picked = [image[4, 4], image[4, -5], image[-5, 4], image[-5, -5]]
    return [tuple(int(channel > 127) * 255 for channel in colour) for colour in picked]


@pytest.fixture
def photo() -> Pillow.Image:
    """64 wide, 32 high; red, green, blue and white corners."""
    pixels = np.zeros((32, 64, 3), np.uint8)
    pixels[:16, :32], pixels[:16, 32:], pixels[16:, :32], pixels[16:, 32:] = RED, GREEN, BLUE, WHITE
    return Pillow.fromarray(pixels)


@pytest.mark.parametrize("kind", KINDS)
def test_formats_are_detected_from_the_bytes(photo: Pillow.Image, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "photo.txt"
    path.write_bytes(saved(photo, kind))
    image = load_image(str(path))
    assert image.shape == (32, 64, 3)
    assert corners(image) == UPRIGHT


def test_exif_after_the_pixels_of_a_png(photo: Pillow.Image) -> None:
    data = saved(photo.transpose(Pillow.Transpose.ROTATE_90), "PNG")
    chunk = png_chunk(b"eXIf", exif(6).removeprefix(b"Exif\0\0"))
    assert corners(decoded(data[:-12] + chunk + data[-12:])) == UPRIGHT


def test_exif_of_older_png_programs(photo: Pillow.Image) -> None:
    text = f"\nexif\n{len(exif(3)):8}\n{exif(3).hex()}\n".encode()
    data = saved(photo.transpose(Pillow.Transpose.ROTATE_180), "PNG")
    for written, expected in ((text, UPRIGHT), (text.replace(b"0", b"?"), UPRIGHT[::-1])):
        chunk = png_chunk(b"tEXt", b"Raw profile type exif\0" + written)
        assert corners(decoded(data[:33] + chunk + data[33:])) == expected


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_invalid_orientations_are_ignored(photo: Pillow.Image, orientation: int) -> None:
    assert np.array_equal(decoded(saved(photo, "PNG", exif=exif(orientation))), np.asarray(photo))


@pytest.mark.parametrize("kind", ["AVIF", "HEIF"])
def test_orientation_of_a_container_wins_over_exif(photo: Pillow.Image, kind: str) -> None:
    data = saved(photo, kind, exif=exif(6), quality=95)
    assert decoded(data).shape == (64, 32, 3)
    angle = data.index(b"irot") + 4
    assert corners(decoded(data[:angle] + b"\0" + data[angle + 1 :])) == UPRIGHT


def test_heic_without_pillow_heif(photo: Pillow.Image, monkeypatch: pytest.MonkeyPatch) -> None:
    data = saved(photo, "HEIF")
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    assert refused(data) == "expected pillow-heif for a HEIC photo, install interior-surfaces[heic]"


@pytest.mark.parametrize(
    ("brands", "name"),
    [
        (b"avif\0\0\0\0", "AVIF"),
        (b"mif1\0\0\0\0miafavif", "AVIF"),
        (b"mif1\0\0\0\0miafheic", "HEIC"),
        (b"heic\0\0\0\0", "HEIC"),
        (b"msf1\0\0\0\0hevc", "HEIC"),
        (b"isom\0\0\0\0mp42", None),
        (b"isom\0\0avif", None),
    ],
)
def test_avif_and_heic_are_distinguished(brands: bytes, name: str | None) -> None:
    assert format_of(struct.pack(">I", 8 + len(brands)) + b"ftyp" + brands + b"avifheic") == name


@pytest.mark.parametrize(("mode", "kind"), [("L", "JPEG"), ("YCbCr", "JPEG"), ("1", "PNG")])
def test_colour_modes(photo: Pillow.Image, mode: str, kind: str) -> None:
    expected = np.asarray(photo.convert(mode).convert("RGB"), np.int16)
    image = decoded(saved(photo.convert(mode), kind))
    assert np.abs(image.astype(np.int16) - expected).mean() < 4


@pytest.mark.parametrize("brightest", [1e6, float("inf"), float("nan")])
def test_floats_out_of_range_are_refused(brightest: float) -> None:
    photo = Pillow.fromarray(np.full((32, 32), brightest, np.float32))
    assert "expected floating-point pixels of at most 65535" in refused(saved(photo, "TIFF"))


@pytest.mark.parametrize(
    ("kind", "mode"), [("JPEG", "RGB"), ("PNG", "RGB"), ("WEBP", "RGB"), ("TIFF", "RGB"), ("TIFF", "YCbCr")]
)
def test_colour_profiles_are_applied(photo: Pillow.Image, kind: str, mode: str) -> None:
    assert corners(decoded(saved(photo.convert(mode), kind, icc_profile=swapped_profile()))) == SWAPPED


@pytest.mark.parametrize(
    ("mode", "profile"),
    [
        ("RGB", ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()),
        ("RGB", b"garbage"),
        ("RGB", swapped_profile()[:200]),
        ("L", swapped_profile()),
    ],
    ids=["sRGB", "garbage", "cut off", "of another colour space"],
)
def test_other_profiles_change_nothing(photo: Pillow.Image, mode: str, profile: bytes) -> None:
    stored = photo.convert(mode)
    assert np.array_equal(decoded(saved(stored, "PNG", icc_profile=profile)), np.asarray(stored.convert("RGB")))


@pytest.mark.parametrize("size", [(1, 1), (15, 400), (400, 15), (16, 16), (1000, 100), (100, 1000)])
def test_small_and_long_photos(size: tuple[int, int]) -> None:
    width, height = size
    data = saved(Pillow.new("RGB", size), "PNG")
    if min(size) < 16:
        assert refused(data) == f"expected at least 16 pixels a side, the photo has {width}x{height}"
    else:
        assert decoded(data).shape == (height, width, 3)


def test_limits_of_size(photo: Pillow.Image) -> None:
    assert refused(png(9000, 6000, 8, 2, b"")) == "expected at most 50 megapixels, the photo has 9000x6000"
    assert refused(png(30_000, 30_000, 8, 2, b"")) == "expected at most 50 megapixels, the photo has far more"
    assert refused(png(70_000, 100, 8, 2, b"")) == "expected at most 65500 pixels a side, the photo has 70000x100"
    assert decoded(saved(Pillow.new("L", (8064, 6048)), "JPEG")).shape == (6048, 8064, 3)
    data = saved(photo, "PNG")
    assert "0.001 megapixels" in refused(data, ImageLimits(pixels_max=1000))
    assert decoded(data, ImageLimits(side_min=32)).shape == (32, 64, 3)


@pytest.mark.parametrize(
    ("data", "came"),
    [
        (b"", "expected a photo, got 0 bytes"),
        (b"\n <!DOCTYPE html><html></html>", "got an HTML page"),
        (b"<html>", "got an HTML page"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "got XML or SVG"),
        (b"%PDF-1.7", "got a PDF"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\n", "got bytes of another kind"),
        (b"P6 20 20 255 " + bytes(1200), "got bytes of another kind"),
        (b"\0" * 100, "got bytes of another kind"),
        (b"\xff\xd8\xff" + bytes(100), "got a damaged one"),
        (b"GIF8", "got a damaged one"),
    ],
)
def test_other_files_are_named(data: bytes, came: str) -> None:
    assert refused(data).endswith(came)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9])
def test_truncated_photos_are_refused(kind: str, share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    data = saved(Pillow.fromarray(noise), kind)
    refused(data[: int(share * len(data))])


@pytest.mark.parametrize("kind", KINDS)
def test_corrupt_bytes_raise_decode_errors(photo: Pillow.Image, kind: str) -> None:
    generator = random.Random(0)
    for _ in range(60):
        data = bytearray(saved(photo, kind))
        for _ in range(generator.randint(1, 8)):
            data[generator.randrange(len(data))] = generator.randrange(256)
        with suppress(DecodeError):
            decoded(bytes(data))


def test_broken_exif_is_ignored_without_a_warning(photo: Pillow.Image, tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(saved(photo, "JPEG", exif=BROKEN_EXIF))
    assert corners(load_image(path)) == UPRIGHT
    program = "import sys; from surfaces.images.load import load_image; load_image(sys.argv[1])"
    process = subprocess.run([sys.executable, "-c", program, path], capture_output=True, check=True)
    assert process.stderr == b""


def test_sources_that_are_no_photos(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for source in (tmp_path / "absent.jpg", tmp_path, tmp_path / "pipe", "/dev/zero", "", "a\0b", "x" * 5000):
        with pytest.raises(FetchError, match="file"):
            load_image(str(source))
    for source in ("ftp://127.0.0.1/a.jpg", "s3://b/a.jpg", "data://x"):
        with pytest.raises(FetchError, match="expected an http or https address"):
            load_image(source)


def test_file_urls(photo: Pillow.Image, tmp_path: Path) -> None:
    path = tmp_path / "a room.png"
    photo.save(path)
    for source in (path.as_uri(), path, str(path)):
        assert np.array_equal(load_image(source), np.asarray(photo))


def test_photo_from_the_web(photo_server: PhotoServer, room_path: Path) -> None:
    url = photo_server.serve("/room", room_path.read_bytes(), Content_Type="text/plain")
    photo = load_image(url, fetch_limits=FetchLimits(allow_private=True))
    assert np.array_equal(photo, load_image(str(room_path)))
