from __future__ import annotations

import contextlib
import io
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from faster_coco_eval.core.mask import rleToBoundary
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from surfaces.classes import CLASSES, DINING_TABLE, FLOOR, IGNORE, OTHER_TABLE, WALL, SurfaceClass
from surfaces.datasets import Labels, MemorySample
from surfaces.datasets.coco_writer import coco_annotation, write_coco
from surfaces.datasets.sample import LabelScope
from surfaces.detections import Detection, box_of_mask
from surfaces.masks.rle import encode
from surfaces.metrics import (
    SegmentMatches,
    TableAp,
    bootstrap_interval,
    bootstrap_sums,
    boundary_counts,
    calibration_error,
    iou_of_counts,
    mask_boundary,
    match_segments,
    panoptic_quality,
    percentile_interval,
    precision_recall_curve,
    region_counts,
)

SHAPE = (40, 60)


def _labels(*regions: tuple[int, int, int, int, int]) -> Labels:
    """Labels of rectangles: value, top, left, bottom, right; values from 10 are tables."""
    semantic, tables = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint8)
    for value, top, left, bottom, right in regions:
        semantic[top:bottom, left:right] = min(value, 3) if 10 <= value < 250 else value
        tables[top:bottom, left:right] = value - 9 if 10 <= value < 250 else 0
    return Labels(semantic, tables)


def _found(surface: SurfaceClass, top: int, left: int, bottom: int, right: int, score: float = 0.9) -> Detection:
    mask = np.zeros(SHAPE, np.bool_)
    mask[top:bottom, left:right] = True
    return Detection(surface, score, box_of_mask(mask), mask)


def _perfect(labels: Labels) -> list[Detection]:
    masks = [(surface, labels.semantic == surface.coco_id) for surface in (WALL, FLOOR)]
    masks += [(DINING_TABLE, labels.tables == k) for k in range(1, int(labels.tables.max()) + 1)]
    return [Detection(surface, 1.0, box_of_mask(mask), mask) for surface, mask in masks if mask.any()]


def test_iou_is_summed_over_photos() -> None:
    first = region_counts([_found(WALL, 0, 0, 10, 10)], _labels((1, 0, 0, 10, 20)))  # 100 of 200
    second = region_counts([_found(WALL, 0, 0, 20, 20)], _labels((1, 0, 0, 20, 20)))  # 400 of 400
    wall, floor, table = iou_of_counts(np.stack([first, second]))
    assert wall == pytest.approx(500 / 600)
    assert math.isnan(floor)
    assert math.isnan(table)


def test_unlabelled_pixels_do_not_count() -> None:
    labels = _labels((1, 0, 0, 10, 20), (IGNORE, 0, 20, 10, 40), (OTHER_TABLE, 20, 0, 30, 10), (10, 20, 20, 30, 30))
    found = [_found(WALL, 0, 0, 10, 40), _found(DINING_TABLE, 20, 0, 30, 30), _found(FLOOR, 20, 0, 30, 10)]
    counts = region_counts(found, labels)
    assert counts.tolist() == [
        [200, 200],  # wall: the unlabelled half is left out
        [0, 100],  # floor: a table of another kind is not floor
        [100, 200],  # dining table: nothing is said about the table of another kind
    ]


def test_boundary_iou_by_hand() -> None:
    # A diagonal of 72.1 makes the band 1 pixel wide: the outline of 10x10 has 36 pixels, moved by 1 to the right
    # it shares 2 * 9 of them with the first.
    labels = _labels((1, 10, 10, 20, 20))
    wall, floor, _ = boundary_counts([_found(WALL, 10, 11, 20, 21)], labels)
    assert wall.tolist() == [18, 54]
    assert floor.tolist() == [0, 0]


def test_boundary_at_the_edge_and_at_unlabelled_regions() -> None:
    assert np.count_nonzero(mask_boundary(np.ones(SHAPE, np.bool_))) == 2 * 60 + 2 * 38
    labels = _labels((1, 0, 0, 40, 30), (IGNORE, 0, 30, 40, 60))
    wall = boundary_counts([_found(WALL, 0, 0, 40, 60)], labels)[0]
    assert wall[0] == wall[1] == 2 * 30 + 2 * 38


