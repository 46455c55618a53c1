"""Labels drawn as small maps of letters, and any labels at all."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from surfaces.classes import DINING_TABLE, FLOOR, WALL
from surfaces.detections import Detection, Mask, box_of_mask
from surfaces.store.records import ScoredLabels, ScoredSegment

SURFACES = {"w": WALL, "f": FLOOR, **dict.fromkeys("123", DINING_TABLE)}


def labels_on(drawing: np.ndarray, score: float = 0.5) -> ScoredLabels:
    """Labels of a map of one-letter strings: w, f, tables 1, 2, 3, ? for unsure, anything else for other."""
    segments = []
    for letter, surface in SURFACES.items():
        mask = drawing == letter
        if mask.any():
            segments.append(ScoredSegment(Detection(surface, score, box_of_mask(mask), mask)))
    return ScoredLabels(tuple(segments), drawing == "?", {"score": score})


def drawn(*rows: str) -> ScoredLabels:
    return labels_on(np.array([list(row) for row in rows]))


def mask_of(*rows: str) -> Mask:
    mask: Mask = np.array([list(row) for row in rows]) == "x"
    return mask


def drawing_of(labels: ScoredLabels) -> list[str]:
    """The rows that `drawn` would make the labels of, tables numbered in their order."""
    drawing = np.where(labels.ignore_mask, "?", ".")
    tables = 0
    for segment in labels.segments:
        found = segment.detection
        assert (drawing[found.mask] == ".").all(), "segments overlap"
        assert found.mask.any(), "a segment is empty"
        assert np.array_equal(found.box_xyxy, box_of_mask(found.mask))
        tables += found.surface.is_thing
        drawing[found.mask] = str(tables) if found.surface.is_thing else found.surface.name[0]
    return ["".join(row) for row in drawing]


any_labels = arrays("<U1", array_shapes(min_dims=2, max_dims=2, max_side=14), elements=st.sampled_from(".wf?123")).map(
    labels_on
)
