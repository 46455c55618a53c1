"""How far labels agree, and what several people's labels come to."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from labelstudio.sync.agreement import class_ious, majority_vote, mean_ious, pairwise_agreement, same_labels
from surfaces.classes import DINING_TABLE, FLOOR, IGNORE, OTHER, WALL
from surfaces.store.records import ScoredLabels
from tests.labelstudio.review_scenes import labels_of_masks

_VALUES = (OTHER, WALL.coco_id, FLOOR.coco_id, DINING_TABLE.coco_id, IGNORE)

label_maps = arrays(np.uint8, (5, 7), elements=st.sampled_from(_VALUES))


def of_map(semantic: np.ndarray) -> ScoredLabels:
    masks = [(surface.name, semantic == surface.coco_id) for surface in (WALL, FLOOR, DINING_TABLE)]
    return labels_of_masks(masks, semantic == IGNORE)


def of_row(text: str) -> ScoredLabels:
    """Labels of one row: w(all), f(loor), . other, ? unsure, digits for tables."""
    row = np.array([list(text)])
    masks = [("wall", row == "w"), ("floor", row == "f")]
    masks += [("dining table", row == digit) for digit in sorted({c for c in text if c.isdigit()})]
    return labels_of_masks(masks, row == "?")


def drawn(labels: ScoredLabels) -> str:
    """The row that `of_row` makes these labels of, tables numbered in their order."""
    maps = labels.labels()
    signs = {OTHER: ".", WALL.coco_id: "w", FLOOR.coco_id: "f", IGNORE: "?"}
    return "".join(
        str(table) if table else signs[value] for value, table in zip(maps.semantic[0], maps.tables[0], strict=True)
    )


@pytest.mark.parametrize("other", ["ww11..11", "ww11..2?", "ww12..22", "ww11..2.", "wf11..22", "ww11..23"])
def test_labels_that_differ_in_a_pixel_or_a_table_are_not_the_same(other: str) -> None:
    assert same_labels(of_row("ww11..22"), of_row("ww22..11")), "whatever the order of tables"
    assert not same_labels(of_row("ww11..22"), of_row(other))
    assert not same_labels(of_row(other), of_row("ww11..22"))


@given(label_maps, label_maps)
def test_maps_are_the_same_exactly_if_they_are_equal(one: np.ndarray, other: np.ndarray) -> None:
    assert same_labels(of_map(one), of_map(other)) == np.array_equal(one, other)
    assert same_labels(of_map(one), of_map(one))


def test_iou_is_reported_of_classes_that_are_there_and_leaves_unsure_pixels_out() -> None:
    assert class_ious(of_row("wwww...."), of_row("ww??....")) == {"wall": 1.0}
    assert class_ious(of_row("wwwwff.."), of_row("ww..ff..")) == {"wall": 0.5, "floor": 1.0}
    assert class_ious(of_row("........"), of_row("11......")) == {"dining table": 0.0}
    assert mean_ious([{"wall": 1.0}, {"wall": 0.5, "floor": 0.2}, {}]) == {"wall": 0.75, "floor": 0.2}
    assert pairwise_agreement([of_row("wwww")]) == {}
    assert pairwise_agreement([of_row("wwww"), of_row("ww..")]) == {"wall": 0.5}


def test_majority_vote_needs_more_than_half() -> None:
    three = [of_row("wwf.w?"), of_row("wffw.?"), of_row("wffff.")]
    assert drawn(majority_vote(three)) == "wff???"
    assert drawn(majority_vote([of_row("ww"), of_row("ww"), of_row("wf"), of_row("ff")])) == "w?"


def test_majority_vote_separates_tables_as_the_newest_labels() -> None:
    people = [of_row("111111.."), of_row("11.111.."), of_row("11.222..")]
    assert drawn(majority_vote(people)) == "11.222.."
    people = [of_row("11.222.."), of_row("11.222.."), of_row("........")]
    assert drawn(majority_vote(people)) == "11.222.."


@given(label_maps, label_maps)
def test_one_of_three_is_outvoted(most: np.ndarray, odd: np.ndarray) -> None:
    assert same_labels(majority_vote([of_map(most), of_map(odd), of_map(most)]), of_map(most))