@settings(max_examples=50, deadline=None)
@given(
    arrays.arrays(np.bool_, arrays.array_shapes(min_dims=2, max_dims=2, min_side=4, max_side=60)),
    st.sampled_from([0.02, 0.05, 0.1]),
)
def test_boundary_equals_the_reference(mask: np.ndarray, ratio: float) -> None:
    assume(mask.any())
    expected = coco_mask.decode(rleToBoundary(encode(mask), ratio, "opencv")).astype(bool)
    np.testing.assert_array_equal(mask_boundary(mask, ratio), expected)


def test_panoptic_quality_by_hand() -> None:
    labels = _labels((10, 0, 0, 10, 10), (11, 20, 0, 30, 10), (12, 30, 40, 40, 50))
    found = [
        _found(DINING_TABLE, 0, 0, 10, 8),  # IoU .8
        _found(DINING_TABLE, 20, 0, 30, 5),  # IoU .5: no match
        _found(DINING_TABLE, 0, 40, 5, 50),  # nothing there
    ]
    matches = match_segments(found, labels, DINING_TABLE)
    assert matches.matched_ious == (0.8,)
    assert (matches.false_positives, matches.false_negatives) == (2, 2)
    quality = panoptic_quality([matches])
    assert quality.sq == pytest.approx(0.8)
    assert quality.rq == pytest.approx(1 / 3)
    assert quality.pq == pytest.approx(0.8 / 3)
    assert (quality.precision, quality.recall) == (pytest.approx(1 / 3), pytest.approx(1 / 3))


def test_void_pixels_do_not_count_in_matches() -> None:
    labels = _labels((10, 0, 0, 10, 10), (IGNORE, 10, 0, 20, 10), (OTHER_TABLE, 30, 30, 40, 40))
    found = [
        _found(DINING_TABLE, 0, 0, 20, 10),
        _found(DINING_TABLE, 30, 30, 40, 45),  # two thirds on a coffee table
        _found(DINING_TABLE, 30, 35, 40, 50),  # a third
    ]
    matches = match_segments(found, labels, DINING_TABLE)
    assert matches.matched_ious == (1.0,)
    assert (matches.false_positives, matches.false_negatives) == (1, 0)
    assert matches.is_there
    assert matches.is_said
    nothing = match_segments(found[1:2], _labels((OTHER_TABLE, 30, 30, 40, 40)), DINING_TABLE)
    assert not nothing.is_there
    assert not nothing.is_said


def test_a_class_that_is_drawn_but_unlabelled_is_not_measured() -> None:
    labels = replace(_labels((1, 0, 0, 20, 20), (10, 20, 0, 30, 20)), scope=LabelScope(unlabelled=frozenset({1, 3})))
    found = [_found(WALL, 0, 0, 5, 5), _found(DINING_TABLE, 30, 30, 40, 40)]
    for counts in (region_counts(found, labels), boundary_counts(found, labels)):
        assert not counts.any()
    for surface in (WALL, DINING_TABLE):
        assert math.isnan(panoptic_quality([match_segments(found, labels, surface)]).pq)


def test_crowds_count_as_pixels_only() -> None:
    labels = _labels((DINING_TABLE.coco_id, 0, 0, 10, 20), (10, 20, 0, 30, 10))
    found = [_found(DINING_TABLE, 0, 0, 10, 9), _found(DINING_TABLE, 20, 0, 30, 10)]
    matches = match_segments(found, labels, DINING_TABLE)
    assert matches.matched_ious == (1.0,)
    assert (matches.false_positives, matches.false_negatives) == (0, 0)
    assert region_counts(found, labels)[2].tolist() == [190, 300]
    precision = TableAp()
    precision.add(found, labels)
    assert precision.result().ap == pytest.approx(1)


def test_higher_scores_are_matched_first() -> None:
    labels = _labels((10, 0, 0, 10, 10))
    found = [_found(DINING_TABLE, 0, 0, 10, 10, score=0.6), _found(DINING_TABLE, 0, 0, 10, 9, score=0.7)]
    matches = match_segments(found, labels, DINING_TABLE)
    assert matches.matched_ious == (0.9,)
    assert matches.scored == ((0.7, True), (0.6, False))


