from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.teachers.base import ChosenBox, Prompt
from models.teachers.sam.prompts import SamPrompt, SamSettings, hull, overlapping_groups, stuff_prompt, thing_prompt
from surfaces.classes import DINING_TABLE, FLOOR, WALL, SurfaceClass

SETTINGS = SamSettings()
SIZE_HW = (600, 800)


def box(surface: SurfaceClass | None, *xyxy: float, score: float = 0.5) -> ChosenBox:
    return ChosenBox(Prompt(surface.name if surface else "window", surface), score, np.array(xyxy, np.float32))


def prompts_for(surface: SurfaceClass, *chosen: ChosenBox, settings: SamSettings = SETTINGS) -> list[SamPrompt]:
    groups = overlapping_groups([b for b in chosen if b.prompt.surface == surface])
    return [stuff_prompt(group, chosen, SIZE_HW, settings) for group in groups]


def points(prompt: SamPrompt) -> tuple[list[list[float]], list[list[float]]]:
    return prompt.points_xy[prompt.inside].tolist(), prompt.points_xy[~prompt.inside].tolist()


def is_in(point: list[float], covered: ChosenBox) -> bool:
    (x, y), (left, top, right, bottom) = point, covered.box_xyxy
    return bool(left <= x + 0.5 < right and top <= y + 0.5 < bottom)


def test_a_thing_is_prompted_by_its_box_alone() -> None:
    table = box(DINING_TABLE, 1, 2, 30, 40)
    prompt = thing_prompt(table.box_xyxy)
    np.testing.assert_array_equal(prompt.box_xyxy, [1, 2, 30, 40])
    assert prompt.points_xy.shape == (0, 2)
    assert prompt.inside.shape == (0,)


def test_a_room_seen_from_the_front() -> None:
    wall, floor = box(WALL, 0, 0, 800, 600), box(FLOOR, 0, 400, 800, 600)
    window, table = box(None, 500, 100, 700, 300), box(DINING_TABLE, 200, 300, 500, 550)
    chosen = (wall, floor, window, table)

    (prompt,) = prompts_for(WALL, *chosen)
    inside, beside = points(prompt)
    assert len(inside) == SETTINGS.interior_points
    for point in inside:
        assert is_in(point, wall)
        assert not any(is_in(point, other) for other in (floor, window, table))
    assert len(beside) == 3
    assert sum(is_in(point, window) for point in beside) == 1

    (prompt,) = prompts_for(FLOOR, *chosen)
    np.testing.assert_array_equal(prompt.box_xyxy, floor.box_xyxy)
    inside, beside = points(prompt)
    assert inside
    assert all(is_in(point, floor) and not is_in(point, table) for point in inside)
    assert len(beside) == 1
    assert is_in(beside[0], table)
    assert is_in(beside[0], floor)


def test_a_wall_box_over_everything_does_not_take_the_floors_points() -> None:
    floor = box(FLOOR, 0, 400, 800, 600, score=0.3)
    (prompt,) = prompts_for(FLOOR, box(WALL, 0, 0, 800, 600, score=0.9), floor)
    inside, beside = points(prompt)
    assert len(inside) == SETTINGS.interior_points
    assert beside == []


def test_the_first_point_is_the_deepest_place() -> None:
    (prompt,) = prompts_for(WALL, box(WALL, 100, 100, 500, 400), settings=SamSettings(interior_points=1))
    inside, beside = points(prompt)
    assert beside == []
    # The middle line of the box, half its height from either end; cells are 6.25 pixels.
    assert inside[0][1] == pytest.approx(250, abs=7)
    assert 243 <= inside[0][0] <= 357


def test_points_keep_their_distance() -> None:
    (prompt,) = prompts_for(WALL, box(WALL, 0, 0, 800, 600))
    inside, _ = points(prompt)
    for i, one in enumerate(inside):
        assert all(np.hypot(*np.subtract(one, other)) > 100 for other in inside[:i])


def test_the_best_other_boxes_come_first() -> None:
    windows = [box(None, 50 + 100 * i, 50, 130 + 100 * i, 150, score=0.3 + 0.05 * i) for i in range(6)]
    (prompt,) = prompts_for(WALL, box(WALL, 0, 0, 800, 600), *windows, settings=SamSettings(negative_points=2))
    _, beside = points(prompt)
    assert [is_in(point, window) for point, window in zip(beside, [windows[5], windows[4]], strict=True)] == [True] * 2


