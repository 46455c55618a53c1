from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.inference import postprocess
from models.inference.model_output import Floats, ModelOutput
from models.inference.postprocess import FusionSettings, fuse, label_map, mean_probability
from surfaces.classes import DINING_TABLE, FLOOR, WALL
from surfaces.detections import Detection, Mask, box_of_mask

HEIGHT, WIDTH = 384, 512
"""The photo's size; the network's probabilities are a quarter of it."""

RASTER = 48, 64
"""On which `random_output` is segmented for larger photos."""

Box = tuple[float, float, float, float]
"""xyxy as shares of the photo."""

LEFT_TABLE: Box = (0.1, 0.5, 0.4, 0.9)
RIGHT_TABLE: Box = (0.6, 0.5, 0.9, 0.9)


def region(box: Box, height: int = HEIGHT // 4, width: int = WIDTH // 4) -> Mask:
    inside = np.zeros((height, width), bool)
    inside[round(box[1] * height) : round(box[3] * height), round(box[0] * width) : round(box[2] * width)] = True
    return inside


def room(*tables: Box, soft_labels: float = 0.9, wall: Mask | None = None) -> Floats:
    """Probabilities of a wall above a floor, tables before them; edges as soft as a network's."""
    shape = HEIGHT // 4, WIDTH // 4
    wall = region((0, 0, 1, 0.5)) if wall is None else wall
    floor = region((0, 0.5, 1, 1)) & ~wall
    table = np.zeros(shape, bool)
    for box in tables:
        table |= region(box)
    classes = np.stack([~wall & ~floor, wall & ~table, floor & ~table, table]).astype(np.float32)
    classes[0] *= ~table
    hard = classes * soft_labels + (1 - classes) * (1 - soft_labels) / 3
    soft = np.stack([cv2.GaussianBlur(plane, (0, 0), 1.5, borderType=cv2.BORDER_REPLICATE) for plane in hard])
    return (soft / soft.sum(axis=0)).astype(np.float32)


def boxed(box: Box, score: float = 0.9, table: Box | None = None) -> tuple[Box, float, Floats]:
    """A box with the output of a good mask head (56 x 56) for a table, which the box fits unless another is given."""
    left, top, right, bottom = box
    window = region(table or box, HEIGHT, WIDTH)
    window = window[round(top * HEIGHT) : round(bottom * HEIGHT), round(left * WIDTH) : round(right * WIDTH)]
    shrunk = cv2.resize(window.astype(np.float32) * 0.95, (56, 56), interpolation=cv2.INTER_AREA)
    return box, score, cv2.GaussianBlur(shrunk, (0, 0), 2)


def output_of(probabilities: Floats, *boxes: tuple[Box, float, Floats]) -> ModelOutput:
    return ModelOutput(
        probabilities,
        np.array([box for box, _, _ in boxes], np.float32).reshape(-1, 4),
        np.array([score for _, score, _ in boxes], np.float32),
        np.array([mask for _, _, mask in boxes], np.float32).reshape(-1, 56, 56),
    )


def found(output: ModelOutput, **changes: float) -> list[Detection]:
    return fuse(output, HEIGHT, WIDTH, FusionSettings(**changes))


def tables_of(detections: list[Detection]) -> list[Detection]:
    return [detection for detection in detections if detection.surface is DINING_TABLE]


def parts_of(mask: Mask) -> int:
    count, _ = cv2.connectedComponents(mask.astype(np.uint8))
    return count - 1


def iou(mask: Mask, box: Box) -> float:
    truth = region(box, HEIGHT, WIDTH)
    return float((mask & truth).sum() / (mask | truth).sum())


def random_output(seed: int, boxes: int) -> ModelOutput:
    """Coherent random regions, and boxes anywhere: outside the photo, empty, inside out."""
    rng = np.random.default_rng(seed)
    coarse = rng.random((4, 5, 6), np.float32)
    weights = np.exp(6 * np.stack([cv2.resize(plane, (32, 24), interpolation=cv2.INTER_CUBIC) for plane in coarse]))
    corners = rng.uniform(-0.2, 1.2, (boxes, 4))
    usual = rng.random(boxes) < 0.8
    first, last = np.split(corners[usual], 2, 1)
    corners[usual] = np.hstack([np.minimum(first, last), np.maximum(first, last)])
    masks = [cv2.resize(rng.random((4, 4), np.float32), (56, 56)) for _ in range(boxes)]
    return ModelOutput(
        (weights / weights.sum(axis=0)).astype(np.float32),
        corners.astype(np.float32),
        np.sort(rng.random(boxes).astype(np.float32))[::-1],
        np.array(masks, np.float32).reshape(-1, 56, 56),
    )


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.integers(0, 8), st.integers(1, 90), st.integers(1, 120))
def test_segments_never_overlap(seed: int, boxes: int, height: int, width: int) -> None:
    chosen = FusionSettings(table_score=0.2, residual_score=0.3, smallest_share=0.01)
    detections = fuse(random_output(seed, boxes), height, width, chosen)
    assert [d.surface for d in detections if d.surface is not DINING_TABLE] == [
        surface for surface in (WALL, FLOOR) if surface in {d.surface for d in detections}
    ]
    tables = tables_of(detections)
    assert detections[len(detections) - len(tables) :] == tables
    assert [table.score for table in tables] == sorted((table.score for table in tables), reverse=True)
    assigned = np.zeros((height, width), int)
    for detection in detections:
        assert detection.mask.shape == (height, width)
        assert detection.mask.dtype == bool
        assert detection.mask.any()
        assert 0 <= detection.score <= 1
        np.testing.assert_array_equal(detection.box_xyxy, box_of_mask(detection.mask))
        count, _, stats, _ = cv2.connectedComponentsWithStats(detection.mask.astype(np.uint8), connectivity=8)
        smallest = max(1, round(0.01 * height * width))
        # Upsampling rounds the corners of small parts.
        upsampled = height * width > RASTER[0] * RASTER[1]
        assert stats[1:count, cv2.CC_STAT_AREA].max() >= (0.5 if upsampled else 1) * smallest
        if not upsampled:
            assert stats[1:count, cv2.CC_STAT_AREA].min() >= smallest
        assigned += detection.mask
    assert assigned.max(initial=0) <= 1
    assert all(table.score >= 0.2 for table in tables)