def test_detections_of_wall_are_one_segment() -> None:
    labels = _labels((1, 0, 0, 10, 10), (1, 20, 20, 30, 30))
    found = [_found(WALL, 0, 0, 10, 10), _found(WALL, 20, 20, 30, 30)]
    assert match_segments(found, labels, WALL).matched_ious == (1.0,)


_RECTANGLES = st.lists(
    st.tuples(st.sampled_from([1, 2, 10, 11, 12, OTHER_TABLE, IGNORE]), *[st.integers(0, 40)] * 4), max_size=6
)


def _labels_of(rectangles: list[tuple[int, int, int, int, int]]) -> Labels:
    labels = _labels(*rectangles)
    present = np.unique(labels.tables[labels.tables > 0])
    return Labels(labels.semantic, np.searchsorted(present, labels.tables, side="right").astype(np.uint8))


@settings(max_examples=60, deadline=None)
@given(_RECTANGLES)
def test_perfect_predictions(rectangles: list[tuple[int, int, int, int, int]]) -> None:
    labels = _labels_of(rectangles)
    found = _perfect(labels)
    for counts in (region_counts(found, labels), boundary_counts(found, labels)):
        assert (counts[:, 0] == counts[:, 1]).all()
    for surface in CLASSES:
        quality = panoptic_quality([match_segments(found, labels, surface)])
        assert quality.pq == 1 or math.isnan(quality.pq)


@settings(max_examples=60, deadline=None)
@given(_RECTANGLES, _RECTANGLES)
def test_metrics_are_bounded_and_ignore_unlabelled_pixels(
    truth: list[tuple[int, int, int, int, int]], said: list[tuple[int, int, int, int, int]]
) -> None:
    labels, found = _labels_of(truth), _perfect(_labels_of(said))
    unlabelled = labels.semantic == IGNORE
    filled = [Detection(d.surface, d.score, box_of_mask(d.mask | unlabelled), d.mask | unlabelled) for d in found]
    for counts in (region_counts, boundary_counts):
        assert (counts(found, labels)[:, 0] <= counts(found, labels)[:, 1]).all()
        np.testing.assert_array_equal(counts(found, labels), counts(filled, labels))
    for surface in CLASSES:
        matches = match_segments(found, labels, surface)
        quality = panoptic_quality([matches])
        assert math.isnan(quality.pq) or 0 <= quality.pq <= quality.rq <= 1
        assert matches.matched_ious == match_segments(filled, labels, surface).matched_ious


def test_table_ap_equals_pycocotools(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    samples: list[MemorySample] = []
    predictions: list[list[Detection]] = []
    for number in range(12):
        top, left = rng.integers(0, 20, 2)
        others = (OTHER_TABLE, 35, 0, 40, 20), (IGNORE, 35, 40, 40, 60), (1, 0, 50, 9, 60)
        labels = _labels((10, top, left, top + 12, left + 20), *others)
        shifts = rng.integers(0, 6, 3)
        found = [
            _found(DINING_TABLE, top + shift, left + shift, top + 12, left + 20, float(rng.random()))
            for shift in shifts[: number % 4]
        ]
        found += [_found(DINING_TABLE, 35, 0, 40, 20, 0.95), _found(DINING_TABLE, 35, 40, 40, 60, 0.96)]
        predictions.append([*found, _found(WALL, 0, 50, 9, 60)])
        samples.append(MemorySample(f"room_{number:02d}", np.zeros((*SHAPE, 3), np.uint8), labels))
    gathered = TableAp()
    for sample, found in zip(samples, predictions, strict=True):
        gathered.add(found, sample.labels())
    result = gathered.result()

    write_coco(samples, tmp_path / "set")
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(tmp_path / "set" / "annotations.json"))
        evaluation = COCOeval(truth, truth.loadRes(list(_results(predictions))), "segm")
        evaluation.params.catIds = [DINING_TABLE.coco_id]
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    assert 0.1 < result.ap < 0.9
    assert result.ap == pytest.approx(evaluation.stats[0])
    assert result.ap50 == pytest.approx(evaluation.stats[1])


