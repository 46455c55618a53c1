"""What is known to go wrong with masks that a detector and SAM proposed: every rule on and off."""

from __future__ import annotations

import numpy as np
import pytest

from autolabel.labelling.class_config import default_class_config
from surfaces.classes import DINING_TABLE, FLOOR, WALL
from tests.autolabel.scenes import (
    FLOOR_MASK,
    SIZE_HW,
    TABLE_BOX,
    TABLE_MASK,
    WALL_MASK,
    check_invariants,
    floor,
    labelled,
    mask_of,
    masks_of,
    negative,
    rectangle,
    table,
    wall,
)

WINDOW = rectangle((40, 30, 90, 90))
TABLE_LIMITS = default_class_config().classes[DINING_TABLE]


def test_a_table_wins_over_wall_and_floor() -> None:
    labels = labelled(wall(score=0.9), floor(score=0.9), table(score=0.6))
    assert np.array_equal(mask_of(labels, DINING_TABLE), TABLE_MASK)
    assert np.array_equal(mask_of(labels, WALL), WALL_MASK & ~TABLE_MASK)
    assert np.array_equal(mask_of(labels, FLOOR), FLOOR_MASK & ~TABLE_MASK)
    assert not labels.ignore_mask.any()


def test_a_window_of_a_negative_prompt_is_a_hole() -> None:
    found = wall(score=0.9), negative(WINDOW, 0.4)
    assert np.array_equal(mask_of(labelled(*found), WALL), WALL_MASK & ~WINDOW)
    assert np.array_equal(mask_of(labelled(*found, without=["negative_regions"]), WALL), WALL_MASK)


def test_a_window_that_sam_left_out_stays_a_hole() -> None:
    holed = WALL_MASK & ~WINDOW
    labels = labelled(wall(holed))
    assert np.array_equal(mask_of(labels, WALL), holed)
    assert not labels.ignore_mask.any()


def test_a_wall_as_large_as_a_curtain_keeps_or_loses_the_common_part_by_score() -> None:
    curtain = rectangle((0, 0, 300, 140))
    assert np.array_equal(mask_of(labelled(wall(score=0.8), negative(curtain, 0.5)), WALL), WALL_MASK)
    assert np.array_equal(mask_of(labelled(wall(score=0.5), negative(curtain, 0.8)), WALL), WALL_MASK & ~curtain)


def test_a_desk_is_no_table() -> None:
    desk = negative(rectangle((105, 122, 200, 200)), 0.7)
    assert masks_of(labelled(table(score=0.6), desk), DINING_TABLE) == []
    assert len(masks_of(labelled(table(score=0.6), desk, without=["negative_regions"]), DINING_TABLE)) == 1
    assert np.array_equal(mask_of(labelled(table(score=0.8), desk), DINING_TABLE), TABLE_MASK)


def test_a_rug_under_the_table_does_not_cut_it_and_a_vase_on_it_does() -> None:
    rug = negative(rectangle((20, 110, 300, 240)), 0.9)
    vase = rectangle((140, 130, 160, 150))
    assert np.array_equal(mask_of(labelled(table(), rug), DINING_TABLE), TABLE_MASK)
    assert np.array_equal(mask_of(labelled(table(), negative(vase, 0.9)), DINING_TABLE), TABLE_MASK & ~vase)
    assert np.array_equal(mask_of(labelled(table(), negative(vase, 0.5)), DINING_TABLE), TABLE_MASK)


def test_a_table_ends_near_its_box() -> None:
    leaking = rectangle((100, 40, 200, 200))
    found = table(leaking, box=TABLE_BOX)
    assert np.array_equal(mask_of(labelled(found), DINING_TABLE), rectangle((100, 112, 200, 200)))
    assert np.array_equal(mask_of(labelled(found, without=["outside_box"]), DINING_TABLE), leaking)


