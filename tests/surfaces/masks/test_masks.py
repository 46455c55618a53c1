"""Masks as single polygons, and as RLE."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pycocotools import mask as coco

from surfaces.detections import Mask
from surfaces.masks.polygons import mask_of_polygon, polygon_of_mask
from surfaces.masks.rle import decode, encode


def filled(points: np.ndarray, shape: tuple[int, ...]) -> Mask:
    return cv2.fillPoly(np.zeros(shape, np.uint8), [points.astype(np.int32)], 1).astype(bool)


def bridges(points: np.ndarray, shape: tuple[int, ...]) -> Mask:
    """The edges that are walked there and back."""
    drawn = np.zeros(shape, np.uint8)
    ends = [(tuple(a), tuple(b)) for a, b in zip(points.tolist(), np.roll(points, -1, axis=0).tolist(), strict=True)]
    walked = set(ends)
    for start, end in walked:
        if (end, start) in walked:
            cv2.line(drawn, start, end, 1)
    return drawn.astype(bool)


@st.composite
def masks(draw: st.DrawFn) -> Mask:
    """Speckle, or blobs of 5x5 pixels."""
    shape = draw(st.tuples(st.integers(1, 14), st.integers(1, 14)))
    mask = draw(arrays.arrays(np.bool_, shape))
    mask[draw(st.integers(0, shape[0] - 1)), draw(st.integers(0, shape[1] - 1))] = True
    return mask.repeat(5, axis=0).repeat(5, axis=1) if draw(st.booleans()) else mask


@settings(max_examples=300, deadline=None)
@given(masks())
def test_polygon_is_the_mask_and_its_bridges(mask: Mask) -> None:
    points = polygon_of_mask(mask)
    assert points.shape[0] >= 3
    got = filled(points, mask.shape)
    assert not (mask & ~got).any()
    assert not (got & ~mask & ~bridges(points, mask.shape)).any()


def test_ring_around_a_dot() -> None:
    mask = np.zeros((60, 70), bool)
    mask[5:55, 5:65] = True
    mask[10:50, 10:60] = False
    mask[25:35, 30:40] = True
    points = polygon_of_mask(mask)
    got = filled(points, mask.shape)
    np.testing.assert_array_equal(got & ~bridges(points, mask.shape), mask & ~bridges(points, mask.shape))
    assert len(points) == 4 + 8 + 4 + 2 * 2


def test_bridges_are_shortest() -> None:
    mask = np.zeros((20, 100), bool)
    for left in (0, 80, 40, 20, 60):  # a chain of parts, 10 pixels apart
        mask[:, left : left + 11] = True
    points = polygon_of_mask(mask)
    assert len(points) == 5 * 4 + 4 * 2
    assert (filled(points, mask.shape) & ~mask).sum() == 4 * 9


def test_hundreds_of_parts() -> None:
    mask = np.zeros((1000, 1500), bool)
    mask[::40, ::40] = mask[1::40, ::40] = mask[::40, 1::40] = True
    points = polygon_of_mask(mask)
    assert filled(points, mask.shape)[mask].all()


@pytest.mark.parametrize("pixels", [[(0, 0)], [(2, 3), (2, 4)], [(0, 0), (5, 7)]])
def test_three_points_at_least(pixels: list[tuple[int, int]]) -> None:
    mask = np.zeros((6, 8), bool)
    for pixel in pixels:
        mask[pixel] = True
    points = polygon_of_mask(mask)
    assert len(points) >= 3
    assert filled(points, mask.shape)[mask].all()


def iou(one: Mask, other: Mask) -> float:
    return float((one & other).sum() / (one | other).sum())


@settings(max_examples=200, deadline=None)
@given(masks(), st.integers(3, 40))
def test_points_are_limited(mask: Mask, points_max: int) -> None:
    points = polygon_of_mask(mask, points_max)
    assert 3 <= len(points) <= points_max
    height, width = mask.shape
    assert ((points >= 0) & (points < (width, height))).all()


@st.composite
def detailed_masks(draw: st.DrawFn) -> Mask:
    """A wall of 600x900 pixels, cut out by the outlines of things and with things' holes: thousands of points."""
    drawn = np.zeros((600, 900), np.uint8)
    cv2.rectangle(drawn, (0, 0), (899, draw(st.integers(350, 599))), 1, -1)
    sizes, angles = st.tuples(st.integers(10, 60), st.integers(10, 60)), st.integers(0, 180)
    places = st.tuples(st.integers(0, 899), st.integers(0, 599))
    for place, size, angle in draw(st.lists(st.tuples(places, sizes, angles), min_size=3, max_size=12)):
        cv2.ellipse(drawn, place, size, angle, 0, 360, 0, -1)
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    for left, top in rng.integers(0, (890, 590), (draw(st.integers(0, 60)), 2)):  # specks
        drawn[top : top + 2, left : left + 2] ^= 1
    return drawn.astype(bool)


@settings(max_examples=40, deadline=None)
@given(detailed_masks())
def test_iou_of_simplified_masks(mask: Mask) -> None:
    points = polygon_of_mask(mask, 999)
    assert len(points) <= 999
    assert iou(mask, mask_of_polygon(points, (600, 900))) >= 0.99


def test_small_polygons_are_not_simplified() -> None:
    mask = np.zeros((60, 70), bool)
    mask[5:55, 5:65] = True
    np.testing.assert_array_equal(polygon_of_mask(mask, 4), polygon_of_mask(mask))


def test_noise_keeps_its_largest_part() -> None:
    mask = np.random.default_rng(0).random((200, 200)) < 0.5
    mask[50:150, 50:150] = True
    points = polygon_of_mask(mask, 100)
    assert len(points) <= 100
    assert mask_of_polygon(points, (200, 200))[60:140, 60:140].mean() > 0.9


@given(arrays.arrays(np.bool_, arrays.array_shapes(min_dims=2, max_dims=2, max_side=24)))
def test_round_trip_by_json(mask: np.ndarray) -> None:
    rle = json.loads(json.dumps(encode(mask)))
    assert decode(rle).dtype == np.bool_
    assert np.array_equal(decode(rle), mask)
    assert np.array_equal(coco.decode(rle), mask)
    assert coco.area(rle) == mask.sum()


def test_golden_encoding() -> None:
    mask = np.zeros((4, 3), bool)
    mask[1:3, 1] = True
    assert encode(mask) == {"size": [4, 3], "counts": "525"}
    assert np.array_equal(decode({"size": [4, 3], "counts": [5, 2, 5]}), mask)


def test_memory_order() -> None:
    mask = np.random.default_rng(0).random((31, 17)) > 0.5
    assert encode(np.asfortranarray(mask)) == encode(mask)
