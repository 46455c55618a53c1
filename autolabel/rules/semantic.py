"""Rules for the belief of a semantic teacher: which pixels it is sure of, and which tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from autolabel.labelling.class_config import ClassConfig
from autolabel.rules.candidates import Candidates, is_thing
from models.inference.postprocess import BAND_PIXELS, assign_leftover, mean_inside, upsampled_window
from models.teachers.base import Floats, InstancePrediction, SemanticPrediction
from surfaces.classes import DINING_TABLE, STUFF, SurfaceClass
from surfaces.detections import Mask, box_of_mask


@dataclass(frozen=True, eq=False)
class PixelBand:
    """Some rows of a photo, of full width.

    Attributes:
        rows: which.
        labels: uint8 (rows, W), the most probable class: 0 other, else COCO ids.
        confidence: float32 (rows, W), its probability.
        disagreement: float32 (rows, W), 0 to 1.
    """

    rows: slice
    labels: npt.NDArray[np.uint8]
    confidence: Floats
    disagreement: Floats


PixelRule = Callable[[PixelBand, ClassConfig], Mask]
"""(band, ontology) -> which of its pixels are unsure."""


def low_confidence(band: PixelBand, class_config: ClassConfig) -> Mask:
    """Pixels whose class is less probable than the ontology's `belief_accept`, "other" among them, are unsure."""
    least = [class_config.other.belief_accept, *(sought.belief_accept for sought in class_config.classes)]
    return band.confidence < _by_label(least, band.labels)


def disagreement(band: PixelBand, class_config: ClassConfig) -> Mask:
    """Pixels about which members, flips and scales are further apart than `belief_disagreement` are unsure."""
    largest = [class_config.other.belief_disagreement, *(sought.belief_disagreement for sought in class_config.classes)]
    return band.disagreement > _by_label(largest, band.labels)


def _by_label(values: list[float], labels: npt.NDArray[np.uint8]) -> Floats:
    """The value of each pixel's label, float32 (rows, W)."""
    table = np.zeros(256, np.float32)
    table[: len(values)] = values
    return cv2.LUT(labels, table)  # type: ignore[return-value]


PIXEL_RULES: Mapping[str, PixelRule] = {rule.__name__: rule for rule in (low_confidence, disagreement)}
"""By name, in the order in which they are applied."""


def draft_of_belief(
    semantic: SemanticPrediction,
    size_hw: tuple[int, int],
    class_config: ClassConfig,
    without: frozenset[str] = frozenset(),
) -> Candidates:
    """Regions of a belief: each pixel's most probable class after bilinear upsampling to the photo.

    A segment's score is the mean probability of its class over all of it, unsure pixels included. Tables are told apart
    on the belief's own raster, by the gaps between them (`surfaces.masks.table_parts`); parts too small for that are
    unsure.

    Args:
        belief: at any resolution.
        size_hw: the photo's height and width.
        ontology: thresholds.
        without: names of pixel rules that are left out.

    Returns:
        Wall, floor and tables that do not overlap, and the unsure pixels.
    """
    rules = [rule for name, rule in PIXEL_RULES.items() if name not in without]
    labels = np.empty(size_hw, np.uint8)
    ignore_mask = np.zeros(size_hw, bool)
    for band in _bands(semantic, size_hw):
        labels[band.rows] = band.labels
        for rule in rules:
            ignore_mask[band.rows] |= rule(band, class_config)
    all_tables = labels == DINING_TABLE.coco_id
    tables = assign_leftover(all_tables, [], _raster(semantic)).groups if all_tables.any() else []
    for table in tables:
        all_tables &= ~table
    found = [*((stuff, labels == stuff.coco_id) for stuff in STUFF), *((DINING_TABLE, table) for table in tables)]
    instances = [_proposal(semantic, surface, mask) for surface, mask in found if mask.any()]
    return Candidates(tuple(sorted(instances, key=lambda p: -p.score)), ignore_mask | all_tables)


def low_beliefs(candidates: Candidates, class_config: ClassConfig) -> Candidates:
    """A table whose mean belief is below the ontology's `belief_accept` is in doubt as a whole."""
    things = [
        (p, class_config.of(p.surface)) for p in candidates.instances if p.surface is not None and is_thing(p.surface)
    ]
    return candidates.doubting([p for p, sought in things if p.score < sought.belief_accept])


def _proposal(semantic: SemanticPrediction, surface: SurfaceClass, mask: Mask) -> InstancePrediction:
    height, width = _raster(semantic)
    step = max(1, min(mask.shape[0] // height, mask.shape[1] // width))
    coarse = mask[::step, ::step]  # finer than the belief's raster is of no use to a mean
    score = mean_inside(semantic.probabilities[surface.coco_id], coarse)
    quality_scores = {"belief": score}
    if semantic.disagreement.any():
        quality_scores["agreement"] = 1 - mean_inside(semantic.disagreement, coarse)
    return InstancePrediction(surface, surface.name, score, box_of_mask(mask), mask, quality_scores)


def _raster(semantic: SemanticPrediction) -> tuple[int, int]:
    return semantic.probabilities.shape[1], semantic.probabilities.shape[2]


def _bands(semantic: SemanticPrediction, size_hw: tuple[int, int]) -> Iterator[PixelBand]:
    height, width = size_hw
    rows = max(1, BAND_PIXELS // width)
    compared = bool(semantic.disagreement.any())
    for top in range(0, height, rows):
        bottom = min(height, top + rows)

        def part(values: Floats, top: int = top, bottom: int = bottom) -> Floats:
            return upsampled_window(values, size_hw, 0, top, width, bottom)

        confidence = part(semantic.probabilities[0])
        labels = np.zeros(confidence.shape, np.uint8)
        for number, probability in enumerate(map(part, semantic.probabilities[1:]), start=1):
            labels[probability > confidence] = number
            np.maximum(confidence, probability, out=confidence)
        apart = part(semantic.disagreement) if compared else np.zeros_like(confidence)
        yield PixelBand(slice(top, bottom), labels, confidence, apart)
