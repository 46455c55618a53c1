"""From the predictions of both kinds of teachers to labels; the rules by name; quality scores."""

from __future__ import annotations

import re
import time
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autolabel.labelling.class_config import default_class_config
from autolabel.labelling.labeller import INSTANCE_RULES, RULES, SEMANTIC_RULES, LabellingSettings, label_prediction
from autolabel.labelling.quality import geometric_mean, photo_quality, segment_quality
from models.teachers.base import InstancePrediction, Prediction, SemanticPrediction
from surfaces.classes import CLASSES, DINING_TABLE, FLOOR, WALL, SurfaceClass
from surfaces.cli.settings_files import SettingsError
from surfaces.store.records import ScoredSegment
from tests.autolabel import label_stores
from tests.autolabel.corpora import ROOT
from tests.autolabel.scenes import (
    FLOOR_BOX,
    FLOOR_MASK,
    MASKS,
    SIZE_HW,
    TABLE_BOX,
    TABLE_MASK,
    WALL_BOX,
    WALL_MASK,
    check_invariants,
    floor,
    found_boxes,
    instance,
    labelled,
    negative,
    rectangle,
    semantic_of,
    table,
    wall,
)

FINGERPRINT = "0002972d54d010f41716f838ab722f9a9f63cdd9058a3e27d8a80f11746e0f8d"
"""Of the shipped class config and all rules, in version 0.1."""


def test_from_boxes_to_labels() -> None:
    boxes = found_boxes(
        (WALL_BOX, {"wall": 0.6, "floor": 0.3}),
        ((0, 0, 320, 240), {"wall": 0.5, "floor": 0.48}),
        (FLOOR_BOX, {"floor": 0.5}),
        (TABLE_BOX, {"dining table": 0.5, "desk": 0.3}),
        ((98, 120, 200, 202), {"dining table": 0.45}),
        ((40, 30, 90, 90), {"window": 0.4}),
    )
    instances = []
    for box in LabellingSettings().select_boxes(boxes, SIZE_HW):
        corners = tuple(box.box_xyxy.tolist())
        sam_mask = rectangle(corners) & MASKS[box.prompt.surface]
        instances.append(instance(box.prompt.surface, sam_mask, box.score, corners))
    prediction = Prediction(tuple(instances), agreement={"flips": 0.9})
    window = rectangle((40, 30, 90, 90))
    labels = label_prediction(prediction, SIZE_HW, LabellingSettings())
    check_invariants(labels)
    expected = np.zeros(SIZE_HW, np.uint8)
    expected[WALL_MASK & ~window] = 1
    expected[FLOOR_MASK] = 2
    expected[TABLE_MASK] = 3
    assert np.array_equal(labels.labels().semantic, expected)
    assert [round(s.detection.score, 2) for s in labels.segments] == [0.6, 0.5, 0.5]
    assert labels.quality_scores["score"] == pytest.approx((0.5 * 1 * 0.9) ** (1 / 3))


def test_from_probabilities_to_labels() -> None:
    regions = {WALL: WALL_MASK & ~TABLE_MASK, FLOOR: FLOOR_MASK & ~TABLE_MASK, DINING_TABLE: TABLE_MASK}
    prediction = Prediction(semantic=semantic_of(regions), agreement={"backends": 0.8})
    labels = label_prediction(prediction, SIZE_HW, LabellingSettings())
    check_invariants(labels)
    assert {s.detection.surface: s.detection.mask.sum() for s in labels.segments} == {
        surface: mask.sum() for surface, mask in regions.items()
    }
    assert prediction.semantic is not None
    assert labels.soft_labels is not None
    np.testing.assert_allclose(labels.soft_labels / 255, prediction.semantic.probabilities, atol=0.5 / 255 + 1e-6)
    assert labels.quality_scores["score"] == pytest.approx((0.9 * 1 * 0.8) ** (1 / 3))


def test_scores_of_sam_are_kept_with_the_detectors() -> None:
    found = instance(WALL, WALL_MASK, 0.5, predicted_iou=0.9, stability=0.8)
    (segment,) = labelled(found).segments
    assert segment.quality_scores == pytest.approx({"detector": 0.5, "predicted_iou": 0.9, "stability": 0.8})
    second = instance(WALL, TABLE_MASK, 0.5, predicted_iou=0.7)
    (segment,) = labelled(found, second).segments
    assert set(segment.quality_scores) == {"detector", "predicted_iou"}