def _results(predictions: list[list[Detection]]) -> Any:
    for image_id, found in enumerate(predictions, 1):
        for detection in found:
            region = coco_annotation(detection.surface, detection.mask, crowd=False)
            del region["iscrowd"]
            yield json.loads(json.dumps({"image_id": image_id, "score": detection.score, **region}))


@pytest.mark.parametrize("void", [IGNORE, OTHER_TABLE])
def test_table_ap_leaves_out_unlabelled_pixels_and_other_tables(void: int) -> None:
    table, band = (10, 0, 0, 10, 20), (void, 10, 0, 16, 20)
    spilled, missed = _found(DINING_TABLE, 0, 0, 16, 20), _found(DINING_TABLE, 0, 0, 16, 10)
    over_band, half, over_floor = TableAp(), TableAp(), TableAp()
    over_band.add([spilled], _labels(table, band))
    half.add([missed], _labels(table, band))
    over_floor.add([spilled], _labels(table, (2, 10, 0, 16, 20)))
    assert over_band.result().ap == pytest.approx(1)
    assert half.result().ap == pytest.approx(0.1)  # IoU .50: at the first of ten thresholds
    assert over_floor.result().ap == pytest.approx(0.3)  # IoU .625


def test_table_ap_without_tables_or_without_detections(capsys: pytest.CaptureFixture[str]) -> None:
    nothing_there = TableAp()
    nothing_there.add([_found(DINING_TABLE, 0, 0, 9, 9)], _labels((OTHER_TABLE, 0, 0, 9, 9)))
    assert math.isnan(nothing_there.result().ap)
    nothing_said = TableAp()
    nothing_said.add([], _labels((10, 0, 0, 9, 9)))
    assert nothing_said.result().ap == 0
    assert capsys.readouterr().out == ""


def test_bootstrap_interval() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(5, 2, 400)
    low, high = bootstrap_interval(values, lambda draw: float(draw.mean()))
    assert (low + high) / 2 == pytest.approx(values.mean(), abs=0.03)
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1)
    assert bootstrap_interval(values, lambda draw: float(draw.mean())) == (low, high)
    assert bootstrap_interval(np.full(9, 3.0), lambda draw: float(draw.mean())) == (3, 3)
    assert all(math.isnan(end) for end in bootstrap_interval(values, lambda _: float("nan")))
    assert all(math.isnan(end) for end in bootstrap_interval(np.zeros((0, 3, 2)), lambda _: 1.0))


def test_bootstrap_sums_use_the_draws_of_the_interval() -> None:
    counts = np.random.default_rng(1).integers(0, 9, (12, 3, 2))
    sums = bootstrap_sums(counts)
    assert sums.shape == (1000, 3, 2)
    shares = sums[:, 1, 0] / sums[:, 1, 1]
    slow = bootstrap_interval(counts, lambda drawn: float(drawn[:, 1, 0].sum() / drawn[:, 1, 1].sum()))
    assert percentile_interval(shares) == pytest.approx(slow)
    shares[::2] = np.nan
    low, high = percentile_interval(shares, level=0.5)
    assert slow[0] < low < high < slow[1]


def test_calibration_error() -> None:
    assert calibration_error([(0.75, True), (0.75, True), (0.75, True), (0.75, False)]) == pytest.approx(0)
    assert calibration_error([(1.0, False), (0.05, False)]) == pytest.approx((1 + 0.05) / 2)
    assert math.isnan(calibration_error([]))


def test_precision_and_recall_for_every_minimum_score() -> None:
    photos = [
        SegmentMatches((0.9,), 1, 0, ((0.8, True), (0.4, False))),
        SegmentMatches((0.7,), 1, 1, ((0.9, False), (0.3, True))),
    ]
    curve = precision_recall_curve(photos, (0.2, 0.5, 0.85, 0.95))
    assert [(point.precision, point.recall) for point in curve[:3]] == [(2 / 4, 2 / 3), (1 / 2, 1 / 3), (0, 0)]
    assert math.isnan(curve[3].precision)
    assert curve[3].recall == 0
