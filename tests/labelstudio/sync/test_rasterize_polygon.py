from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from labelstudio.sync.regions import rasterize_polygon
from tests.labelstudio.sync.drawn_labels import mask_of


def filled(points: list[tuple[float, float]], height: int = 4, width: int = 5) -> np.ndarray:
    return rasterize_polygon(np.array(points, np.float64), height, width)


def test_pixels_are_inside_if_their_centres_are() -> None:
    square = [(1.4, 0.6), (3.6, 0.6), (3.6, 2.4), (1.4, 2.4)]
    assert np.array_equal(filled(square), mask_of(".....", ".xxx.", ".....", "....."))
    assert np.array_equal(filled(square[::-1]), mask_of(".....", ".xxx.", ".....", "....."))


def test_neighbours_share_no_pixel() -> None:
    left, right = [(0, 0), (2.5, 0), (2.5, 4), (0, 4)], [(2.5, 0), (5, 0), (5, 4), (2.5, 4)]
    assert np.array_equal(filled(left) ^ filled(right), np.ones((4, 5), bool))


def test_a_triangle() -> None:
    assert np.array_equal(filled([(0, 0), (4, 4), (0, 4)]), mask_of(".....", "x....", "xx...", "xxx.."))


def test_polygons_are_clipped_to_the_photo() -> None:
    assert filled([(-50, -60), (90, -60), (90, 70), (-50, 70)]).all()
    assert np.array_equal(filled([(3, -9), (99, -9), (99, 2), (3, 2)]), mask_of("...xx", "...xx", ".....", "....."))
    assert not filled([(-9, -9), (-1, -9), (-1, -1)]).any()


def test_a_crossing_outline_is_filled_as_a_canvas_fills_it() -> None:
    bow_tie = filled([(0, 0), (5, 4), (5, 0), (0, 4)])
    assert np.array_equal(bow_tie, mask_of("x...x", "xx.xx", "xx.xx", "x...x"))
    star = filled([(3.5, 0), (5.6, 6.5), (0.1, 2.5), (6.9, 2.5), (1.4, 6.5)], 7, 7)
    assert star[3, 3], "canvas fills the inside of a star, the even-odd rule would not"
    twice = [(0, 0), (5, 0), (5, 4), (0, 4)] * 2
    assert filled(twice).all()


def test_lines_and_points_have_no_pixels() -> None:
    assert not filled([(0, 1.5), (5, 1.5), (2, 1.5)]).any()
    assert not filled([(2.5, 2.5)] * 3).any()


@given(st.lists(st.tuples(st.floats(-9, 19), st.floats(-9, 19)), min_size=3, max_size=9), st.integers(0, 8))
@settings(deadline=None)
def test_where_it_begins_does_not_matter(points: list[tuple[float, float]], turn: int) -> None:
    turn %= len(points)
    assert np.array_equal(filled(points, 11, 13), filled(points[turn:] + points[:turn], 11, 13))