def test_the_order_of_instances_does_not_matter() -> None:
    found = [wall(score=0.9), floor(score=0.7), table(score=0.6), negative(rectangle((40, 30, 90, 90)), 0.5)]
    assert np.array_equal(labelled(*found).labels().semantic, labelled(*found[::-1]).labels().semantic)


def test_the_fingerprint_follows_class_config_and_rules() -> None:
    assert LabellingSettings().fingerprint == FINGERPRINT
    assert LabellingSettings(replace(default_class_config(), phrase_margin=0.5)).fingerprint != FINGERPRINT
    assert len({LabellingSettings(without=frozenset({name})).fingerprint for name in RULES} | {FINGERPRINT}) == 21


def test_an_unknown_rule_is_one_line_with_the_nearest_name_or_all() -> None:
    with pytest.raises(SettingsError, match=r"unknown rule 'speks'; did you mean 'specks'\?") as caught:
        LabellingSettings(without=frozenset({"speks"}))
    assert caught.value.exit_code == 11
    assert "\n" not in str(caught.value)
    with pytest.raises(SettingsError) as caught:
        LabellingSettings(without=frozenset({"specks", "!"}))
    assert all(name in str(caught.value) for name in RULES)


def test_the_document_describes_every_rule_in_order() -> None:
    documented = re.findall(r"^\| `(\w+)` \|", (ROOT / "docs" / "rules.md").read_text("utf-8"), re.MULTILINE)
    assert sorted(documented) == sorted(RULES)
    assert [name for name in RULES if name in INSTANCE_RULES] == list(INSTANCE_RULES)
    assert set(SEMANTIC_RULES) <= set(RULES)


def ellipse(seed: int) -> np.ndarray:
    """A region somewhere, with a hole in it or specks beside it."""
    generator = np.random.default_rng(seed)
    canvas = np.zeros(SIZE_HW, np.uint8)
    centre = (int(generator.integers(0, 320)), int(generator.integers(0, 240)))
    axes = (int(generator.integers(1, 200)), int(generator.integers(1, 150)))
    cv2.ellipse(canvas, centre, axes, float(generator.integers(0, 180)), 0, 360, 1, -1)
    cv2.circle(canvas, centre, int(generator.integers(0, 30)), 0, -1)
    canvas[generator.random(SIZE_HW) < generator.choice([0, 0.001])] ^= 1
    return canvas.astype(bool)


@st.composite
def instances(draw: st.DrawFn) -> tuple[InstancePrediction, ...]:
    surfaces = st.sampled_from([*CLASSES, DINING_TABLE, None])
    found = draw(st.lists(st.tuples(surfaces, st.integers(0, 999), st.floats(0, 1)), max_size=7))
    return tuple(instance(surface, ellipse(seed), score, predicted_iou=0.9) for surface, seed, score in found)


@st.composite
def semantic_predictions(draw: st.DrawFn) -> SemanticPrediction:
    generator = np.random.default_rng(draw(st.integers(0, 999)))
    rows, columns = draw(st.tuples(st.integers(1, 40), st.integers(1, 40)))
    weights = np.exp(generator.normal(size=(4, rows, columns)) * draw(st.sampled_from([0.1, 1, 5])))
    apart = generator.random((rows, columns)) * draw(st.sampled_from([0, 0.5, 1]))
    return SemanticPrediction((weights / weights.sum(axis=0)).astype(np.float32), apart.astype(np.float32))


left_out = st.one_of(st.just(frozenset[str]()), st.frozensets(st.sampled_from(RULES)))


def check_twice(prediction: Prediction, size_hw: tuple[int, int], without: frozenset[str]) -> None:
    rules = LabellingSettings(without=without)
    labels, again = (label_prediction(prediction, size_hw, rules) for _ in range(2))
    check_invariants(labels)
    assert np.array_equal(labels.labels().tables, again.labels().tables)
    assert np.array_equal(labels.labels().semantic, again.labels().semantic)
    assert labels.quality_scores == again.quality_scores


@settings(max_examples=60, deadline=None)
@given(instances(), left_out)
def test_invariants_for_any_instances(found: tuple[InstancePrediction, ...], without: frozenset[str]) -> None:
    check_twice(Prediction(found), SIZE_HW, without)


@settings(max_examples=60, deadline=None)
@given(semantic_predictions(), left_out, st.tuples(st.integers(1, 90), st.integers(1, 90)))
def test_invariants_for_any_probabilities(
    semantic: SemanticPrediction, without: frozenset[str], size_hw: tuple[int, int]
) -> None:
    check_twice(Prediction(semantic=semantic), size_hw, without)


