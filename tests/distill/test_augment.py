"""Random views and what cameras and the web do to photos."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from distill.training.augment import (
    REFERENCE_SIDE,
    ROTATION_DEGREES,
    SCALE,
    STRETCH,
    jpeg,
    photographic_jitter,
    soften,
    view_maps,
)
from surfaces.datasets import open_dataset

CROP = 128


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def rooms(request: pytest.FixtureRequest) -> Tensor:
    """Two rooms, float (2, 3, 64, 96)."""
    photos = [sample.image() for sample in open_dataset(request.path.parents[1] / "data" / "rooms")[:2]]
    small = np.stack([cv2.resize(photo, (96, 64), interpolation=cv2.INTER_AREA) for photo in photos])
    return torch.from_numpy(small).permute(0, 3, 1, 2).float()


def centres(maps: Tensor) -> Tensor:
    """Where the views' middles lie in the photos, (B, 2) x and y."""
    return maps @ torch.tensor([CROP / 2, CROP / 2, 1])


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**31), st.lists(st.tuples(st.integers(20, 3000), st.integers(20, 3000)), min_size=1, max_size=9))
def test_views_are_within_their_bounds(seed: int, sizes: list[tuple[int, int]]) -> None:
    maps = view_maps(torch.tensor(sizes), CROP, generator(seed))
    assert maps.shape == (len(sizes), 2, 3)
    across, down = maps[:, :, 0], maps[:, :, 1]
    step_x, step_y = across.norm(dim=1), down.norm(dim=1)
    height, width = torch.tensor(sizes).float().unbind(1)
    zoom = (height * width).sqrt() / REFERENCE_SIDE / (step_x * step_y).sqrt()
    assert (zoom > SCALE[0] * 0.999).all()
    assert (zoom < SCALE[1] * 1.001).all()
    stretch = step_x / step_y
    assert (stretch.log().abs() <= math.log(STRETCH) * 1.001).all()
    angle = torch.rad2deg(torch.atan2(-down[:, 0], down[:, 1]))
    assert (angle.abs() <= ROTATION_DEGREES * 1.001).all()
    torch.testing.assert_close(
        (across * down).sum(dim=1) / (step_x * step_y), torch.zeros(len(sizes)), atol=1e-4, rtol=0
    )
    for middle, photo, view in zip(centres(maps).T, (width, height), (CROP * step_x, CROP * step_y), strict=True):
        assert ((middle - photo / 2).abs() <= (photo - view).abs() / 2 + 1e-2).all()


def test_views_are_spread_over_their_bounds() -> None:
    maps = view_maps(torch.tensor([[480, 640]]).expand(2000, 2), CROP, generator())
    area = torch.det(maps[:, :, :2])
    assert 0.45 < (area < 0).float().mean() < 0.55
    zoom = math.sqrt(480 * 640) / REFERENCE_SIDE / area.abs().sqrt()
    assert zoom.min() < 0.52
    assert zoom.max() > 1.9
    assert zoom.log().mean().abs() < 0.05
    for middle, side in zip(centres(maps).T, (640, 480), strict=True):
        assert abs(middle.mean() - side / 2) < 0.03 * side
        assert middle.std() > 0.1 * side


def test_the_same_chance_gives_the_same_views_and_colours(rooms: Tensor) -> None:
    sizes = torch.tensor([[480, 640], [300, 200]])
    assert torch.equal(view_maps(sizes, CROP, generator(4)), view_maps(sizes, CROP, generator(4)))
    assert not torch.equal(view_maps(sizes, CROP, generator(4)), view_maps(sizes, CROP, generator(5)))
    assert torch.equal(photographic_jitter(rooms, 1, generator(4)), photographic_jitter(rooms, 1, generator(4)))
    assert not torch.equal(photographic_jitter(rooms, 1, generator(4)), photographic_jitter(rooms, 1, generator(5)))


def test_no_jitter_changes_nothing(rooms: Tensor) -> None:
    assert torch.equal(photographic_jitter(rooms, 0, generator()), rooms)


def test_hardly_any_jitter_is_a_good_jpeg(rooms: Tensor) -> None:
    assert (photographic_jitter(rooms, 1e-4, generator()) - rooms).abs().mean() < 3


def test_jitter_is_strong_for_some_photos_and_weak_for_others(rooms: Tensor) -> None:
    many = rooms[:1].expand(60, 3, 64, 96)
    out = photographic_jitter(many, 1, generator())
    assert out.shape == many.shape
    assert out.min() >= 0
    assert out.max() <= 255
    change = (out - many).abs().mean(dim=(1, 2, 3))
    assert change.min() < 8
    assert change.max() > 40


def test_jpeg_of_fine_steps_is_the_photo(rooms: Tensor) -> None:
    torch.testing.assert_close(jpeg(rooms, torch.full((2,), 1e-3)), rooms, atol=0.05, rtol=0)


def test_jpeg_of_coarse_steps_loses_more(rooms: Tensor) -> None:
    losses = [(jpeg(rooms, torch.full((2,), step)) - rooms).abs().mean().item() for step in (1.0, 8.0, 30.0)]
    assert 0.1 < losses[0] < losses[1] < losses[2] < 20


def test_jpeg_of_coarse_steps_looks_like_jpeg(rooms: Tensor) -> None:
    """The losses have the size that a JPEG file's have, and lie in the fine detail as there."""
    photo = rooms[0].permute(1, 2, 0).numpy().astype(np.uint8)
    _, encoded = cv2.imencode(".jpg", photo[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 30])
    file = cv2.imdecode(encoded, cv2.IMREAD_COLOR)[:, :, ::-1].astype(np.float32)
    ours = jpeg(rooms[:1], torch.tensor([25.0]))[0].permute(1, 2, 0).numpy()
    assert np.abs(ours - photo).mean() == pytest.approx(np.abs(file - photo).mean(), rel=0.6)
    for blurred in (file, ours):
        assert np.abs(cv2.blur(blurred - photo, (8, 8))).mean() < 0.5 * np.abs(blurred - photo).mean()


def test_steps_are_each_photos_own(rooms: Tensor) -> None:
    mixed = jpeg(rooms, torch.tensor([1e-3, 40.0]))
    torch.testing.assert_close(mixed[0], rooms[0], atol=0.05, rtol=0)
    assert torch.equal(mixed[1], jpeg(rooms[1:], torch.tensor([40.0]))[0])


def test_softening_is_a_binomial_blur(rooms: Tensor) -> None:
    assert torch.equal(soften(rooms, torch.zeros(2, 1, 1, 1)), rooms)
    photo = rooms[0].permute(1, 2, 0).numpy()
    kernel = np.array([1, 4, 6, 4, 1], np.float32) / 16
    expected = cv2.sepFilter2D(photo, -1, kernel, kernel, borderType=cv2.BORDER_REPLICATE)
    got = soften(rooms, torch.ones(2, 1, 1, 1))[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(got, expected, atol=1e-3)
    half = soften(rooms, torch.full((2, 1, 1, 1), 0.5))[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(half, (photo + expected) / 2, atol=1e-3)
