"""The eight EXIF orientations in every format that has them."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image as Pillow

from tests.surfaces.images.seeded_photos import H, W, decoded, exif, ramps, saved, seeded

TRANSPOSITIONS = {
    1: [],
    2: [Pillow.Transpose.FLIP_LEFT_RIGHT],
    3: [Pillow.Transpose.ROTATE_180],
    4: [Pillow.Transpose.FLIP_TOP_BOTTOM],
    5: [Pillow.Transpose.TRANSPOSE],
    6: [Pillow.Transpose.ROTATE_270],
    7: [Pillow.Transpose.TRANSVERSE],
    8: [Pillow.Transpose.ROTATE_90],
}
FORMATS = [
    ("PNG", {}, 0),
    ("WEBP", {"lossless": True}, 0),
    ("TIFF", {}, 0),
    ("JPEG", {"quality": 100, "subsampling": 0}, 6),
    ("AVIF", {"quality": 100, "subsampling": "4:4:4", "speed": 10}, 6),
    ("HEIF", {"quality": -1, "chroma": 444}, 6),
]


@pytest.mark.parametrize("orientation", TRANSPOSITIONS)
@pytest.mark.parametrize(("kind", "options", "tolerance"), FORMATS)
def test_orientations(orientation: int, kind: str, options: dict[str, object], tolerance: int) -> None:
    stored = Pillow.fromarray(ramps() if tolerance else seeded(H, W, 3))
    image = decoded(saved(stored, kind, exif=exif(orientation), **options))
    for transposition in TRANSPOSITIONS[orientation]:
        stored = stored.transpose(transposition)
    expected = np.asarray(stored)
    assert image.shape == expected.shape
    assert np.abs(image.astype(int) - expected).max() <= tolerance


@pytest.mark.parametrize("orientation", TRANSPOSITIONS)
def test_orientations_of_a_transparent_photo(orientation: int) -> None:
    rgba = np.dstack([seeded(H, W, 3), np.full((H, W), 255, np.uint8)])
    opaque = decoded(saved(Pillow.fromarray(seeded(H, W, 3)), "PNG", exif=exif(orientation)))
    assert np.array_equal(decoded(saved(Pillow.fromarray(rgba), "PNG", exif=exif(orientation))), opaque)