@settings(max_examples=30, deadline=None)
@given(instances())
def test_rules_add_no_wall_outside_its_instances(found: tuple[InstancePrediction, ...]) -> None:
    """Only `pinholes` may add pixels of a wall."""
    walls = np.any([np.zeros(SIZE_HW, bool), *(p.mask for p in found if p.surface == WALL)], axis=0)
    labels = labelled(*found, without=["pinholes"])
    assert not ((labels.labels().semantic == WALL.coco_id) & ~walls).any()


@pytest.mark.slow
@pytest.mark.parametrize(("size_hw", "seconds"), [((480, 640), 0.03), ((3000, 4000), 0.5)])
def test_rules_are_fast(size_hw: tuple[int, int], seconds: float) -> None:
    """CPU time of the best of five in one thread, so that other processes count little."""
    raster = 160, 128
    regions = {WALL: rectangle((0, 0, 128, 80), raster), FLOOR: rectangle((0, 80, 128, 160), raster)}
    regions[DINING_TABLE] = rectangle((40, 80, 80, 120), raster)
    prediction = Prediction(semantic=semantic_of(regions, disagreement=0.1))
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        taken = []
        for _ in range(5):
            start = time.process_time()
            label_prediction(prediction, size_hw, LabellingSettings())
            taken.append(time.process_time() - start)
    finally:
        cv2.setNumThreads(threads)
    assert min(taken) < seconds


def segment(surface: SurfaceClass = WALL, score: float = 0.5, **measures: float) -> ScoredSegment:
    return label_stores.segment(surface, np.ones((2, 2), bool), score, **measures)


def ignored(quarters: int) -> np.ndarray:
    return np.arange(4).reshape(2, 2) < quarters


def test_a_segments_quality_is_the_geometric_mean_of_its_measures() -> None:
    assert segment_quality(segment(detector=0.4, predicted_iou=0.9)) == pytest.approx(0.6)
    assert segment_quality(segment(detector=0.4)) == pytest.approx(0.4)
    assert segment_quality(segment(score=0.7)) == pytest.approx(0.7)


def test_a_photos_score_is_the_geometric_mean_of_the_worst_segment_and_the_photos_measures() -> None:
    segments = segment(detector=0.9), segment(FLOOR, detector=0.8), segment(DINING_TABLE, detector=0.5)
    measures = {"worst_segment": 0.5, "sure_share": 0.75, "flips": 0.6, "backends": 0.9}
    found = photo_quality(segments, ignored(1), {"flips": 0.6, "backends": 0.9})
    assert found == {"score": pytest.approx((0.5 * 0.75 * 0.6 * 0.9) ** (1 / 4)), **measures}
    found = photo_quality(segments, ignored(0), {})  # unknown measures are left out
    assert found == {"score": pytest.approx(0.5**0.5), "worst_segment": 0.5, "sure_share": 1.0}


def test_a_photo_without_segments_or_all_ignored_scores_0() -> None:
    assert photo_quality([], ignored(0), {"flips": 1.0})["score"] == 0
    assert photo_quality([segment(detector=1.0)], ignored(4), {})["score"] == 0


@given(st.lists(st.floats(0, 1), min_size=1))
def test_the_geometric_mean_is_between_least_and_most(values: list[float]) -> None:
    mean = geometric_mean(values)
    assert min(values) * (1 - 1e-9) <= mean <= max(values) * (1 + 1e-9)
    assert 0 <= mean <= 1


measures_of_segments = st.dictionaries(st.sampled_from(["detector", "stability"]), st.floats(0, 1), min_size=1)


@given(st.lists(measures_of_segments, min_size=1, max_size=4), st.data(), st.floats(0, 1), st.integers(0, 4))
def test_a_better_measure_never_lowers_a_score(
    measured: list[dict[str, float]], data: st.DataObject, flips: float, quarters: int
) -> None:
    improved = [dict(one) for one in measured]
    changed = data.draw(st.sampled_from(improved))
    name = data.draw(st.sampled_from(sorted(changed)))
    changed[name] = data.draw(st.floats(changed[name], 1))

    def score(one: list[dict[str, float]], agreed: float, quarters: int) -> float:
        segments = [segment(**measures) for measures in one]
        return photo_quality(segments, ignored(quarters), {"flips": agreed})["score"]

    least = score(measured, flips, quarters) - 1e-12
    assert score(improved, flips, quarters) >= least
    assert score(measured, (flips + 1) / 2, quarters) >= least
    assert score(measured, flips, max(0, quarters - 1)) >= least
