"""Labels of photos of which it is known that a class is absent, or present."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest

from autolabel.labelling.labeller import LabellingSettings, label_prediction
from models.teachers.base import Prediction
from surfaces.classes import DINING_TABLE, FLOOR, OTHER, WALL
from surfaces.datasets.sample import LabelScope
from surfaces.store.records import ScoredLabels
from tests.autolabel.scenes import (
    FLOOR_MASK,
    SIZE_HW,
    TABLE_MASK,
    WALL_MASK,
    floor,
    labelled,
    semantic_of,
    table,
    wall,
)

_TABLE = frozenset({DINING_TABLE.coco_id})
_ABSENT, _PRESENT = LabelScope(absent=_TABLE), LabelScope(present=_TABLE)


def _labelled(prediction: Prediction, scope: LabelScope, without: Iterable[str] = ()) -> ScoredLabels:
    return label_prediction(prediction, SIZE_HW, LabellingSettings(without=frozenset(without)), scope)


def _instances(score: float) -> Prediction:
    return Prediction((wall(), floor(), table(score=score)))


@pytest.mark.parametrize("score", [0.3, 0.65])
def test_what_is_absent_is_no_label(score: float) -> None:
    labels = _labelled(_instances(score), _ABSENT)
    expected = labelled(wall(), floor())
    assert np.array_equal(labels.labels().semantic, expected.labels().semantic)
    assert (labels.quality_scores["image_labels"], labels.labels().scope) == (1.0, _ABSENT)
    assert labels.quality_scores["score"] >= expected.quality_scores["score"]


def test_what_is_absent_and_certain_is_ignored_and_scores_low() -> None:
    labels = _labelled(_instances(0.75), _ABSENT)
    assert (labels.ignore_mask >= TABLE_MASK).all()
    assert DINING_TABLE not in {segment.detection.surface for segment in labels.segments}
    assert labels.quality_scores["score"] < 0.7 * labelled(wall(), floor()).quality_scores["score"]


def test_the_probability_of_what_is_absent_is_that_of_other() -> None:
    regions = {WALL: WALL_MASK, FLOOR: FLOOR_MASK & ~TABLE_MASK, DINING_TABLE: TABLE_MASK & ~WALL_MASK}
    for probability, certain in ((0.8, False), (0.95, True)):
        labels = _labelled(Prediction(semantic=semantic_of(regions, probability)), _ABSENT)
        assert labels.soft_labels is not None
        of_table = labels.soft_labels[:, regions[DINING_TABLE]].mean(axis=1)
        inside = labels.labels().semantic[regions[DINING_TABLE]]
        if certain:
            assert of_table[3] > 240
            assert (inside == 255).mean() > 0.95
        else:
            assert (of_table[3], round(of_table[0])) == (0, 221)  # 255 x (.8 + .2 / 3)
            assert (inside == OTHER).mean() > 0.95


def test_the_rule_can_be_left_out() -> None:
    labels = _labelled(_instances(0.95), _ABSENT, ["absent_classes"])
    assert (labels.labels().semantic[TABLE_MASK] == DINING_TABLE.coco_id).all()
    assert labels.labels().scope == LabelScope()  # no dataset may say that a class is labelled and absent
    assert labels.quality_scores["image_labels"] < 1


def test_what_is_present_and_not_found_is_unlabelled_and_scores_low() -> None:
    found, lost = _labelled(_instances(0.8), _PRESENT), _labelled(Prediction((wall(), floor())), _PRESENT)
    assert (found.labels().scope, found.quality_scores["image_labels"]) == (_PRESENT, 1.0)
    assert lost.labels().scope == LabelScope(unlabelled=_TABLE, present=_TABLE)
    assert lost.quality_scores["score"] < 0.7 * found.quality_scores["score"]


def test_nothing_known_changes_nothing() -> None:
    labels = _labelled(_instances(0.95), LabelScope())
    assert "image_labels" not in labels.quality_scores
    assert np.array_equal(labels.labels().semantic, labelled(wall(), floor(), table(score=0.95)).labels().semantic)
