from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from surfaces.classes import FLOOR, WALL, SurfaceClass
from surfaces.datasets import open_dataset
from surfaces.drawing.recolour import matte, median_colour, parse_colour, recolour, to_srgb
from surfaces.errors import SurfacesError

ROOMS = Path(__file__).parents[2] / "data" / "rooms"
BLUE_GREY = (143, 163, 173)


def to_linear(levels: np.ndarray) -> np.ndarray:
    share = levels / 255
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)


def lit_wall(albedo: tuple[float, float, float]) -> tuple[np.ndarray, np.ndarray]:
    """A wall left of a black half under uneven light with a texture; the photo and the light, 1 on average."""
    rows, columns = np.mgrid[:120, :160]
    light = 0.5 + rows / 120 + 0.1 * np.sin(columns / 3)
    linear = light[..., None] * np.array(albedo) * (columns < 80)[..., None]
    return to_srgb(linear.astype(np.float32)), light


@pytest.mark.parametrize("colour", [(0.2, 0.2, 0.2), (0.05, 0.3, 0.4), (0.5, 0.1, 0.02)])
def test_a_painted_wall_is_what_that_wall_would_look_like(colour: tuple[float, float, float]) -> None:
    photo, light = lit_wall((0.3, 0.25, 0.2))
    mask = np.zeros(light.shape, bool)
    mask[:, :80] = True
    paint = to_srgb(np.array(colour, np.float32) * np.float32(np.median(light[mask])))
    painted = recolour(photo, mask, tuple(int(level) for level in paint))
    expected = to_srgb(np.minimum(light[..., None] * np.array(colour), 1).astype(np.float32)).astype(int)
    inside = np.zeros_like(mask)
    inside[:, :74] = True
    assert np.abs(painted.astype(int) - expected)[inside].max() <= 6
    assert np.abs(painted.astype(int) - expected)[inside].mean() < 1.5
    assert np.abs(painted.astype(int) - photo)[:, 86:].max() == 0


@pytest.mark.parametrize("surface", [WALL, FLOOR], ids=lambda surface: surface.name)
def test_rendered_rooms(surface: SurfaceClass) -> None:
    compared = 0
    for sample in list(open_dataset(ROOMS))[:6]:
        photo, mask = sample.image(), sample.labels().semantic == surface.coco_id
        if mask.mean() < 0.02:
            continue
        painted = recolour(photo, mask, BLUE_GREY)
        core = cv2.erode(mask.astype(np.uint8), np.ones((9, 9), np.uint8), borderValue=1) > 0
        far = cv2.dilate(mask.astype(np.uint8), np.ones((9, 9), np.uint8)) == 0
        np.testing.assert_array_equal(painted[far], photo[far])
        assert np.abs(np.median(painted[mask], axis=0) - BLUE_GREY).max() <= 4
        before, after = to_linear(photo[core].astype(float)), to_linear(painted[core].astype(float))
        for channel in range(3):
            unclipped = (after[:, channel] < 0.99) & (before[:, channel] > 0.05)
            if before[unclipped, channel].std() > 0.01 and unclipped.sum() > 100:
                assert np.corrcoef(before[unclipped, channel], after[unclipped, channel])[0, 1] > 0.99
                compared += 1
    assert compared > 8


def test_the_matte_follows_the_photo_where_the_mask_is_a_little_off() -> None:
    photo = np.full((400, 400, 3), 220, np.uint8)
    photo[:, 200:] = 40
    mask = np.zeros((400, 400), bool)
    mask[:, :201] = True
    soft = matte(photo, mask)
    assert soft[:, :190].min() == 1
    assert soft[:, 210:].max() == 0
    assert soft[:, 199].min() > 0.99
    assert soft[:, 200].max() < 0.5  # the mask's last column is in the dark
    assert soft[:, 203].max() < 0.01


@pytest.mark.parametrize("colour", ["#12345", "nocolour", (0.9, 0.9, 0.9), (float("inf"), 0, 0), (1, 2), (0, 0, 256)])
def test_what_is_no_colour(colour: Any) -> None:
    with pytest.raises(SurfacesError, match="expected a colour such as '#8fa3ad' or 'teal', got "):
        parse_colour(colour)


def test_nothing_to_paint() -> None:
    photo = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    painted = recolour(photo, np.zeros((30, 40), bool), BLUE_GREY)
    np.testing.assert_array_equal(painted, photo)
    assert painted is not photo


def test_a_black_surface_becomes_no_noise() -> None:
    photo = np.random.default_rng(0).integers(0, 4, (60, 60, 3), np.uint8)
    painted = recolour(photo, np.ones((60, 60), bool), (255, 255, 255))
    assert painted.max() < 100


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 40), st.integers(1, 40))
def test_its_own_colour_changes_nothing(seed: int, height: int, width: int) -> None:
    generator = np.random.default_rng(seed)
    photo = generator.integers(60, 200, (height, width, 3), np.uint8)
    mask = generator.random((height, width)) < 0.7
    mask[0, 0] = True
    own = to_srgb(median_colour(photo, mask))
    assert np.abs(recolour(photo, mask, tuple(int(level) for level in own)).astype(int) - photo).max() <= 1
