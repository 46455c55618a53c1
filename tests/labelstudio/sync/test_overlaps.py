from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from labelstudio.sync.overlaps import Region, settle
from tests.labelstudio.sync.drawn_labels import drawing_of, mask_of

WALL = Region("wall", "wall", mask_of("xxxx.."))
FLOOR = Region("floor", "floor", mask_of("....xx"))
TABLE = Region("dining-table-1", "dining table", mask_of("..xx.."))


def settled(regions: list[Region], predicted: list[Region]) -> str:
    return drawing_of(settle(regions, predicted, (1, 6)))[0]


def drawn_by_hand(label: str, row: str, id: str = "by hand") -> Region:
    return Region(id, label, mask_of(row))


@pytest.mark.parametrize("label", ["floor", "dining table", "unsure"])
@pytest.mark.parametrize("order", [1, -1])
def test_what_is_painted_over_a_prediction_wins(label: str, order: int) -> None:
    painted = drawn_by_hand(label, "..xx..")
    letter = {"floor": "f", "dining table": "1", "unsure": "?"}[label]
    assert settled([WALL, painted][::order], [WALL]) == f"ww{letter}{letter}.."


def test_wall_painted_over_a_predicted_table_wins() -> None:
    assert settled([TABLE, drawn_by_hand("wall", "xxx...")], [TABLE]) == "www1.."


def test_wall_painted_over_predicted_unsure_wins() -> None:
    ignore_mask = drawn_by_hand("unsure", "..xxx.", "unsure")
    assert settled([ignore_mask, drawn_by_hand("wall", "xxx...")], [ignore_mask]) == "www??."


def test_a_region_that_grew_wins_where_it_grew() -> None:
    grown = Region("floor", "floor", mask_of("...xxx"))
    assert settled([WALL, grown], [WALL, FLOOR]) == "wwwfff"


def test_tables_win_over_wall_and_floor_that_were_drawn_as_well() -> None:
    table = drawn_by_hand("dining table", ".xxxx.")
    assert settled([WALL, FLOOR, table], []) == "w1111f"
    assert settled([table, FLOOR, WALL], []) == "w1111f"


def test_wall_and_floor_drawn_over_each_other_are_unsure() -> None:
    assert settled([WALL, drawn_by_hand("floor", "..xxxx")], []) == "ww??ff"


def test_unsure_wins_where_all_is_drawn_anew() -> None:
    ignore_mask = drawn_by_hand("unsure", ".xxxx.")
    assert settled([WALL, TABLE, FLOOR, ignore_mask], []) == "w????f"


def test_overlaps_that_were_predicted_follow_the_same_rule() -> None:
    regions = [WALL, TABLE, drawn_by_hand("floor", "x...xx", "floor")]
    assert settled(regions, regions) == "?w11ff"


def test_walls_are_one_and_tables_are_apart() -> None:
    regions = [
        drawn_by_hand("wall", "x....."),
        drawn_by_hand("wall", ".x...."),
        drawn_by_hand("dining table", "..xx.."),
        drawn_by_hand("dining table", "....xx"),
    ]
    assert settled(regions, []) == "ww1122"


def test_the_earlier_table_has_what_several_claim() -> None:
    regions = [drawn_by_hand("dining table", "xxxx.."), drawn_by_hand("dining table", "..xxxx")]
    assert settled(regions, []) == "111122"
    assert settled(regions[::-1], []) == "221111"


def test_a_table_drawn_over_a_predicted_one_has_its_pixels() -> None:
    whole = Region("dining-table-1", "dining table", mask_of("xxxxxx"))
    assert settled([whole, drawn_by_hand("dining table", "...xxx")], [whole]) == "111222"


def test_a_relabelled_region_was_added_to_its_new_class() -> None:
    relabelled = Region("wall", "floor", WALL.mask)
    assert settled([relabelled, TABLE], [WALL, TABLE]) == "ffff.."


def test_a_region_below_another_leaves_nothing() -> None:
    hidden = settle([WALL, drawn_by_hand("floor", "xxxx..")], [WALL], (1, 6))
    assert [segment.detection.surface.name for segment in hidden.segments] == ["floor"]


def test_nothing_is_other() -> None:
    labels = settle([], [WALL, FLOOR], (1, 6))
    assert labels.segments == ()
    assert not labels.ignore_mask.any()


@given(
    st.lists(
        st.tuples(st.sampled_from(["wall", "floor", "dining table", "unsure"]), arrays(np.bool_, (3, 4))), max_size=6
    ),
    st.booleans(),
)
@settings(deadline=None)
def test_whatever_is_drawn_every_pixel_has_one_meaning(drawn: list[tuple[str, np.ndarray]], guided: bool) -> None:
    regions = [Region(str(number), label, mask) for number, (label, mask) in enumerate(drawn)]
    labels = settle(regions, regions[::2] if guided else [], (3, 4))
    covered = "".join(drawing_of(labels)).replace(".", "")
    claimed = np.zeros((3, 4), bool)
    for region in regions:
        claimed |= region.mask
    assert len(covered) == np.count_nonzero(claimed)
    assert all(segment.detection.score == 1 for segment in labels.segments)
    for segment in labels.segments:
        claim = [region.mask for region in regions if region.label == segment.detection.surface.name]
        assert not (segment.detection.mask & ~np.logical_or.reduce(claim)).any()
