"""The eight EXIF orientations in every format that has them: golden hashes, or nearly equal where formats are lossy."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image as Pillow

from tests.surfaces.images.seeded_photos import H, W, decoded, digest, exif, ramps, saved, seeded

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
