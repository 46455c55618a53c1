"""The labels of a semantic prediction, with every rule on and off."""

from __future__ import annotations

import numpy as np
import pytest

import autolabel.rules.semantic as rules
from autolabel.labelling.class_config import default_class_config
from autolabel.rules.semantic import semantic_candidates
from models.inference.postprocess import label_map
from models.teachers.base import SemanticPrediction
from surfaces.classes import DINING_TABLE, FLOOR, WALL, SurfaceClass
from tests.autolabel.scenes import (
    FLOOR_MASK,
    NONE,
    SIZE_HW,
    TABLE_MASK,
    WALL_MASK,
    check,
    check_invariants,
    labelled_semantic,
    masks_of,
    rectangle,
    semantic_of,
    with_probability,
)

ROOM = {WALL: WALL_MASK & ~TABLE_MASK, FLOOR: FLOOR_MASK & ~TABLE_MASK, DINING_TABLE: TABLE_MASK}
CORNER = rectangle((0, 0, 60, 60))
ACCEPT = 0.6
"""`belief_accept` of all classes in the shipped file."""


def random_prediction(seed: int, raster: tuple[int, int] = (60, 80)) -> SemanticPrediction:
    generator = np.random.default_rng(seed)
    logits = generator.normal(size=(4, raster[0] // 10, raster[1] // 10)).repeat(10, axis=1).repeat(10, axis=2) * 3
    weights = np.exp(logits)
    disagreement = generator.random(raster) ** 4
    return SemanticPrediction((weights / weights.sum(axis=0)).astype(np.float32), disagreement.astype(np.float32))


def test_high_probabilities_are_labels() -> None:
    labels = labelled_semantic(semantic_of(ROOM))
    check(labels, wall=ROOM[WALL], floor=ROOM[FLOOR], table=TABLE_MASK)
    assert [s.detection.score for s in labels.segments] == pytest.approx([0.9] * 3)
    assert [s.quality_scores for s in labels.segments] == [{"belief": pytest.approx(0.9)}] * 3


@pytest.mark.parametrize("probability", [ACCEPT - 0.01, ACCEPT + 0.01])
@pytest.mark.parametrize("surface", [WALL, FLOOR])
def test_pixels_of_low_confidence_are_ignored(surface: SurfaceClass, probability: float) -> None:
    semantic = with_probability(semantic_of({surface: rectangle((0, 100, 320, 240))}), surface, TABLE_MASK, probability)
    assert np.array_equal(labelled_semantic(semantic).ignore_mask, TABLE_MASK & (probability < ACCEPT))
    assert not labelled_semantic(semantic, without=["low_confidence"]).ignore_mask.any()


def test_pixels_of_other_with_low_confidence_are_ignored() -> None:
    semantic = semantic_of({WALL: WALL_MASK})
    semantic.probabilities[:, FLOOR_MASK] = np.array([[0.5], [0.2], [0.2], [0.1]], np.float32)
    check(labelled_semantic(semantic), wall=WALL_MASK, ignored=FLOOR_MASK)
    check(labelled_semantic(semantic, without=["low_confidence"]), wall=WALL_MASK)


def test_pixels_of_disagreement_are_ignored() -> None:
    semantic = semantic_of(ROOM, disagreement=np.where(CORNER, 0.41, 0.39).astype(np.float32))
    assert np.array_equal(labelled_semantic(semantic).ignore_mask, CORNER)
    off = labelled_semantic(semantic, without=["disagreement"])
    assert not off.ignore_mask.any()
    expected = 1 - (0.41 * CORNER.sum() + 0.39 * (ROOM[WALL].sum() - CORNER.sum())) / ROOM[WALL].sum()
    assert off.segments[0].quality_scores["agreement"] == pytest.approx(expected, abs=1e-4)


def test_a_table_of_low_mean_probability_is_ignored_as_a_whole() -> None:
    """Half of it has a probability of .9, half .27 (the other classes less): .585 on average."""
    half = rectangle((100, 160, 200, 200))
    semantic = semantic_of(ROOM)
    semantic.probabilities[:, half] = np.array([[0.25], [0.24], [0.24], [0.27]], np.float32)
    check(labelled_semantic(semantic), wall=ROOM[WALL], floor=ROOM[FLOOR], ignored=TABLE_MASK)
    off = labelled_semantic(semantic, without=["low_beliefs"])
    check(off, wall=ROOM[WALL], floor=ROOM[FLOOR], table=TABLE_MASK & ~half, ignored=half)


def test_tables_far_apart_are_two_and_parts_of_one_behind_a_chair_are_one() -> None:
    left, right = rectangle((20, 150, 100, 220)), rectangle((220, 150, 300, 220))
    semantic = with_probability(semantic_of({DINING_TABLE: left | right}), DINING_TABLE, right, 0.97)
    np.testing.assert_array_equal(masks_of(labelled_semantic(semantic), DINING_TABLE), [right, left])  # better first
    parts = rectangle((100, 150, 150, 220)) | rectangle((160, 150, 220, 220))
    np.testing.assert_array_equal(
        masks_of(labelled_semantic(semantic_of({DINING_TABLE: parts})), DINING_TABLE), [parts]
    )


def test_a_speck_of_a_table_is_ignored() -> None:
    speck = rectangle((10, 10, 14, 14))
    semantic = semantic_of({WALL: WALL_MASK & ~speck, DINING_TABLE: speck})
    labels = labelled_semantic(semantic, without=["specks", "area_limits"])
    check(labels, wall=WALL_MASK & ~speck, ignored=speck)


def test_a_sharp_border_has_no_band_of_ignored_pixels() -> None:
    """Between two classes one of them has at least half of the probability."""
    coarse = semantic_of({WALL: WALL_MASK[::10, ::10], FLOOR: FLOOR_MASK[::10, ::10]}, probability=1.0)
    rows = np.flatnonzero(labelled_semantic(coarse).ignore_mask.any(axis=1))
    assert set(rows) <= {138, 139, 140, 141}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("band", [1 << 20, 1000])
def test_labels_are_the_most_probable_classes_after_upsampling(
    seed: int, band: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "BAND_PIXELS", band)
    semantic = random_prediction(seed)
    candidates = semantic_candidates(semantic, SIZE_HW, default_class_config())
    found = np.zeros(SIZE_HW, np.uint8)
    for instance in candidates.instances:
        assert instance.surface
        assert not found[instance.mask].any()
        found[instance.mask] = instance.surface.coco_id
    expected = label_map(semantic.probabilities, *SIZE_HW)
    lost = (expected != 0) & (found == 0)  # tables that are too small to be separated
    assert (found == expected)[~lost].mean() > 0.999  # bands are upsampled with rounded coefficients
    assert candidates.ignore_mask[lost].all()


@pytest.mark.parametrize("seed", range(3))
def test_scores_are_mean_probabilities(seed: int) -> None:
    semantic = random_prediction(seed, SIZE_HW)
    for instance in semantic_candidates(semantic, SIZE_HW, default_class_config()).instances:
        assert instance.surface is not None
        inside = semantic.probabilities[instance.surface.coco_id][instance.mask]
        assert instance.score == pytest.approx(inside.mean(), abs=1e-3)
        agreement = 1 - semantic.disagreement[instance.mask].mean()
        assert instance.quality_scores["agreement"] == pytest.approx(agreement, abs=1e-3)


@pytest.mark.parametrize("size_hw", [(1, 1), (16, 500), (333, 47), (60, 80)])
def test_photos_of_any_size(size_hw: tuple[int, int]) -> None:
    labels = labelled_semantic(random_prediction(5), size_hw=size_hw)
    assert labels.ignore_mask.shape == size_hw
    check_invariants(labels)


def test_photos_without_a_class_or_of_one() -> None:
    check(labelled_semantic(semantic_of({WALL: NONE})))
    flat = SemanticPrediction(np.full((4, 30, 40), 0.25, np.float32), np.zeros((30, 40), np.float32))
    check(labelled_semantic(flat), ignored=~NONE)
    check(labelled_semantic(semantic_of({WALL: ~NONE})), ignored=~NONE)  # beyond the limits
    check(labelled_semantic(semantic_of({WALL: ~NONE}), without=["area_limits"]), wall=~NONE)