def test_what_a_table_that_is_mostly_wall_shares_with_it_is_unsure() -> None:
    leak = rectangle((100, 60, 200, 165))  # 80 of 105 rows are wall
    found = wall(score=0.8), table(leak, 0.6)
    labels = labelled(*found)
    assert np.array_equal(labels.ignore_mask, leak & WALL_MASK)
    assert np.array_equal(mask_of(labels, WALL), WALL_MASK & ~leak)
    assert np.array_equal(mask_of(labels, DINING_TABLE), leak & ~WALL_MASK)
    off = labelled(*found, without=["table_leaks"])
    assert np.array_equal(mask_of(off, DINING_TABLE), leak)


def test_a_table_on_a_floor_that_was_drawn_through_it_stays() -> None:
    inside = rectangle((100, 150, 200, 200))
    labels = labelled(floor(score=0.9), table(inside, 0.6))
    assert np.array_equal(mask_of(labels, DINING_TABLE), inside)
    assert np.array_equal(mask_of(labels, FLOOR), FLOOR_MASK & ~inside)


def test_a_table_before_a_doubtful_wall_is_no_leak() -> None:
    before = rectangle((100, 60, 200, 150))
    assert np.array_equal(mask_of(labelled(wall(score=0.5), table(before, 0.6)), DINING_TABLE), before)


def test_one_table_found_twice_is_one() -> None:
    twice = table(score=0.8), table(rectangle((104, 124, 204, 204)), 0.7)
    assert len(masks_of(labelled(*twice), DINING_TABLE)) == 1
    assert len(masks_of(labelled(*twice, without=["duplicate_tables", "specks", "part_of_box"]), DINING_TABLE)) == 2


def test_tables_that_overlap_a_little_are_two_and_the_better_has_the_common_part() -> None:
    left, right = rectangle((40, 120, 140, 200)), rectangle((120, 120, 220, 200))
    best, second = masks_of(labelled(table(left, 0.6), table(right, 0.9)), DINING_TABLE)
    assert np.array_equal(best, right)
    assert np.array_equal(second, left & ~right)


def test_a_part_that_sam_picked_makes_the_whole_box_unsure() -> None:
    vase = rectangle((140, 120, 160, 150))
    found = floor(), table(vase, 0.8, TABLE_BOX)
    labels = labelled(*found)
    assert masks_of(labels, DINING_TABLE) == []
    assert np.array_equal(labels.ignore_mask, TABLE_MASK)
    assert np.array_equal(mask_of(labels, FLOOR), FLOOR_MASK & ~TABLE_MASK)
    assert np.array_equal(mask_of(labelled(*found, without=["part_of_box"]), DINING_TABLE), vase)


def test_a_part_of_a_wall_makes_its_box_unsure_but_for_what_others_have() -> None:
    corner = rectangle((0, 0, 60, 60))
    labels = labelled(wall(corner, 0.8, (0, 0, 320, 200)), floor(), table())
    assert masks_of(labels, WALL) == []
    assert np.array_equal(labels.ignore_mask, WALL_MASK & ~TABLE_MASK)


@pytest.mark.parametrize(("right", "is_part"), [(145, True), (155, False)])
def test_a_part_that_fills_a_box_of_its_own_is_a_part(right: int, is_part: bool) -> None:
    part = rectangle((100, 120, right, 200))
    labels = labelled(table(part, 0.8, TABLE_BOX))
    assert np.array_equal(labels.ignore_mask, TABLE_MASK & is_part)
    assert np.array_equal(mask_of(labels, DINING_TABLE), part & (not is_part))


def test_a_part_that_scores_next_to_nothing_is_dropped() -> None:
    assert not labelled(table(rectangle((140, 120, 160, 150)), 0.1, TABLE_BOX)).ignore_mask.any()


def test_a_wall_behind_a_curtain_is_no_part() -> None:
    """What a negative prompt covers does not count against the mask that SAM drew."""
    curtain = rectangle((0, 0, 310, 140))
    labels = labelled(wall(score=0.5), negative(curtain, 0.8))
    assert np.array_equal(mask_of(labels, WALL), WALL_MASK & ~curtain)
    assert not labels.ignore_mask.any()