def test_no_points_where_switched_off_or_in_slivers() -> None:
    settings = SamSettings(interior_points=0, negative_points=0)
    (off,) = prompts_for(WALL, box(WALL, 0, 0, 800, 600), box(None, 5, 5, 100, 100), settings=settings)
    (sliver,) = prompts_for(WALL, box(WALL, 0, 0, 800, 8), box(None, 0, 100, 800, 200))
    assert off.points_xy.shape == sliver.points_xy.shape == (0, 2)


def test_of_equal_boxes_the_better_owns_the_place() -> None:
    chosen = (box(WALL, 0, 0, 800, 600, score=0.4), box(FLOOR, 0, 0, 800, 600, score=0.6))
    (floor,) = prompts_for(FLOOR, *chosen)
    (wall,) = prompts_for(WALL, *chosen)
    assert len(points(floor)[0]) == SETTINGS.interior_points
    assert points(wall)[0] == []


def test_boxes_apart_are_prompted_apart() -> None:
    left, right = box(WALL, 0, 0, 300, 600), box(WALL, 500, 0, 800, 600)
    prompts = prompts_for(WALL, left, right)
    assert [prompt.box_xyxy.tolist() for prompt in prompts] == [left.box_xyxy.tolist(), right.box_xyxy.tolist()]
    for prompt, own in zip(prompts, (left, right), strict=True):
        assert all(is_in(point, own) for point in points(prompt)[0])


def test_groups_join_by_overlap() -> None:
    boxes = [box(WALL, 0, 0, 300, 600), box(WALL, 500, 0, 800, 600), box(WALL, 250, 0, 550, 100)]
    (group,) = overlapping_groups(boxes)
    assert {id(b) for b in group} == {id(b) for b in boxes}
    np.testing.assert_array_equal(hull(group), [0, 0, 800, 600])
    assert len(overlapping_groups([box(WALL, 0, 0, 300, 600), box(WALL, 300, 0, 800, 600)])) == 2


@st.composite
def rooms(draw: st.DrawFn) -> tuple[tuple[int, int], list[ChosenBox]]:
    height, width = draw(st.integers(1, 3000)), draw(st.integers(1, 3000))
    shares = st.integers(0, 4096).map(lambda part: part / 4096)  # an area of less than 1e-38 pixels is 0 in float32
    chosen = []
    for surface in draw(st.lists(st.sampled_from([WALL, FLOOR, DINING_TABLE, None]), min_size=1, max_size=12)):
        x, y = sorted([draw(shares), draw(shares)]), sorted([draw(shares), draw(shares)])
        xyxy = (x[0] * width, y[0] * height, x[1] * width, y[1] * height)
        chosen.append(box(surface, *xyxy, score=draw(st.floats(0.1, 1))))
    return (height, width), chosen


@given(rooms(), st.integers(0, 5), st.integers(0, 5))
def test_points_are_in_their_regions(
    room: tuple[tuple[int, int], list[ChosenBox]], interior_points: int, negative_points: int
) -> None:
    (height, width), chosen = room
    settings = SamSettings(interior_points=interior_points, negative_points=negative_points)
    for surface in (WALL, FLOOR):
        own = [b for b in chosen if b.prompt.surface == surface]
        others = [b for b in chosen if b.prompt.surface != surface]
        for group in overlapping_groups(own):
            prompt = stuff_prompt(group, chosen, (height, width), settings)
            inside, beside = points(prompt)
            assert prompt.points_xy.dtype == np.float32
            assert len(inside) <= interior_points
            assert len(beside) <= negative_points
            np.testing.assert_array_equal(prompt.points_xy, np.floor(prompt.points_xy))
            assert ((prompt.points_xy >= 0) & (prompt.points_xy < [width, height])).all()
            assert (prompt.points_xy >= prompt.box_xyxy[:2] - 1).all()
            assert (prompt.points_xy <= prompt.box_xyxy[2:]).all()
            for point in inside:
                covering = [b for b in chosen if is_in(point, b)]
                least = min(area(b) for b in covering)
                assert surface in [b.prompt.surface for b in covering if area(b) == least]
            for point in beside:
                assert any(is_in(point, b) for b in others)


@given(rooms())
def test_groups_are_apart_and_lose_no_box(room: tuple[tuple[int, int], list[ChosenBox]]) -> None:
    _, chosen = room
    groups = overlapping_groups(chosen)
    assert sorted(id(b) for group in groups for b in group) == sorted(id(b) for b in chosen)
    hulls = [hull(group) for group in groups]
    for i, one in enumerate(hulls):
        for other in hulls[:i]:
            assert (np.maximum(one[:2], other[:2]) >= np.minimum(one[2:], other[2:])).any()


def area(covering: ChosenBox) -> float:
    left, top, right, bottom = covering.box_xyxy
    return float((right - left) * (bottom - top))
