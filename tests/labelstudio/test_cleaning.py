from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labelstudio.sync.regions import labels_of, prediction_of
from labelstudio.sync.simplify import MOST_BYTES, clean_labels
from surfaces.store.records import ScoredLabels
from tests.labelstudio.drawn_labels import any_labels, drawing_of, labels_on


def size_of(labels: ScoredLabels) -> int:
    return len(json.dumps(prediction_of(labels, "")))


def room(height: int = 300, width: int = 400) -> np.ndarray:
    """Wall above floor with a window, and a table with an unsure edge."""
    drawing = np.full((height, width), "w")
    drawing[height // 2 :] = "f"
    drawing[height // 8 : height // 3, width // 8 : width // 3] = "."
    drawing[height // 3 : -height // 4, width // 2 : -width // 8] = "?"
    drawing[height // 3 + 4 : -height // 4 - 4, width // 2 + 4 : -width // 8 - 4] = "1"
    return drawing


def peppered(drawing: np.ndarray, share: float, letter: str) -> np.ndarray:
    speckled = drawing.copy()
    speckled[np.random.default_rng(3).random(drawing.shape) < share] = letter
    return speckled


@given(any_labels)
@settings(deadline=None)
def test_light_labels_stay_the_very_same(labels: ScoredLabels) -> None:
    cleaned = clean_labels(labels)
    assert cleaned.labels is labels
    assert cleaned.changed_pixels == 0
    assert cleaned.note == ""


def test_a_photo_of_12_megapixels_is_light() -> None:
    labels = labels_on(peppered(room(3000, 4000), 0.001, "w"))
    assert clean_labels(labels).labels is labels


@pytest.mark.parametrize("letter", list(".wf?"))
def test_specks_and_pinholes_become_what_they_lie_in(letter: str) -> None:
    clean = room()
    noisy = labels_on(peppered(clean, 0.004, letter))
    limit = size_of(labels_on(clean)) + 1000
    assert size_of(noisy) > limit
    cleaned = clean_labels(noisy, limit)
    assert size_of(cleaned.labels) <= limit
    assert np.mean(np.array([list(row) for row in drawing_of(cleaned.labels)]) != clean) < 0.0005
    assert 0 < cleaned.changed_pixels < 0.006 * clean.size
    assert cleaned.note.startswith("parts below ")


def test_no_more_is_absorbed_than_needed() -> None:
    drawing = room()
    drawing[20:22, 300:302] = "."
    drawing[250:265, 20:35] = "?"
    labels = labels_on(drawing)
    drawing[20:22, 300:302] = "w"
    without_speck = labels_on(drawing)
    cleaned = clean_labels(labels, size_of(labels) - 1)
    assert drawing_of(cleaned.labels) == drawing_of(without_speck)
    assert cleaned.changed_pixels == 4


def test_a_small_table_is_kept() -> None:
    drawing = room()
    drawing[160:280:12, 4:200:12] = drawing[161:280:12, 4:200:12] = "."
    drawing[262:264, 300:302] = "2"
    with_specks = labels_on(drawing)
    drawing[160:280:12, 4:200:12] = drawing[161:280:12, 4:200:12] = "f"
    cleaned = clean_labels(with_specks, size_of(labels_on(drawing)))
    assert cleaned.note == "parts below 0.0040% of the photo absorbed", "4 pixels are below"
    assert drawing_of(cleaned.labels) == drawing_of(labels_on(drawing))


def test_where_specks_are_many_they_are_noise() -> None:
    noisy = peppered(room(), 0.05, "?")
    labels = labels_on(noisy)
    cleaned = clean_labels(labels, size_of(labels) * 3 // 4)
    assert cleaned.note.startswith("squares of ")
    changed = np.array([list(row) for row in drawing_of(cleaned.labels)]) != noisy
    assert cleaned.labels.ignore_mask[changed].all()


def test_noise_becomes_unsure() -> None:
    noisy = peppered(room(), 0.4, "f")
    labels = labels_on(noisy)
    cleaned = clean_labels(labels, 30_000)
    assert size_of(cleaned.labels) <= 30_000
    assert "squares" in cleaned.note
    changed = np.array([list(row) for row in drawing_of(cleaned.labels)]) != noisy
    assert np.count_nonzero(changed) == cleaned.changed_pixels
    assert np.count_nonzero(changed & ~cleaned.labels.ignore_mask) <= 0.01 * noisy.size
    assert cleaned.labels.segments, "the floor, in which floor is no noise, is left"


def test_a_comb_of_one_piece_is_made_light() -> None:
    comb = np.full((200, 300), ".")
    comb[:, ::2] = "w"
    comb[0] = "w"
    cleaned = clean_labels(labels_on(comb), 5_000)
    assert size_of(cleaned.labels) <= 5_000
    assert cleaned.labels.ignore_mask[1:].all()


def test_scores_qualities_and_belief_stay() -> None:
    noisy = labels_on(peppered(room(), 0.004, "."), score=0.7)
    cleaned = clean_labels(noisy, 25_000)
    assert cleaned.changed_pixels
    assert cleaned.labels.quality_scores == {"score": 0.7}
    assert {segment.detection.score for segment in cleaned.labels.segments} == {0.7}


@given(any_labels, st.integers(900, 1600))
@settings(deadline=None)
def test_whatever_the_limit_labels_stay_whole_and_exact(labels: ScoredLabels, limit: int) -> None:
    cleaned = clean_labels(labels, limit)
    size = labels.ignore_mask.shape
    if len(cleaned.labels.segments) == len(labels.segments):
        changed = np.not_equal(*(list("".join(drawing_of(either))) for either in (labels, cleaned.labels)))
        assert np.count_nonzero(changed) == cleaned.changed_pixels
    back = labels_of(prediction_of(cleaned.labels, "")["result"], *size, cleaned.labels).labels
    assert drawing_of(back) == drawing_of(cleaned.labels)
    if size_of(cleaned.labels) <= limit:
        again = clean_labels(cleaned.labels, limit)
        assert again.labels is cleaned.labels
        assert again.changed_pixels == 0


def test_the_default_limit_holds_for_large_noise() -> None:
    blobs = cv2.GaussianBlur(np.random.default_rng(0).normal(size=(1500, 2000)), (0, 0), 2)
    drawing = np.where(blobs > 0, "w", "f")
    labels = labels_on(drawing)
    assert size_of(labels) > MOST_BYTES
    cleaned = clean_labels(labels)
    assert size_of(cleaned.labels) <= MOST_BYTES
    assert clean_labels(cleaned.labels).labels is cleaned.labels