def test_a_table_with_much_air_between_its_legs_is_whole() -> None:
    legs = TABLE_MASK & ~rectangle((104, 130, 196, 200))
    assert np.array_equal(mask_of(labelled(table(legs)), DINING_TABLE), legs)


@pytest.mark.parametrize(
    ("score", "is_label", "is_unsure"),
    [
        (TABLE_LIMITS.accept, True, False),
        (TABLE_LIMITS.accept - 0.01, False, True),
        (TABLE_LIMITS.unsure, False, True),
        (TABLE_LIMITS.unsure - 0.01, False, False),
    ],
)
def test_low_scores_are_unsure_and_very_low_ones_are_dropped(score: float, is_label: bool, is_unsure: bool) -> None:
    labels = labelled(wall(), floor(), table(score=score))
    assert np.array_equal(mask_of(labels, DINING_TABLE), TABLE_MASK & is_label)
    assert np.array_equal(labels.ignore_mask, TABLE_MASK & is_unsure)
    assert len(masks_of(labelled(table(score=score), without=["low_scores"]), DINING_TABLE)) == 1


def test_a_doubtful_wall_is_unsure_only_where_nothing_else_is() -> None:
    labels = labelled(wall(rectangle((0, 0, 320, 200)), 0.3), floor(), table())
    assert np.array_equal(labels.ignore_mask, WALL_MASK & ~TABLE_MASK)
    assert np.array_equal(mask_of(labels, FLOOR), FLOOR_MASK & ~TABLE_MASK)


def test_what_wall_and_floor_both_claim_is_unsure() -> None:
    reaching_down = rectangle((0, 0, 320, 160))
    found = wall(reaching_down, 0.9), floor(score=0.6), table()
    labels = labelled(*found)
    assert np.array_equal(labels.ignore_mask, reaching_down & FLOOR_MASK & ~TABLE_MASK)
    off = labelled(*found, without=["wall_or_floor"])
    assert not off.ignore_mask.any()
    assert np.array_equal(mask_of(off, WALL), reaching_down & ~TABLE_MASK)


@pytest.mark.parametrize(("wall_score", "floor_score"), [(0.9, 0.5), (0.5, 0.9)])
def test_a_wall_that_swallows_the_floor_leaked(wall_score: float, floor_score: float) -> None:
    labels = labelled(wall(rectangle((0, 0, 320, 225)), wall_score), floor(score=floor_score))
    assert np.array_equal(mask_of(labels, FLOOR), FLOOR_MASK)
    assert np.array_equal(mask_of(labels, WALL), WALL_MASK)
    assert not labels.ignore_mask.any()


def test_a_floor_that_swallows_the_wall_leaked() -> None:
    small_wall = rectangle((0, 60, 320, 120))
    labels = labelled(wall(small_wall), floor(rectangle((0, 60, 320, 240))))
    assert np.array_equal(mask_of(labels, WALL), small_wall)
    assert np.array_equal(mask_of(labels, FLOOR), rectangle((0, 120, 320, 240)))


def test_proposals_of_a_wall_are_one_segment_with_mean_scores() -> None:
    left, right = rectangle((0, 0, 100, 140)), rectangle((180, 0, 320, 140))
    first, second = wall(left, 0.9), wall(right, 0.5)
    (segment,) = labelled(first, second).segments
    assert np.array_equal(segment.detection.mask, left | right)
    assert segment.detection.score == pytest.approx((0.9 * 100 + 0.5 * 140) / 240)
    assert segment.quality_scores == {"detector": pytest.approx(segment.detection.score)}


def test_nothing_proposed_is_nothing_found() -> None:
    for labels in (labelled(), labelled(wall(np.zeros(SIZE_HW, bool)))):
        check_invariants(labels)
        assert labels.segments == ()
        assert not labels.ignore_mask.any()
        assert labels.quality_scores["score"] == 0
