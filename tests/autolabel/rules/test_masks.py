"""Known errors of detectors and SAM, specks, pinholes, implausible places and sizes: every rule on and off."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from autolabel.labelling.class_config import default_class_config
from autolabel.rules.masks import PINHOLE_SHARE, SPECK_SHARE
from surfaces.classes import DINING_TABLE, FLOOR, WALL
from surfaces.detections import Mask
from surfaces.masks import components
from surfaces.masks.components import cleaned, filled, small_parts
from tests.autolabel.scenes import (
    FLOOR_MASK,
    NONE,
    SIZE_HW,
    TABLE_BOX,
    TABLE_MASK,
    WALL_MASK,
    check,
    floor,
    labelled,
    labelled_semantic,
    masks_of,
    negative,
    rectangle,
    semantic_of,
    table,
    wall,
)

WINDOW = rectangle((40, 30, 90, 90))
VASE = rectangle((140, 120, 160, 150))
TABLE_SETTINGS = default_class_config().classes[DINING_TABLE]


def test_a_table_wins_over_wall_and_floor() -> None:
    labels = labelled(wall(score=0.9), floor(score=0.9), table(score=0.6))
    check(labels, wall=WALL_MASK & ~TABLE_MASK, floor=FLOOR_MASK & ~TABLE_MASK, table=TABLE_MASK)


def test_windows_are_holes() -> None:
    found = wall(score=0.9), negative(WINDOW, 0.4)
    check(labelled(*found), wall=WALL_MASK & ~WINDOW)
    check(labelled(*found, without=["negative_regions"]), wall=WALL_MASK)
    check(labelled(wall(WALL_MASK & ~WINDOW)), wall=WALL_MASK & ~WINDOW)  # SAM left it out


def test_a_wall_as_large_as_a_curtain_keeps_or_loses_the_common_part_by_score() -> None:
    curtain = rectangle((0, 0, 300, 140))
    check(labelled(wall(score=0.8), negative(curtain, 0.5)), wall=WALL_MASK)
    check(labelled(wall(score=0.5), negative(curtain, 0.8)), wall=WALL_MASK & ~curtain)  # and is no part of its box


def test_a_desk_is_no_table() -> None:
    desk = negative(rectangle((105, 122, 200, 200)), 0.7)
    check(labelled(table(score=0.6), desk))
    check(labelled(table(score=0.6), desk, without=["negative_regions"]), table=TABLE_MASK)
    check(labelled(table(score=0.8), desk), table=TABLE_MASK)


def test_a_rug_under_the_table_does_not_cut_it_and_a_vase_on_it_does() -> None:
    vase = rectangle((140, 130, 160, 150))
    check(labelled(table(), negative(rectangle((20, 110, 300, 240)), 0.9)), table=TABLE_MASK)
    check(labelled(table(), negative(vase, 0.9)), table=TABLE_MASK & ~vase)
    check(labelled(table(), negative(vase, 0.5)), table=TABLE_MASK)


def test_a_table_ends_near_its_box() -> None:
    leaking = rectangle((100, 40, 200, 200))
    found = table(leaking, box=TABLE_BOX)
    check(labelled(found), table=rectangle((100, 112, 200, 200)))
    check(labelled(found, without=["outside_box"]), table=leaking)


def test_pixels_that_a_wall_shares_with_a_table_mostly_inside_it_are_ignored() -> None:
    leak = rectangle((100, 60, 200, 165))  # 80 of 105 rows are wall
    found = wall(score=0.8), table(leak, 0.6)
    check(labelled(*found), wall=WALL_MASK & ~leak, table=leak & ~WALL_MASK, ignored=leak & WALL_MASK)
    check(labelled(*found, without=["table_leaks"]), wall=WALL_MASK & ~leak, table=leak)


def test_a_table_inside_a_floor_or_before_a_wall_of_lower_score_is_no_leak() -> None:
    inside, before = rectangle((100, 150, 200, 200)), rectangle((100, 60, 200, 150))
    check(labelled(floor(score=0.9), table(inside, 0.6)), floor=FLOOR_MASK & ~inside, table=inside)
    check(labelled(wall(score=0.5), table(before, 0.6)), wall=WALL_MASK & ~before, table=before)


def test_duplicates_of_a_table_are_dropped() -> None:
    twice = table(score=0.8), table(rectangle((104, 124, 204, 204)), 0.7)
    assert len(masks_of(labelled(*twice), DINING_TABLE)) == 1
    assert len(masks_of(labelled(*twice, without=["duplicate_tables", "specks", "part_of_box"]), DINING_TABLE)) == 2


def test_tables_that_overlap_a_little_are_two_and_the_better_has_the_common_part() -> None:
    left, right = rectangle((40, 120, 140, 200)), rectangle((120, 120, 220, 200))
    best, second = masks_of(labelled(table(left, 0.6), table(right, 0.9)), DINING_TABLE)
    assert np.array_equal(best, right)
    assert np.array_equal(second, left & ~right)


def test_the_box_of_a_part_is_ignored() -> None:
    found = floor(), table(VASE, 0.8, TABLE_BOX)
    check(labelled(*found), floor=FLOOR_MASK & ~TABLE_MASK, ignored=TABLE_MASK)
    check(labelled(*found, without=["part_of_box"]), floor=FLOOR_MASK & ~VASE, table=VASE)
    check(labelled(table(VASE, 0.1, TABLE_BOX)))  # below `unsure`


def test_the_box_of_a_part_of_a_wall_is_ignored_outside_other_classes() -> None:
    corner = wall(rectangle((0, 0, 60, 60)), 0.8, (0, 0, 320, 200))
    labels = labelled(corner, floor(), table())
    check(labels, floor=FLOOR_MASK & ~TABLE_MASK, table=TABLE_MASK, ignored=WALL_MASK & ~TABLE_MASK)


@pytest.mark.parametrize(("right", "is_part"), [(145, True), (155, False)])
def test_a_mask_of_half_the_box_is_a_part(right: int, is_part: bool) -> None:
    part = rectangle((100, 120, right, 200))
    check(labelled(table(part, 0.8, TABLE_BOX)), table=part & (not is_part), ignored=TABLE_MASK & is_part)


def test_a_table_with_thin_legs_is_no_part() -> None:
    legs = TABLE_MASK & ~rectangle((104, 130, 196, 200))
    check(labelled(table(legs)), table=legs)


ACCEPT, UNSURE = TABLE_SETTINGS.accept, TABLE_SETTINGS.unsure


@pytest.mark.parametrize(
    ("score", "is_label", "is_ignored"),
    [(ACCEPT, True, False), (ACCEPT - 0.01, False, True), (UNSURE, False, True), (UNSURE - 0.01, False, False)],
)
def test_pixels_of_low_scores_are_ignored_and_very_low_scores_dropped(
    score: float, is_label: bool, is_ignored: bool
) -> None:
    others = TABLE_MASK & (is_label or is_ignored)
    regions = {"wall": WALL_MASK & ~others, "floor": FLOOR_MASK & ~others}
    labels = labelled(wall(), floor(), table(score=score))
    check(labels, **regions, table=TABLE_MASK & is_label, ignored=TABLE_MASK & is_ignored)
    check(labelled(table(score=score), without=["low_scores"]), table=TABLE_MASK)


def test_a_wall_of_low_score_is_ignored_outside_other_classes() -> None:
    labels = labelled(wall(rectangle((0, 0, 320, 200)), 0.3), floor(), table())
    check(labels, floor=FLOOR_MASK & ~TABLE_MASK, table=TABLE_MASK, ignored=WALL_MASK & ~TABLE_MASK)


def test_pixels_of_both_wall_and_floor_are_ignored() -> None:
    reaching_down = rectangle((0, 0, 320, 160))
    found = wall(reaching_down, 0.9), floor(score=0.6), table()
    both = reaching_down & FLOOR_MASK & ~TABLE_MASK
    rest = {"floor": FLOOR_MASK & ~reaching_down & ~TABLE_MASK, "table": TABLE_MASK}
    check(labelled(*found), wall=WALL_MASK & ~TABLE_MASK, **rest, ignored=both)
    check(labelled(*found, without=["wall_or_floor"]), wall=reaching_down & ~TABLE_MASK, **rest)


def test_a_region_around_the_other_leaked() -> None:
    around_floor = rectangle((0, 0, 320, 225))
    for wall_score, floor_score in ((0.9, 0.5), (0.5, 0.9)):
        labels = labelled(wall(around_floor, wall_score), floor(score=floor_score))
        check(labels, wall=WALL_MASK, floor=FLOOR_MASK)
    small_wall = rectangle((0, 60, 320, 120))
    labels = labelled(wall(small_wall), floor(rectangle((0, 60, 320, 240))))
    check(labels, wall=small_wall, floor=rectangle((0, 120, 320, 240)))


def test_instances_of_a_wall_are_one_segment_with_mean_scores() -> None:
    left, right = rectangle((0, 0, 100, 140)), rectangle((180, 0, 320, 140))
    (segment,) = labelled(wall(left, 0.9), wall(right, 0.5)).segments
    assert np.array_equal(segment.detection.mask, left | right)
    assert segment.detection.score == pytest.approx((0.9 * 100 + 0.5 * 140) / 240)
    assert segment.quality_scores == {"detector": pytest.approx(segment.detection.score)}


def test_without_instances_there_are_no_segments() -> None:
    for labels in (labelled(), labelled(wall(NONE))):
        check(labels)
        assert labels.segments == ()
        assert labels.quality_scores["score"] == 0


SPECK = rectangle((10, 200, 16, 206))
PINHOLE = rectangle((50, 50, 52, 52))
SOCKET = rectangle((80, 40, 90, 50))
AREA = SIZE_HW[0] * SIZE_HW[1]


def test_specks_are_ignored() -> None:
    assert SPECK.sum() < SPECK_SHARE * AREA
    check(labelled(wall(WALL_MASK | SPECK)), wall=WALL_MASK, ignored=SPECK)
    check(labelled(wall(WALL_MASK | SPECK), without=["specks"]), wall=WALL_MASK | SPECK)
    labels = labelled(wall(WALL_MASK | SPECK, 0.9), floor(), without=["wall_or_floor"])
    check(labels, wall=WALL_MASK, floor=FLOOR_MASK)


def test_pinholes_are_filled_and_real_holes_stay() -> None:
    assert PINHOLE.sum() < PINHOLE_SHARE * AREA < SOCKET.sum()
    found = wall(WALL_MASK & ~PINHOLE & ~SOCKET)
    check(labelled(found), wall=WALL_MASK & ~SOCKET)
    check(labelled(found, without=["pinholes"]), wall=WALL_MASK & ~PINHOLE & ~SOCKET)


def test_semantic_predictions_are_cleaned_too() -> None:
    holed, rest = WALL_MASK & ~PINHOLE & ~SOCKET | SPECK, FLOOR_MASK & ~SPECK
    semantic = semantic_of({WALL: holed, FLOOR: rest})
    check(labelled_semantic(semantic), wall=WALL_MASK & ~SOCKET, floor=rest, ignored=SPECK)
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
        patch.setattr(components, "PARTED_CELLS", max(1, mask.size // cell**2))
        coarse = small_parts(mask, least)
    assert not (coarse & ~small_parts(mask, least)).any()


def test_large_masks_lose_the_same_specks_as_small_ones() -> None:
    large = np.kron(WALL_MASK | SPECK, np.ones((9, 9), bool))
    assert large.size > 4 * components.PARTED_CELLS
    assert np.array_equal(cleaned(large, SPECK_SHARE), np.kron(WALL_MASK, np.ones((9, 9), bool)))
    holed = np.kron(WALL_MASK & ~PINHOLE & ~SOCKET, np.ones((9, 9), bool))
    assert np.array_equal(filled(holed, PINHOLE_SHARE), np.kron(WALL_MASK & ~SOCKET, np.ones((9, 9), bool)))
