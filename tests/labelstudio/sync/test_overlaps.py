from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from labelstudio.sync.overlaps import Region, resolve_overlaps
from tests.labelstudio.sync.drawn_labels import drawing_of, mask_of

WALL = Region("wall", "wall", mask_of("xxxx.."))
FLOOR = Region("floor", "floor", mask_of("....xx"))
TABLE = Region("dining-table-1", "dining table", mask_of("..xx.."))


def settled(regions: list[Region], predicted: list[Region]) -> str:
    return drawing_of(resolve_overlaps(regions, predicted, (1, 6)))[0]


def drawn_by_hand(label: str, row: str, id: str = "by hand") -> Region:
    return Region(id, label, mask_of(row))


GROWN_FLOOR = Region("floor", "floor", mask_of("...xxx"))
OVERLAPPING = [WALL, TABLE, drawn_by_hand("floor", "x...xx", "floor")]
LARGE_TABLE = Region("dining-table-1", "dining table", mask_of("xxxxxx"))
UNSURE = drawn_by_hand("unsure", "..xxx.", "unsure")
LEFT_TABLE, RIGHT_TABLE = drawn_by_hand("dining table", "xxxx.."), drawn_by_hand("dining table", "..xxxx")


@pytest.mark.parametrize(
    ("regions", "predicted", "expected"),
    [
        ([WALL, drawn_by_hand("floor", "..xx..")], [WALL], "wwff.."),
        ([WALL, drawn_by_hand("dining table", "..xx..")], [WALL], "ww11.."),
        ([WALL, drawn_by_hand("unsure", "..xx..")], [WALL], "ww??.."),
        ([TABLE, drawn_by_hand("wall", "xxx...")], [TABLE], "www1.."),
        ([UNSURE, drawn_by_hand("wall", "xxx...")], [UNSURE], "www??."),
        ([WALL, GROWN_FLOOR], [WALL, FLOOR], "wwwfff"),
        ([WALL, FLOOR, drawn_by_hand("dining table", ".xxxx.")], [], "w1111f"),
        ([WALL, TABLE, FLOOR, drawn_by_hand("unsure", ".xxxx.")], [], "w????f"),
        ([WALL, drawn_by_hand("floor", "..xxxx")], [], "ww??ff"),
        (OVERLAPPING, OVERLAPPING, "?w11ff"),
        ([Region("wall", "floor", WALL.mask), TABLE], [WALL, TABLE], "ffff.."),
        ([WALL, drawn_by_hand("floor", "xxxx..")], [WALL], "ffff.."),
        ([drawn_by_hand("wall", "x....."), drawn_by_hand("wall", ".x....")], [], "ww...."),
    ],
    ids=[
        *("floor over prediction", "table over prediction", "unsure over prediction", "wall over predicted table"),
        *("wall over predicted unsure", "grown region", "table before wall and floor", "unsure before all"),
        *("wall and floor", "overlaps that were predicted", "changed label", "hidden region", "two walls are one"),
    ],
)
@pytest.mark.parametrize("order", [1, -1])
def test_overlaps_of_classes(regions: list[Region], predicted: list[Region], expected: str, order: int) -> None:
    assert settled(regions[::order], predicted) == expected


@pytest.mark.parametrize(
    ("tables", "predicted", "expected"),
    [
        ([LEFT_TABLE, RIGHT_TABLE], [], "111122"),
        ([RIGHT_TABLE, LEFT_TABLE], [], "221111"),
        ([TABLE, drawn_by_hand("dining table", "....xx")], [], "..1122"),
        ([LARGE_TABLE, drawn_by_hand("dining table", "...xxx")], [LARGE_TABLE], "111222"),
    ],
    ids=["the earlier wins", "in the other order", "apart", "drawn over a predicted one"],
)
def test_overlaps_of_tables(tables: list[Region], predicted: list[Region], expected: str) -> None:
    assert settled(tables, predicted) == expected


def test_nothing_is_other() -> None:
    labels = resolve_overlaps([], [WALL, FLOOR], (1, 6))
    assert labels.segments == ()
    assert not labels.ignore_mask.any()


@given(
    st.lists(
        st.tuples(st.sampled_from(["wall", "floor", "dining table", "unsure"]), arrays(np.bool_, (3, 4))), max_size=6
    ),
    st.booleans(),
)
@settings(deadline=None)
def test_any_regions_give_every_pixel_one_class(drawn: list[tuple[str, np.ndarray]], guided: bool) -> None:
    regions = [Region(str(number), label, mask) for number, (label, mask) in enumerate(drawn)]
    labels = resolve_overlaps(regions, regions[::2] if guided else [], (3, 4))
    covered = "".join(drawing_of(labels)).replace(".", "")
    claimed = np.zeros((3, 4), bool)
    for region in regions:
        claimed |= region.mask
    assert len(covered) == np.count_nonzero(claimed)
    assert all(segment.detection.score == 1 for segment in labels.segments)
    for segment in labels.segments:
        claim = [region.mask for region in regions if region.label == segment.detection.surface.name]
        assert not (segment.detection.mask & ~np.logical_or.reduce(claim)).any()
