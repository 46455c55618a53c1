"""What becomes of a semantic teacher's belief: every rule on and off."""

from __future__ import annotations

import numpy as np
import pytest

import autolabel.rules.semantic as pixels
from autolabel.labelling.class_config import default_class_config
from autolabel.rules.semantic import semantic_candidates
from models.inference.postprocess import label_map
from models.teachers.base import SemanticPrediction
from surfaces.classes import BY_ID, DINING_TABLE, FLOOR, WALL, SurfaceClass
from tests.autolabel.scenes import (
    FLOOR_MASK,
    SIZE_HW,
    TABLE_MASK,
    WALL_MASK,
    belief_of,
    believed,
    check_invariants,
    mask_of,
    masks_of,
    rectangle,
    with_probability,
)

ROOM = {WALL: WALL_MASK & ~TABLE_MASK, FLOOR: FLOOR_MASK & ~TABLE_MASK, DINING_TABLE: TABLE_MASK}
CORNER = rectangle((0, 0, 60, 60))
ACCEPT = 0.6
"""`belief_accept` of all classes in the shipped ontology."""


def soft_belief(seed: int, raster: tuple[int, int] = (60, 80)) -> SemanticPrediction:
    generator = np.random.default_rng(seed)
    logits = generator.normal(size=(4, raster[0] // 10, raster[1] // 10)).repeat(10, axis=1).repeat(10, axis=2) * 3
    weights = np.exp(logits)
    disagreement = generator.random(raster) ** 4
    return SemanticPrediction((weights / weights.sum(axis=0)).astype(np.float32), disagreement.astype(np.float32))


def test_a_sure_belief_is_labelled_as_it_is() -> None:
    labels = believed(belief_of(ROOM))
    assert not labels.ignore_mask.any()
    for surface, mask in ROOM.items():
        assert np.array_equal(mask_of(labels, surface), mask)
    assert [s.detection.score for s in labels.segments] == pytest.approx([0.9] * 3)
    assert [s.quality_scores for s in labels.segments] == [{"belief": pytest.approx(0.9)}] * 3


@pytest.mark.parametrize("probability", [ACCEPT - 0.01, ACCEPT + 0.01])
@pytest.mark.parametrize("surface", [WALL, FLOOR])
def test_pixels_of_low_confidence_are_unsure(surface: SurfaceClass, probability: float) -> None:
    semantic = with_probability(belief_of({surface: rectangle((0, 100, 320, 240))}), surface, TABLE_MASK, probability)
    labels = believed(semantic)
    assert np.array_equal(labels.ignore_mask, TABLE_MASK & (probability < ACCEPT))
    assert not believed(semantic, without=["low_confidence"]).ignore_mask.any()


def test_other_has_to_be_believed_too() -> None:
    semantic = belief_of({WALL: WALL_MASK})
    semantic.probabilities[:, FLOOR_MASK] = np.array([[0.5], [0.2], [0.2], [0.1]], np.float32)
    assert np.array_equal(believed(semantic).ignore_mask, FLOOR_MASK)
    assert not believed(semantic, without=["low_confidence"]).ignore_mask.any()


def test_pixels_of_disagreement_are_unsure() -> None:
    semantic = belief_of(ROOM, disagreement=np.where(CORNER, 0.41, 0.39).astype(np.float32))
    assert np.array_equal(believed(semantic).ignore_mask, CORNER)
    off = believed(semantic, without=["disagreement"])
    assert not off.ignore_mask.any()
    expected = 1 - (0.41 * CORNER.sum() + 0.39 * (ROOM[WALL].sum() - CORNER.sum())) / ROOM[WALL].sum()
    assert off.segments[0].quality_scores["agreement"] == pytest.approx(expected, abs=1e-4)


def test_a_table_of_low_mean_belief_is_unsure_as_a_whole() -> None:
    """Half of it is believed at .9, half at .27 (the others less): on the whole .585."""
    half = rectangle((100, 160, 200, 200))
    semantic = belief_of(ROOM)
    semantic.probabilities[:, half] = np.array([[0.25], [0.24], [0.24], [0.27]], np.float32)
    labels = believed(semantic)
    assert masks_of(labels, DINING_TABLE) == []
    assert np.array_equal(labels.ignore_mask, TABLE_MASK)
    off = believed(semantic, without=["low_beliefs"])
    assert np.array_equal(mask_of(off, DINING_TABLE), TABLE_MASK & ~half)
    assert np.array_equal(off.ignore_mask, half)


def test_tables_far_apart_are_two_and_the_better_comes_first() -> None:
    left, right = rectangle((20, 150, 100, 220)), rectangle((220, 150, 300, 220))
    semantic = with_probability(belief_of({DINING_TABLE: left | right}), DINING_TABLE, right, 0.97)
    first, second = masks_of(believed(semantic), DINING_TABLE)
    assert np.array_equal(first, right)
    assert np.array_equal(second, left)


def test_parts_of_a_table_behind_a_chair_are_one() -> None:
    parts = rectangle((100, 150, 150, 220)) | rectangle((160, 150, 220, 220))
    (mask,) = masks_of(believed(belief_of({DINING_TABLE: parts})), DINING_TABLE)
    assert np.array_equal(mask, parts)


def test_a_speck_of_a_table_is_unsure() -> None:
    speck = rectangle((10, 10, 14, 14))
    labels = believed(belief_of({WALL: WALL_MASK & ~speck, DINING_TABLE: speck}), without=["specks", "area_limits"])
    assert masks_of(labels, DINING_TABLE) == []
    assert np.array_equal(labels.ignore_mask, speck)


def test_a_border_between_two_sure_regions_has_no_unsure_band() -> None:
    """Where one class passes into another at least one of both has half of the belief; only there is doubt."""
    coarse = belief_of({WALL: WALL_MASK[::10, ::10], FLOOR: FLOOR_MASK[::10, ::10]}, probability=1.0)
    labels = believed(coarse)
    rows = np.flatnonzero(labels.ignore_mask.any(axis=1))
    assert set(rows) <= {138, 139, 140, 141}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("band", [1 << 20, 1000])
def test_labels_are_the_most_probable_classes_of_the_upsampled_belief(
    seed: int, band: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pixels, "BAND_PIXELS", band)
    semantic = soft_belief(seed)
    candidates = semantic_candidates(semantic, SIZE_HW, default_class_config())
    found = np.zeros(SIZE_HW, np.uint8)
    for instance in candidates.instances:
        assert instance.surface is not None
        assert not found[instance.mask].any()
        found[instance.mask] = instance.surface.coco_id
    expected = label_map(semantic.probabilities, *SIZE_HW)
    lost = (expected != 0) & (found == 0)  # tables too small to be told apart
    assert np.array_equal(found[~lost], expected[~lost])
    assert candidates.ignore_mask[lost].all()


@pytest.mark.parametrize("seed", range(3))
def test_scores_are_mean_probabilities(seed: int) -> None:
    semantic = soft_belief(seed, SIZE_HW)
    for instance in semantic_candidates(semantic, SIZE_HW, default_class_config()).instances:
        assert instance.surface in BY_ID.values()
        inside = semantic.probabilities[instance.surface.coco_id][instance.mask]
        assert instance.score == pytest.approx(inside.mean(), abs=1e-3)
        assert instance.quality_scores["agreement"] == pytest.approx(
            1 - semantic.disagreement[instance.mask].mean(), abs=1e-3
        )


@pytest.mark.parametrize("size_hw", [(1, 1), (16, 500), (333, 47), (60, 80)])
def test_photos_of_any_size(size_hw: tuple[int, int]) -> None:
    labels = believed(soft_belief(5), size_hw=size_hw)
    assert labels.ignore_mask.shape == size_hw
    check_invariants(labels)


def test_a_photo_of_nothing_known_is_other_or_unsure() -> None:
    nothing = belief_of({WALL: np.zeros(SIZE_HW, bool)})
    assert not believed(nothing).ignore_mask.any()
    flat = SemanticPrediction(np.full((4, 30, 40), 0.25, np.float32), np.zeros((30, 40), np.float32))
    assert believed(flat).ignore_mask.all()
    for semantic in (nothing, flat):
        assert believed(semantic).segments == ()


def test_a_belief_that_is_all_wall_is_beyond_the_limits() -> None:
    labels = believed(belief_of({WALL: np.ones(SIZE_HW, bool)}))
    assert labels.segments == ()
    assert labels.ignore_mask.all()
    off = believed(belief_of({WALL: np.ones(SIZE_HW, bool)}), without=["area_limits"])
    assert mask_of(off, WALL).all()
