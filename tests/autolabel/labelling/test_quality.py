"""Quality scores: the formula, and that it falls when a measure falls."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from autolabel.labelling.quality import geometric_mean, photo_quality, segment_quality
from surfaces.classes import DINING_TABLE, FLOOR, WALL, SurfaceClass
from surfaces.detections import Detection, box_of_mask
from surfaces.store.records import ScoredSegment

MASK = np.ones((2, 2), bool)
NAMES = ("detector", "predicted_iou", "stability", "agreement")

shares = st.floats(0, 1)
quality_scores = st.dictionaries(st.sampled_from(NAMES), shares, min_size=1)


def segment(surface: SurfaceClass = WALL, score: float = 0.5, **measures: float) -> ScoredSegment:
    return ScoredSegment(Detection(surface, score, box_of_mask(MASK), MASK), measures)


def ignored(quarters: int) -> np.ndarray:
    return np.arange(4).reshape(2, 2) < quarters


def test_a_segments_quality_is_the_geometric_mean_of_its_measures() -> None:
    assert segment_quality(segment(detector=0.4, predicted_iou=0.9)) == pytest.approx(0.6)
    assert segment_quality(segment(detector=0.4)) == pytest.approx(0.4)
    assert segment_quality(segment(score=0.7)) == pytest.approx(0.7)


def test_a_photos_score_is_the_geometric_mean_of_the_worst_segment_and_the_photos_measures() -> None:
    segments = segment(detector=0.9), segment(FLOOR, detector=0.8), segment(DINING_TABLE, detector=0.5)
    found = photo_quality(segments, ignored(1), {"flips": 0.6, "backends": 0.9})
    assert found == {
        "score": pytest.approx((0.5 * 0.75 * 0.6 * 0.9) ** (1 / 4)),
        "worst_segment": 0.5,
        "sure_share": 0.75,
        "flips": 0.6,
        "backends": 0.9,
    }


def test_unknown_measures_are_left_out() -> None:
    found = photo_quality([segment(detector=0.5)], ignored(0), {})
    assert found == {"score": pytest.approx(0.5**0.5), "worst_segment": 0.5, "sure_share": 1.0}


def test_a_photo_without_segments_or_all_ignored_scores_0() -> None:
    assert photo_quality([], ignored(0), {"flips": 1.0})["score"] == 0
    assert photo_quality([segment(detector=1.0)], ignored(4), {})["score"] == 0


@given(st.lists(shares, min_size=1))
def test_the_geometric_mean_is_between_least_and_most(values: list[float]) -> None:
    mean = geometric_mean(values)
    assert min(values) * (1 - 1e-9) <= mean <= max(values) * (1 + 1e-9)
    assert 0 <= mean <= 1


@given(st.lists(quality_scores, min_size=1, max_size=4), st.data(), shares, st.integers(0, 4), st.floats(0, 1))
def test_a_better_measure_never_lowers_a_score(
    measured: list[dict[str, float]], data: st.DataObject, flips: float, ignore_mask: int, better: float
) -> None:
    index = data.draw(st.integers(0, len(measured) - 1))
    name = data.draw(st.sampled_from(sorted(measured[index])))
    assume(better > measured[index][name])
    improved = [dict(one) for one in measured]
    improved[index][name] = better

    def score(one: list[dict[str, float]], agreed: float, quarters: int) -> float:
        segments = [segment(**measures) for measures in one]
        return photo_quality(segments, ignored(quarters), {"flips": agreed})["score"]

    before = score(measured, flips, ignore_mask)
    slack = 1e-12
    assert score(improved, flips, ignore_mask) >= before - slack
    assert score(measured, (flips + 1) / 2, ignore_mask) >= before - slack
    assert score(measured, flips, max(0, ignore_mask - 1)) >= before - slack