def test_labels_are_of_the_upsampled_probabilities() -> None:
    probabilities = room(LEFT_TABLE)
    upsampled = [cv2.resize(plane, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR) for plane in probabilities]
    expected = np.argmax(np.stack(upsampled), axis=0)
    assert (label_map(probabilities, HEIGHT, WIDTH) == expected).mean() > 0.999


def test_a_very_wide_photo() -> None:
    assert (label_map(room(), 4, 40_000) == [[1], [1], [2], [2]]).all()


def test_wall_and_floor_meet() -> None:
    wall, floor = found(output_of(room()))
    assert (wall.surface, floor.surface) == (WALL, FLOOR)
    assert iou(wall.mask, (0, 0, 1, 0.5)) > 0.98
    assert iou(floor.mask, (0, 0.5, 1, 1)) > 0.98
    assert wall.score == pytest.approx(0.9, abs=0.03)
    np.testing.assert_array_equal(wall.box_xyxy, box_of_mask(wall.mask))


def test_holes_stay_holes_and_parts_stay_one_segment() -> None:
    window, cabinet = region((0.4, 0.1, 0.6, 0.3)), region((0.8, 0, 0.85, 0.5))
    wall = region((0, 0, 1, 0.5)) & ~window & ~cabinet
    (found_wall,) = [d for d in found(output_of(room(wall=wall))) if d.surface is WALL]
    assert not found_wall.mask[round(0.2 * HEIGHT), WIDTH // 2]
    assert parts_of(found_wall.mask) == 2


def test_specks_are_dropped() -> None:
    wall = region((0, 0, 1, 0.5)) | region((0.5, 0.7, 0.56, 0.78))
    floor = found(output_of(room(wall=wall)))[1]
    for smallest, parts in ((0.0005, 2), (0.02, 1)):
        assert parts_of(found(output_of(room(wall=wall)), smallest_share=smallest)[0].mask) == parts
    assert not floor.mask[round(0.74 * HEIGHT), round(0.53 * WIDTH)]


def test_nothing_is_found_where_all_is_other() -> None:
    probabilities = np.full((4, 8, 8), 0.1, np.float32)
    probabilities[0] = 0.7
    assert found(output_of(probabilities)) == []


def test_a_table_takes_its_pixels_from_the_floor() -> None:
    output = output_of(room(LEFT_TABLE), boxed(LEFT_TABLE, 0.8))
    _, floor, table = found(output)
    assert iou(table.mask, LEFT_TABLE) > 0.95
    assert not (table.mask & floor.mask).any()
    assert table.score == pytest.approx(np.sqrt(0.8 * mean_probability(output.probabilities[3], table.mask)), abs=0.01)


def test_tables_are_ordered_by_score() -> None:
    left, right = tables_of(found(output_of(room(LEFT_TABLE, RIGHT_TABLE), boxed(LEFT_TABLE), boxed(RIGHT_TABLE, 0.6))))
    assert iou(left.mask, LEFT_TABLE) > 0.95
    assert iou(right.mask, RIGHT_TABLE) > 0.95
    assert left.score > right.score


def test_the_mask_head_tells_touching_tables_apart() -> None:
    first, second = (0.1, 0.5, 0.5, 0.9), (0.5, 0.5, 0.9, 0.9)
    left, right = tables_of(found(output_of(room(first, second), boxed(first), boxed(second, 0.8))))
    assert iou(left.mask, first) > 0.9
    assert iou(right.mask, second) > 0.9


@pytest.mark.parametrize(
    "second",
    [LEFT_TABLE, (0.12, 0.53, 0.4, 0.92), (0.02, 0.4, 0.48, 1.0), (0.1, 0.5, 0.4, 1.0)],
    ids=["the same", "shifted", "larger", "longer"],
)
def test_two_boxes_on_one_table_give_one(second: Box) -> None:
    output = output_of(room(LEFT_TABLE), boxed(LEFT_TABLE), boxed(second, 0.8, table=LEFT_TABLE))
    (table,) = tables_of(found(output))
    assert iou(table.mask, LEFT_TABLE) > 0.95


def test_a_region_without_a_box_is_a_table_of_its_own() -> None:
    output = output_of(room(LEFT_TABLE, RIGHT_TABLE), boxed(LEFT_TABLE))
    left, right = sorted(tables_of(found(output)), key=lambda table: table.box_xyxy[0])
    assert iou(left.mask, LEFT_TABLE) > 0.95
    assert iou(right.mask, RIGHT_TABLE) > 0.95
    assert right.score == pytest.approx(mean_probability(output.probabilities[3], right.mask), abs=0.01)
    assert len(tables_of(found(output, residual_score=0.95))) == 1


def test_boxes_of_low_confidence_are_dropped() -> None:
    without_branch = output_of(room(), boxed(LEFT_TABLE, 0.99))
    assert tables_of(found(without_branch)) == []
    low_score = output_of(room(LEFT_TABLE), boxed(LEFT_TABLE, 0.05))
    assert tables_of(found(low_score, residual_score=1.1)) == []
    assert len(tables_of(found(low_score, residual_score=1.1, table_score=0.1))) == 1


def test_the_mask_weight_decides_between_head_and_branch() -> None:
    half = (0.1, 0.5, 0.25, 0.9)
    output = output_of(room(half), boxed(LEFT_TABLE))
    (by_head,) = tables_of(found(output, mask_weight=1.0))
    (by_branch,) = tables_of(found(output, mask_weight=0.0))
    assert iou(by_head.mask, LEFT_TABLE) > 0.95
    assert iou(by_branch.mask, half) > 0.94


NEAR_PART: Box = (0.42, 0.55, 0.45, 0.85)
"""Beside LEFT_TABLE, behind a chair."""


def test_a_part_that_the_box_misses_joins_the_table() -> None:
    (table,) = tables_of(found(output_of(room(LEFT_TABLE, NEAR_PART), boxed(LEFT_TABLE))))
    assert (table.mask & region(NEAR_PART, HEIGHT, WIDTH)).sum() > 0.8 * region(NEAR_PART, HEIGHT, WIDTH).sum()
    np.testing.assert_array_equal(table.box_xyxy, box_of_mask(table.mask))
    (without_part,) = tables_of(found(output_of(room(LEFT_TABLE), boxed(LEFT_TABLE))))
    assert table.score == pytest.approx(without_part.score, abs=0.01)
    assert table.box_xyxy[2] > without_part.box_xyxy[2]


def test_parts_without_a_box_are_one_table() -> None:
    tables = tables_of(found(output_of(room(LEFT_TABLE, NEAR_PART, RIGHT_TABLE))))
    left, right = sorted(tables, key=lambda table: table.box_xyxy[0])
    assert left.mask[round(0.7 * HEIGHT), round(0.2 * WIDTH)]
    assert left.mask[round(0.7 * HEIGHT), round(0.435 * WIDTH)]
    assert iou(right.mask, RIGHT_TABLE) > 0.95


def test_the_mean_inside_a_mask() -> None:
    probabilities = np.array([[0.2, 0.4], [0.6, 0.8]], np.float32)
    mask = np.zeros((20, 20), bool)
    assert mean_probability(probabilities, mask) == 0
    for rows, columns, expected in ((10, 10, 0.4), (10, 0, 0.3), (20, 0, 0.5)):
        mask[:rows, columns:] = True
        assert mean_probability(probabilities, mask) == pytest.approx(expected)
    assert mean_probability(np.ones((7, 9), np.float32), np.ones((50, 31), bool)) == 1


def large_room() -> ModelOutput:
    wall = region((0, 0, 1, 0.5)) & ~region((0.4, 0.1, 0.6, 0.3))
    return output_of(room(LEFT_TABLE, NEAR_PART, RIGHT_TABLE, wall=wall), boxed(LEFT_TABLE), boxed(RIGHT_TABLE))


@pytest.mark.parametrize("size", [(HEIGHT, WIDTH), (480, 640), (1000, 1300), (777, 1919), (2000, 300)])
def test_upsampled_segments_are_those_of_the_full_size(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    upsampled = fuse(large_room(), *size, FusionSettings())
    monkeypatch.setattr(postprocess, "RASTER_SCALE", 10_000)
    exact = fuse(large_room(), *size, FusionSettings())
    assert [segment.surface for segment in upsampled] == [segment.surface for segment in exact]
    for one, other in zip(upsampled, exact, strict=True):
        assert (one.mask & other.mask).sum() > 0.97 * (one.mask | other.mask).sum()
        assert one.score == pytest.approx(other.score, abs=0.01)
        np.testing.assert_array_equal(one.box_xyxy, box_of_mask(one.mask))


def test_edges_are_as_fine_as_the_photo() -> None:
    """A slanted edge between wall and floor: the upsampled one is straight to half a pixel of the network's raster."""
    rows, columns = np.mgrid[:96, :128].astype(np.float32)
    wall = 1 / (1 + np.exp((rows + 0.31 * columns - 60) / 2))
    output = output_of(np.stack([0 * wall, wall, 1 - wall, 0 * wall]).astype(np.float32))
    first, second = fuse(output, 960, 1280, FusionSettings())
    edge = first.mask.sum(axis=0)
    expected = 10 * (60.5 - 0.31 * ((np.arange(1280) + 0.5) / 10 - 0.5))
    assert np.abs(edge - expected).max() < 2.5
    assert not (first.mask & second.mask).any()
    assert (first.mask | second.mask).all()
