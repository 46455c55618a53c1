"""How overlaps are resolved, how far labels agree, and what several people's labels come to."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from labelstudio.sync.agreement import class_ious, majority_vote, mean_ious, pairwise_agreement, same_labels
from labelstudio.sync.overlaps import Region, resolve_overlaps
from surfaces.store.records import ScoredLabels
from tests.labelstudio.sync.drawn_labels import drawing_of, drawn, labels_on, mask_of


def region(label: str, row: str, id: str = "by hand") -> Region:
    return Region(id, label, mask_of(row))


WALL = region("wall", "xxxx..", "wall")
FLOOR = region("floor", "....xx", "floor")
GROWN_FLOOR = region("floor", "...xxx", "floor")
TABLE = region("dining table", "..xx..", "dining-table-1")
LARGE_TABLE = region("dining table", "xxxxxx", "dining-table-1")
OVERLAPPING = [WALL, TABLE, region("floor", "x...xx", "floor")]
UNSURE = region("unsure", "..xxx.", "unsure")
LEFT_TABLE, RIGHT_TABLE = region("dining table", "xxxx.."), region("dining table", "..xxxx")


@pytest.mark.parametrize(
    ("regions", "predicted", "expected"),
    [
        ([WALL, region("floor", "..xx..")], [WALL], "wwff.."),
        ([WALL, region("dining table", "..xx..")], [WALL], "ww11.."),
        ([WALL, region("unsure", "..xx..")], [WALL], "ww??.."),
        ([TABLE, region("wall", "xxx...")], [TABLE], "www1.."),
        ([UNSURE, region("wall", "xxx...")], [UNSURE], "www??."),
        ([WALL, GROWN_FLOOR], [WALL, FLOOR], "wwwfff"),
        ([WALL, FLOOR, region("dining table", ".xxxx.")], [], "w1111f"),
        ([WALL, TABLE, FLOOR, region("unsure", ".xxxx.")], [], "w????f"),
        ([WALL, region("floor", "..xxxx")], [], "ww??ff"),
        (OVERLAPPING, OVERLAPPING, "?w11ff"),
        ([Region("wall", "floor", WALL.mask), TABLE], [WALL, TABLE], "ffff.."),
        ([WALL, region("floor", "xxxx..")], [WALL], "ffff.."),
        ([region("wall", "x....."), region("wall", ".x....")], [], "ww...."),
        ([], [WALL, FLOOR], "......"),
    ],
    ids=[
        *("floor over prediction", "table over prediction", "unsure over prediction", "wall over predicted table"),
        *("wall over predicted unsure", "grown region", "table before wall and floor", "unsure before all"),
        *("wall and floor", "overlaps that were predicted", "changed label", "hidden region", "two walls are one"),
        "nothing is other",
    ],
)
@pytest.mark.parametrize("order", [1, -1])
def test_overlaps_of_classes(regions: list[Region], predicted: list[Region], expected: str, order: int) -> None:
    assert drawing_of(resolve_overlaps(regions[::order], predicted, (1, 6))) == [expected]


@pytest.mark.parametrize(
    ("tables", "predicted", "expected"),
    [
        ([LEFT_TABLE, RIGHT_TABLE], [], "111122"),
        ([RIGHT_TABLE, LEFT_TABLE], [], "221111"),
        ([TABLE, region("dining table", "....xx")], [], "..1122"),
        ([LARGE_TABLE, region("dining table", "...xxx")], [LARGE_TABLE], "111222"),
    ],
    ids=["the earlier wins", "in the other order", "apart", "drawn over a predicted one"],
)
def test_overlaps_of_tables(tables: list[Region], predicted: list[Region], expected: str) -> None:
    assert drawing_of(resolve_overlaps(tables, predicted, (1, 6))) == [expected]


LABELS = st.sampled_from(["wall", "floor", "dining table", "unsure"])


@given(st.lists(st.tuples(LABELS, arrays(np.bool_, (3, 4))), max_size=6), st.booleans())
def test_any_regions_give_every_pixel_one_class(found: list[tuple[str, np.ndarray]], guided: bool) -> None:
    regions = [Region(str(number), label, mask) for number, (label, mask) in enumerate(found)]
    labels = resolve_overlaps(regions, regions[::2] if guided else [], (3, 4))
    covered = "".join(drawing_of(labels)).replace(".", "")
    claimed = np.any([np.zeros((3, 4), bool), *(each.mask for each in regions)], axis=0)
    assert len(covered) == np.count_nonzero(claimed)
    assert all(segment.detection.score == 1 for segment in labels.segments)
    for segment in labels.segments:
        claim = [each.mask for each in regions if each.label == segment.detection.surface.name]
        assert not (segment.detection.mask & ~np.logical_or.reduce(claim)).any()


@pytest.mark.parametrize("other", ["ww11..11", "ww11..2?", "ww12..22", "ww11..2.", "wf11..22", "ww11..23"])
def test_labels_that_differ_in_a_pixel_or_a_table_are_not_the_same(other: str) -> None:
    assert same_labels(drawn("ww11..22"), drawn("ww22..11")), "whatever the order of tables"
    assert not same_labels(drawn("ww11..22"), drawn(other))
    assert not same_labels(drawn(other), drawn("ww11..22"))


maps = arrays("<U1", (5, 7), elements=st.sampled_from(".wf1?"))


@given(maps, maps)
def test_maps_are_the_same_exactly_if_they_are_equal(one: np.ndarray, other: np.ndarray) -> None:
    assert same_labels(labels_on(one), labels_on(other)) == np.array_equal(one, other)
    assert same_labels(labels_on(one), labels_on(one))


def test_iou_is_reported_of_classes_that_are_there_and_leaves_unsure_pixels_out() -> None:
    assert class_ious(drawn("wwww...."), drawn("ww??....")) == {"wall": 1.0}
    assert class_ious(drawn("wwwwff.."), drawn("ww..ff..")) == {"wall": 0.5, "floor": 1.0}
    assert class_ious(drawn("........"), drawn("11......")) == {"dining table": 0.0}
    assert mean_ious([{"wall": 1.0}, {"wall": 0.5, "floor": 0.2}, {}]) == {"wall": 0.75, "floor": 0.2}
    assert pairwise_agreement([drawn("wwww")]) == {}
    assert pairwise_agreement([drawn("wwww"), drawn("ww..")]) == {"wall": 0.5}


@pytest.mark.parametrize(
    ("people", "expected"),
    [
        (["wwf.w?", "wffw.?", "wffff."], "wff???"),
        (["ww", "ww", "wf", "ff"], "w?"),
        (["111111..", "11.111..", "11.222.."], "11.222.."),
        (["11.222..", "11.222..", "........"], "11.222.."),
    ],
    ids=["more than half", "half is not enough", "tables as in the newest", "newest that has tables"],
)
def test_majority_vote(people: list[str], expected: str) -> None:
    assert drawing_of(majority_vote([drawn(row) for row in people])) == [expected]


@given(maps.map(labels_on), maps.map(labels_on))
def test_one_of_three_is_outvoted(most: ScoredLabels, odd: ScoredLabels) -> None:
    assert same_labels(majority_vote([most, odd, most]), most)
