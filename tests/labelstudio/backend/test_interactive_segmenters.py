"""Clicks and boxes on rendered rooms, with the shipped network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelstudio.backend.prompts import parse_prompts
from labelstudio.backend.segmenters import Point, RegionPrompt, StudentPhoto, StudentSegmenter, flood_fill
from labelstudio.errors import AnnotationError
from models import Segmenter
from surfaces.classes import CLASSES, DINING_TABLE, FLOOR, WALL, SurfaceClass
from surfaces.datasets import open_dataset
from surfaces.detections import Detection, Mask, box_of_mask
from surfaces.images.load import load_image
from tests.labelstudio.backend.clicks import box, click, iou

ROOMS = Path(__file__).parents[2] / "data" / "rooms"
SIZE = (60, 80)


@pytest.fixture(scope="module")
def segmenter() -> StudentSegmenter:
    return StudentSegmenter(Segmenter(threads=1))


@pytest.fixture(scope="module")
def room(segmenter: StudentSegmenter, room_path: Path) -> StudentPhoto:
    return segmenter.encode(load_image(str(room_path)))


@pytest.fixture(scope="module")
def labelled(segmenter: StudentSegmenter) -> list[tuple[StudentPhoto, Any]]:
    return [(segmenter.encode(sample.image()), sample.labels()) for sample in open_dataset(ROOMS)[::2]]


def segment(photo: StudentPhoto, surface: SurfaceClass) -> Mask:
    return next(found.mask for found in photo.segments if found.surface == surface)


def deepest(mask: Mask) -> Point:
    depth = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    row, column = np.unravel_index(depth.argmax(), depth.shape)
    return int(column), int(row)


def largest_part(mask: Mask) -> Mask:
    _, regions, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    part: Mask = regions == 1 + stats[1:, cv2.CC_STAT_AREA].argmax()
    return part


def proposed(photo: StudentPhoto, *args: Any, **kwargs: Any) -> Detection:
    found = photo.predict(RegionPrompt(*args, **kwargs))
    assert found is not None
    np.testing.assert_array_equal(found.box_xyxy, box_of_mask(found.mask))
    assert 0 <= found.score <= 1
    return found


@pytest.mark.parametrize("surface", CLASSES)
def test_a_point_selects_the_connected_region_or_all_of_a_table(room: StudentPhoto, surface: SurfaceClass) -> None:
    part = segment(room, surface) if surface.is_thing else largest_part(segment(room, surface))
    found = proposed(room, surface, points=(deepest(part),))
    assert found.surface == surface
    np.testing.assert_array_equal(found.mask, part)
    assert found.score > 0.8 or surface.is_thing


def test_two_points_select_both_regions(room: StudentPhoto) -> None:
    wall = segment(room, WALL)
    first = largest_part(wall)
    second = largest_part(wall & ~first)
    found = proposed(room, WALL, points=(deepest(first), deepest(second)))
    np.testing.assert_array_equal(found.mask, first | second)


def test_points_outside_the_students_segments_select_missing_area(
    labelled: list[tuple[StudentPhoto, Any]],
) -> None:
    gains = []
    for photo, labels in labelled:
        for surface in CLASSES:
            truth = labels.semantic == surface.coco_id
            known = np.any([found.mask for found in photo.segments if found.surface == surface] or [truth & False], 0)
            if (truth & ~known).mean() < 0.002:
                continue
            place = deepest(truth & ~known)
            found = proposed(photo, surface, points=(place,))
            assert found.mask[place[::-1]]
            assert not (found.mask & known).any()
            gains.append(iou(found.mask | known, truth) - iou(known, truth))
    assert len(gains) > 10
    assert np.mean(gains) > 0.02
    assert np.mean([gain > 0 for gain in gains]) > 0.75


def test_a_negative_point_removes_similar_area_but_not_the_positive_point(room: StudentPhoto) -> None:
    part = largest_part(segment(room, FLOOR))
    click = deepest(part)
    cv2.circle(covered := np.zeros(part.shape, np.uint8), click, 60, 1, -1)
    miss = deepest(part & (covered == 0))
    found = proposed(room, FLOOR, points=(click,), negative_points=(miss,))
    assert found.mask[click[::-1]]
    assert not found.mask[miss[::-1]]
    assert 0.2 * part.sum() < found.mask.sum() < part.sum()
    assert not (found.mask & ~part).any()


def test_negative_points_outside_the_region_change_nothing_and_alone_select_nothing(room: StudentPhoto) -> None:
    points = (deepest(segment(room, WALL)),)
    plain = proposed(room, WALL, points=points)
    missed = proposed(room, WALL, points=points, negative_points=(deepest(segment(room, FLOOR)),))
    np.testing.assert_array_equal(missed.mask, plain.mask)
    assert room.predict(RegionPrompt(WALL)) is None
    assert room.predict(RegionPrompt(WALL, negative_points=((5, 5),))) is None


@pytest.mark.parametrize("surface", [WALL, FLOOR])
def test_a_box_selects_the_students_segment_in_it(room: StudentPhoto, surface: SurfaceClass) -> None:
    mask = segment(room, surface)
    x, y = deepest(mask)
    left, top, right, bottom = x - 40, y - 25, x + 60, y + 25
    expected = np.zeros_like(mask)
    expected[top:bottom, left:right] = mask[top:bottom, left:right]
    found = proposed(room, surface, boxes_xyxy=((left, top, right, bottom),))
    np.testing.assert_array_equal(found.mask, expected)


def test_a_box_selects_stuff_also_where_the_student_finds_none(room: StudentPhoto) -> None:
    left, top, right, bottom = box_of_mask(segment(room, DINING_TABLE)).astype(int).tolist()
    middle = (left + right) // 2, (top + bottom) // 2
    inside = (middle[0] - 5, middle[1] - 3, middle[0] + 5, middle[1] + 3)
    assert not segment(room, WALL)[inside[1] : inside[3], inside[0] : inside[2]].any()
    found = proposed(room, WALL, boxes_xyxy=(inside,))
    assert (found.box_xyxy[:2] >= inside[:2]).all()
    assert (found.box_xyxy[2:] <= inside[2:]).all()


def test_tables_fill_their_boxes_as_well_as_the_students_own(labelled: list[tuple[StudentPhoto, Any]]) -> None:
    overlaps = []
    for photo, labels in labelled:
        for number in range(1, labels.tables.max() + 1):
            truth = labels.tables == number
            edges = tuple(box_of_mask(truth).astype(int).tolist())
            overlaps.append(iou(proposed(photo, DINING_TABLE, boxes_xyxy=(edges,)).mask, truth))
    assert len(overlaps) >= 6
    assert np.mean(overlaps) > 0.72


@pytest.mark.parametrize("shape", [(16, 16), (17, 300), (900, 40), (1, 1)])
def test_photos_of_odd_sizes_are_answered(segmenter: StudentSegmenter, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(3)
    photo = segmenter.encode(rng.integers(0, 256, (*shape, 3), np.uint8))
    corner = (shape[1] - 1, shape[0] - 1)
    for surface in CLASSES:
        assert proposed(photo, surface, points=(corner,)).mask[corner[::-1]]
        assert proposed(photo, surface, boxes_xyxy=((0, 0, shape[1], shape[0]),)).mask.shape == shape


def test_the_photo_itself_is_not_kept(segmenter: StudentSegmenter) -> None:
    photo = segmenter.encode(np.zeros((1200, 1600, 3), np.uint8))
    kept = [value.nbytes for value in vars(photo).values() if isinstance(value, np.ndarray)]
    assert 0 < sum(kept) < 2_000_000


@given(st.integers(0, 2**20 - 1), st.integers(0, 4), st.integers(0, 3))
def test_a_flood_is_the_connected_component(bits: int, column: int, row: int) -> None:
    region = np.array([bits >> place & 1 for place in range(20)], np.bool_).reshape(4, 5)
    region[row, column] = True
    _, numbers = cv2.connectedComponents(region.astype(np.uint8), connectivity=8)
    np.testing.assert_array_equal(flood_fill(region, (column, row)), numbers == numbers[row, column])


def test_a_flood_stops_at_other_colours() -> None:
    lab = np.full((4, 9, 3), 100, np.uint8)
    lab[:, 3:] = (119, 100, 100)
    lab[:, 6:] = (119, 111, 100)
    part = flood_fill(np.ones((4, 9), np.bool_), (0, 0), lab)
    assert part[:, :6].all()
    assert not part[:, 6:].any()


@pytest.mark.parametrize(
    ("drawn", "prompt"),
    [
        (click("wall", (79, 59), SIZE), RegionPrompt(WALL, points=((79, 59),))),
        (click("wall", (79.5, 59.5), SIZE), RegionPrompt(WALL, points=((79, 59),))),
        (click("floor", (0, 0), SIZE, positive=False), RegionPrompt(FLOOR, negative_points=((0, 0),))),
        (box("dining table", (8, 6, 40, 30), SIZE), RegionPrompt(DINING_TABLE, boxes_xyxy=((8, 6, 40, 30),))),
        (box("wall", (-5, -5, 100, 100), SIZE), RegionPrompt(WALL, boxes_xyxy=((0, 0, 80, 60),))),
        (box("wall", (8.4, 6.4, 9.2, 6.6), SIZE), RegionPrompt(WALL, boxes_xyxy=((8, 6, 10, 7),))),
    ],
)
def test_percentages_become_pixels(drawn: dict[str, Any], prompt: RegionPrompt) -> None:
    (found,) = parse_prompts([drawn], SIZE)
    assert vars(found) == vars(prompt)


def test_prompts_are_grouped_by_label() -> None:
    drawn = [
        click("wall", (1, 2), SIZE),
        click("floor", (3, 4), SIZE),
        click("wall", (5, 6), SIZE, positive=False),
        click("wall", (7, 8), SIZE),
        box("wall", (0, 0, 4, 4), SIZE),
    ]
    wall, floor = parse_prompts(drawn, SIZE)
    assert vars(wall) == vars(RegionPrompt(WALL, ((1, 2), (7, 8)), ((5, 6),), ((0, 0, 4, 4),)))
    assert vars(floor) == vars(RegionPrompt(FLOOR, ((3, 4),)))
    assert parse_prompts([], SIZE) == []


@given(st.integers(1, 5000), st.integers(1, 5000), st.data())
def test_each_pixel_is_hit(height: int, width: int, data: st.DataObject) -> None:
    point = (data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1)))
    (prompt,) = parse_prompts([click("wall", point, (height, width))], (height, width))
    assert prompt.points == (point,)
    right, bottom = (
        data.draw(st.integers(start + 1, side)) for start, side in zip(point, (width, height), strict=True)
    )
    (prompt,) = parse_prompts([box("wall", (*point, right, bottom), (height, width))], (height, width))
    assert prompt.boxes_xyxy == ((*point, right, bottom),)


TURNED = box("floor", (10, 10, 20, 20), SIZE)
TURNED["value"]["rotation"] = 12


def changed(**changes: Any) -> list[dict[str, Any]]:
    drawn = click("wall", (1, 2), SIZE)
    value = drawn["value"] | changes.pop("value", {})
    return [drawn | {"value": value} | changes]


@pytest.mark.parametrize(
    ("drawn", "words"),
    [
        ({"id": "a"}, "the clicks and boxes as a list, got dict"),
        ("clicks", "as a list, got str"),
        (["click"], "a click or a box with its value"),
        ([{"type": "keypointlabels"}], "a click or a box with its value"),
        (changed(type="brushlabels"), "keypointlabels or rectanglelabels, got 'brushlabels'"),
        (changed(type=None), "got None"),
        (changed(value={"keypointlabels": ["curtain"]}), "wall, floor, dining table, got 'curtain'"),
        (changed(value={"keypointlabels": ["unsure"]}), "got 'unsure'"),
        (changed(value={"keypointlabels": [["wall"]]}), "got ['wall']"),
        (changed(value={"keypointlabels": []}), "one label, got []"),
        (changed(value={"keypointlabels": ["wall", "floor"]}), "one label"),
        (changed(value={"keypointlabels": "wall"}), "one label"),
        (changed(value={"x": 120.5}), "a click on the photo, got one at 120.5 %"),
        (changed(value={"y": -0.001}), "a click on the photo"),
        (changed(value={"x": None}), "numbers as x, y, got [None"),
        (changed(value={"x": float("nan")}), "numbers as x, y"),
        (changed(value={"x": float("inf")}), "numbers as x, y"),
        (changed(value={"x": True}), "numbers as x, y"),
        (changed(value={"x": 10**400}), "numbers as x, y"),
        (changed(value={"x": "50"}), "numbers as x, y"),
        (changed(original_width=60, original_height=80), "clicks on a photo of 80x60 pixels, got them on one of 60x80"),
        ([box("wall", (5, 5, 5, 9), SIZE)], "a box on the photo"),
        ([box("wall", (90, 5, 95, 9), SIZE)], "a box on the photo"),
        ([box("wall", (9, 9, 5, 5), SIZE)], "a box on the photo"),
        ([TURNED], "an upright box"),
    ],
)
def test_invalid_prompts_are_rejected_in_one_line(drawn: Any, words: str) -> None:
    with pytest.raises(AnnotationError) as caught:
        parse_prompts(drawn, SIZE)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600
