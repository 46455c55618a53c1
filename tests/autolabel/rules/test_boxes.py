"""The boxes for which masks are drawn, with every rule on and off."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from autolabel.labelling.class_config import default_class_config
from autolabel.rules.boxes import BOX_RULES, select_boxes
from surfaces.classes import BY_NAME, WALL
from tests.autolabel.scenes import FLOOR_BOX, SIZE_HW, TABLE_BOX, WALL_BOX, Box, chosen, found_boxes

WHOLE: Box = (2, 0, 320, 238)
NEAR_TABLE: Box = (102, 122, 200, 202)
TINY: Box = (0, 0, 10, 10)
ACCEPT = {name: default_class_config().classes[surface].accept for name, surface in BY_NAME.items()}


def test_low_scores_are_dropped_and_the_best_come_first() -> None:
    assert chosen() == []
    low = (WALL_BOX, {"wall": 0.24}), (TABLE_BOX, {"dining table": 0.26, "desk": 0.2})
    assert chosen(*low) == [("dining table", 0.26, TABLE_BOX)]
    found = chosen((WALL_BOX, {"wall": 0.4}), (TABLE_BOX, {"dining table": 0.5}), (FLOOR_BOX, {"floor": 0.6}))
    assert [text for text, _, _ in found] == ["floor", "dining table", "wall"]


def test_a_merged_phrase_belongs_to_the_class_that_leads() -> None:
    merged = (WALL_BOX, {"wall": 0.5, "floor": 0.4})
    assert chosen(merged) == [("wall", 0.5, WALL_BOX)]
    assert chosen(merged, without=["merged_phrases"]) == [("wall", 0.5, WALL_BOX), ("floor", 0.4, WALL_BOX)]
    # Without a leader it scores just below `accept`.
    merged = (WALL_BOX, {"wall": 0.52, "floor": 0.5})
    (box,) = select_boxes(found_boxes(merged), SIZE_HW, default_class_config())
    assert (box.prompt.surface, tuple(box.box_xyxy)) == (WALL, WALL_BOX)
    assert default_class_config().classes[WALL].unsure <= box.score < ACCEPT["wall"]
    assert np.float32(box.score) < np.float32(ACCEPT["wall"])


def test_a_contested_wall_is_dropped_beside_an_accepted_one() -> None:
    merged = (WHOLE, {"wall": 0.5, "floor": 0.5})
    assert chosen(merged, (WALL_BOX, {"wall": 0.6})) == [("wall", 0.6, WALL_BOX)]
    assert len(chosen(merged, (WALL_BOX, {"wall": 0.3}), without=["whole_image_boxes"])) == 2


def test_a_contested_desk_is_a_table_of_low_confidence() -> None:
    contested = (TABLE_BOX, {"desk": 0.62, "dining table": 0.6})
    found = chosen(contested, (FLOOR_BOX, {"floor": 0.5}))
    assert found == [("floor", 0.5, FLOOR_BOX), ("dining table", ACCEPT["dining table"], TABLE_BOX)]
    without = chosen(contested, without=["merged_phrases", "negative_boxes"])
    assert [(text, score) for text, score, _ in without] == [("desk", 0.62), ("dining table", 0.6)]


def test_two_negative_prompts_do_not_contest_a_box() -> None:
    assert chosen((TABLE_BOX, {"door": 0.5, "window": 0.5}))[0][0] == "door"
    assert len(chosen((TABLE_BOX, {"door": 0.5}), (TABLE_BOX, {"window": 0.5}))) == 1


def test_a_whole_image_wall_is_dropped_beside_an_accepted_one() -> None:
    found = (WHOLE, {"wall": 0.7}), (WALL_BOX, {"wall": 0.5}), (FLOOR_BOX, {"floor": 0.5})
    assert chosen(*found) == [("wall", 0.5, WALL_BOX), ("floor", 0.5, FLOOR_BOX)]
    assert chosen(*found, without=["whole_image_boxes"])[0] == ("wall", 0.7, WHOLE)
    for name in ("wall", "floor"):  # alone it has low confidence
        assert chosen((WHOLE, {name: 0.7})) == [(name, ACCEPT[name], WHOLE)]
        assert chosen((WHOLE, {name: 0.7}), without=["whole_image_boxes"]) == [(name, 0.7, WHOLE)]


def test_the_higher_score_of_table_and_desk_has_the_box() -> None:
    found = (TABLE_BOX, {"dining table": 0.5}), (NEAR_TABLE, {"desk": 0.6})
    assert chosen(*found) == [("desk", 0.6, NEAR_TABLE)]
    assert len(chosen(*found, without=["negative_boxes"])) == 2
    assert chosen((TABLE_BOX, {"dining table": 0.7}), found[1]) == [("dining table", 0.7, TABLE_BOX)]
    assert len(chosen(found[0], ((20, 120, 90, 200), {"desk": 0.9}))) == 2


def test_duplicates_of_a_table_are_dropped() -> None:
    found = (TABLE_BOX, {"dining table": 0.5}), (NEAR_TABLE, {"dining table": 0.6})
    assert chosen(*found) == [("dining table", 0.6, NEAR_TABLE)]
    assert len(chosen(*found, without=["same_class_boxes"])) == 2


def test_stuff_keeps_all_boxes_and_classes_do_not_suppress_each_other() -> None:
    near = [(0, 0, 300, 220), (0, 2, 302, 222), (2, 0, 300, 222)]
    found = chosen((near[0], {"wall": 0.6}), (near[1], {"floor": 0.5}), (near[2], {"dining table": 0.45}))
    assert [text for text, _, _ in found] == ["wall", "floor", "dining table"]
    assert len(chosen((WALL_BOX, {"wall": 0.6}), ((1, 0, 320, 139), {"wall": 0.5}))) == 2
    window = chosen((WALL_BOX, {"wall": 0.4}), ((0, 0, 318, 139), {"window": 0.9}))
    assert [text for text, _, _ in window] == ["window", "wall"]


def test_tiny_boxes_of_classes_are_dropped() -> None:
    assert chosen((TINY, {"dining table": 0.6})) == []
    assert len(chosen((TINY, {"dining table": 0.6}), without=["tiny_boxes"])) == 1
    assert len(chosen((TINY, {"window": 0.6}))) == 1


corners = st.tuples(st.integers(0, 300), st.integers(0, 220), st.integers(2, 320), st.integers(2, 240))
texts = st.sampled_from([prompt.text for prompt in default_class_config().prompts()])
detections = st.tuples(corners, st.dictionaries(texts, st.floats(0, 1, width=16), max_size=4))


@given(st.lists(detections, max_size=12), st.sets(st.sampled_from(sorted(BOX_RULES))))
def test_rules_only_choose_boxes_and_lower_scores(
    found: list[tuple[Box, dict[str, float]]], without: Iterable[str]
) -> None:
    found = [((x, y, max(x + 1, r), max(y + 1, b)), scores) for (x, y, r, b), scores in found]
    boxes = found_boxes(*found)
    result, again = (select_boxes(boxes, SIZE_HW, default_class_config(), frozenset(without)) for _ in range(2))
    assert [(b.prompt, b.score) for b in result] == [(b.prompt, b.score) for b in again]
    assert [b.score for b in result] == sorted((b.score for b in result), reverse=True)
    for box in result:
        corners_of_it = tuple(box.box_xyxy.tolist())
        assert any(corners_of_it == b and scores.get(box.prompt.text, -1) >= box.score for b, scores in found)
    if "merged_phrases" not in without:
        owners = {(tuple(b.box_xyxy.tolist()), b.prompt.surface) for b in result}
        assert len({box for box, _ in owners}) == len(owners)
