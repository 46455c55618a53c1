"""Which input size the network gets for a photo."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.inference.model_output import MAX_AREA, MAX_SIDE, SIZE_MULTIPLE, TARGET_AREA, choose_input_size

sides = st.integers(1, 20_000)


def aspect_error(photo: tuple[int, int], size: tuple[int, int]) -> float:
    """By which factor the photo is stretched more in one direction than in the other."""
    return math.exp(abs(math.log(size[1] / size[0] * photo[0] / photo[1])))


@given(sides, sides)
def test_sizes_are_ones_that_the_network_takes(height: int, width: int) -> None:
    size = choose_input_size(height, width)
    assert all(side % SIZE_MULTIPLE == 0 and SIZE_MULTIPLE <= side <= MAX_SIDE for side in size)
    assert size[0] * size[1] <= MAX_AREA


@given(st.integers(100, 8000), st.floats(0.5, 2))
def test_ordinary_photos_keep_their_aspect(height: int, aspect: float) -> None:
    width = round(height * aspect)
    size = choose_input_size(height, width)
    assert 0.6 * TARGET_AREA <= size[0] * size[1] <= MAX_AREA
    assert aspect_error((height, width), size) < 1.25


@given(sides, sides)
def test_turned_photos_get_turned_sizes(height: int, width: int) -> None:
    turned = choose_input_size(width, height)
    got = choose_input_size(height, width)
    assert aspect_error((height, width), got) == pytest.approx(aspect_error((width, height), turned))
    assert got[0] * got[1] == turned[0] * turned[1]


@pytest.mark.parametrize(
    ("photo", "expected"),
    [
        ((480, 640), (512, 640)),
        ((640, 480), (640, 512)),
        ((3000, 3000), (512, 512)),
        ((1080, 1920), (384, 640)),
        ((400, 4000), (128, 1280)),
        ((4000, 400), (1280, 128)),
        ((1, 300), (128, 1536)),
    ],
)
def test_sizes_of_common_photos(photo: tuple[int, int], expected: tuple[int, int]) -> None:
    assert choose_input_size(*photo) == expected
