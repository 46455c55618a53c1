"""Specks, pinholes, implausible places and sizes: every rule on and off, for any teacher."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from autolabel.rules.masks import PINHOLE_SHARE, SPECK_SHARE
from surfaces.classes import DINING_TABLE, FLOOR, WALL
from surfaces.detections import Mask
from surfaces.masks import components as regions
from surfaces.masks.components import cleaned, filled, small_parts
from tests.autolabel.scenes import (
    FLOOR_MASK,
    SIZE_HW,
    WALL_MASK,
    check,
    floor,
    labelled,
    labelled_semantic,
    masks_of,
    rectangle,
    semantic_of,
    table,
    wall,
)

SPECK = rectangle((10, 200, 16, 206))
PINHOLE = rectangle((50, 50, 52, 52))
WINDOW = rectangle((80, 40, 90, 50))
AREA = SIZE_HW[0] * SIZE_HW[1]


def test_specks_are_ignored() -> None:
    assert SPECK.sum() < SPECK_SHARE * AREA
    check(labelled(wall(WALL_MASK | SPECK)), wall=WALL_MASK, ignored=SPECK)
    check(labelled(wall(WALL_MASK | SPECK), without=["specks"]), wall=WALL_MASK | SPECK)
    labels = labelled(wall(WALL_MASK | SPECK, 0.9), floor(), without=["wall_or_floor"])
    check(labels, wall=WALL_MASK, floor=FLOOR_MASK)


def test_pinholes_are_filled_and_real_holes_stay() -> None:
    assert PINHOLE.sum() < PINHOLE_SHARE * AREA < WINDOW.sum()
    found = wall(WALL_MASK & ~PINHOLE & ~WINDOW)
    check(labelled(found), wall=WALL_MASK & ~WINDOW)
    check(labelled(found, without=["pinholes"]), wall=WALL_MASK & ~PINHOLE & ~WINDOW)


def test_semantic_predictions_are_cleaned_too() -> None:
    holed, rest = WALL_MASK & ~PINHOLE & ~WINDOW | SPECK, FLOOR_MASK & ~SPECK
    semantic = semantic_of({WALL: holed, FLOOR: rest})
    check(labelled_semantic(semantic), wall=WALL_MASK & ~WINDOW, floor=rest, ignored=SPECK)
    check(labelled_semantic(semantic, without=["specks", "pinholes"]), wall=holed, floor=rest)


def test_floor_that_touches_the_upper_edge_is_ignored() -> None:
    ceiling, beneath = rectangle((0, 0, 320, 30)), rectangle((0, 30, 320, 140))
    found = wall(beneath), floor(FLOOR_MASK | ceiling)
    semantic = semantic_of({WALL: beneath, FLOOR: FLOOR_MASK | ceiling})
    for labels in (labelled(*found), labelled_semantic(semantic)):
        check(labels, wall=beneath, floor=FLOOR_MASK, ignored=ceiling)
    check(labelled(*found, without=["ceiling_as_floor"]), wall=beneath, floor=FLOOR_MASK | ceiling)
    steep = rectangle((100, 0, 320, 240))  # seen from above
    check(labelled(floor(steep)), floor=steep)


@pytest.mark.parametrize("mask", [rectangle((100, 100, 110, 114)), rectangle((0, 0, 320, 180))])
def test_a_table_beyond_its_limits_is_ignored(mask: Mask) -> None:
    check(labelled(table(mask)), ignored=mask)
    check(labelled(table(mask), without=["area_limits"]), table=mask)
    assert masks_of(labelled_semantic(semantic_of({DINING_TABLE: mask})), DINING_TABLE) == []


def test_ignored_pixels_do_not_count_for_the_limits() -> None:
    mask, disputed = rectangle((100, 100, 113, 113)), rectangle((100, 100, 103, 110))
    check(labelled_semantic(semantic_of({DINING_TABLE: mask})), table=mask)
    check(labelled_semantic(semantic_of({DINING_TABLE: mask}, disagreement=disputed)), ignored=mask)


def test_limits_of_stuff_apply_to_all_of_it() -> None:
    """Each part is smaller than the least wall, both together are not."""
    parts = rectangle((0, 0, 14, 14)), rectangle((100, 0, 114, 14))
    check(labelled(*map(wall, parts)), wall=parts[0] | parts[1])
    assert masks_of(labelled(wall(parts[0])), WALL) == []
    assert masks_of(labelled(wall(rectangle((0, 0, 320, 238)))), WALL) == []


def test_holes_at_the_border_are_not_filled() -> None:
    mask = np.ones((60, 60), bool)
    mask[0, 10] = mask[30, 30] = False
    assert np.argwhere(~filled(mask, 0.01)).tolist() == [[0, 10]]


def test_clean_masks_are_not_copied() -> None:
    assert cleaned(WALL_MASK, SPECK_SHARE) is WALL_MASK
    assert filled(WALL_MASK, PINHOLE_SHARE) is WALL_MASK


masks = arrays.arrays(bool, st.tuples(st.integers(1, 24), st.integers(1, 24)), fill=st.nothing()).filter(np.any)


@given(masks, st.floats(0, 0.2))
def test_cleaning_only_removes_and_filling_only_adds(mask: Mask, share: float) -> None:
    left = cleaned(mask, share)
    assert not (left & ~mask).any()
    assert not left.any() or cleaned(left, share) is left
    assert not (mask & ~filled(mask, share)).any()
    border = np.ones_like(mask)
    border[1:-1, 1:-1] = False
    assert not ((filled(mask, share) ^ mask) & border).any()


@settings(max_examples=50)
@given(masks, st.integers(1, 60), st.integers(2, 3))
def test_large_masks_are_parted_in_cells(mask: Mask, least: int, cell: int) -> None:
    """Each part in cells is a union of true parts; no part of `least` pixels is small."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(regions, "PARTED_CELLS", max(1, mask.size // cell**2))
        coarse = small_parts(mask, least)
    assert not (coarse & ~small_parts(mask, least)).any()


def test_large_masks_lose_the_same_specks_as_small_ones() -> None:
    large = np.kron(WALL_MASK | SPECK, np.ones((9, 9), bool))
    assert large.size > 4 * regions.PARTED_CELLS
    assert np.array_equal(cleaned(large, SPECK_SHARE), np.kron(WALL_MASK, np.ones((9, 9), bool)))
    holed = np.kron(WALL_MASK & ~PINHOLE & ~WINDOW, np.ones((9, 9), bool))
    assert np.array_equal(filled(holed, PINHOLE_SHARE), np.kron(WALL_MASK & ~WINDOW, np.ones((9, 9), bool)))
