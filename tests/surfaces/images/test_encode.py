from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image as Pillow

from surfaces.errors import OutputError
from surfaces.images.encode import encode_jpeg


@pytest.mark.parametrize("height", [1, 256, 700])
def test_a_jpeg_in_place_is_the_same_file(height: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (height, 9, 3), np.uint8)
    given = image.copy()
    expected = encode_jpeg(given, 90, full_chroma=True)
    np.testing.assert_array_equal(given, image)
    assert encode_jpeg(given, 90, full_chroma=True, in_place=True) == expected
    np.testing.assert_array_equal(given, image)


@pytest.mark.parametrize("in_place", [False, True])
def test_too_wide_for_a_jpeg(in_place: bool) -> None:
    image = np.full((1, 65_501, 3), (1, 2, 3), np.uint8)
    with pytest.raises(OutputError, match="expected at most 65500 pixels a side for a JPEG file, got 65501x1"):
        encode_jpeg(image, in_place=in_place)
    assert (image == (1, 2, 3)).all()


def test_a_jpeg_has_the_colours_of_the_image() -> None:
    image = np.full((16, 16, 3), (200, 100, 10), np.uint8)
    stored = np.asarray(Pillow.open(io.BytesIO(encode_jpeg(image)))).astype(int)
    assert np.abs(stored - image).max() <= 3
