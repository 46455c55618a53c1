"""Rules for the class probabilities of a semantic teacher: ignored pixels, and the regions of the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from autolabel.labelling.class_config import ClassConfig
from autolabel.rules.candidates import Candidates, by_name, is_thing
from autolabel.rules.masks import area_limits, ceiling_as_floor, pinholes, specks
from models.inference.postprocess import assign_residual_regions, mean_probability, upsample_window
from models.teachers.base import Floats, InstancePrediction, SemanticPrediction
from surfaces.classes import DINING_TABLE, STUFF, SurfaceClass
from surfaces.detections import Mask, box_of_mask

BAND_PIXELS = 1 << 20
"""Pixels that are upsampled to floats at once: bounds memory on large photos."""


@dataclass(frozen=True, eq=False)
class PixelBand:
    """Some rows of a photo, of full width.

    Attributes:
        rows: of the photo.
        labels: uint8 (rows, W), the most probable class: 0 other, else COCO ids.
        confidence: float32 (rows, W), its probability.
        disagreement: float32 (rows, W), 0 to 1.
    """

    rows: slice
    labels: npt.NDArray[np.uint8]
    confidence: Floats
    disagreement: Floats


PixelRule = Callable[[PixelBand, ClassConfig], Mask]
"""(band, class config) -> the band's ignored pixels."""


def low_confidence(band: PixelBand, class_config: ClassConfig) -> Mask:
    """Ignores pixels whose class, "other" included, has a probability below `belief_accept`."""
    return band.confidence < _by_label("belief_accept", band.labels, class_config)


def disagreement(band: PixelBand, class_config: ClassConfig) -> Mask:
    """Ignores pixels where members, flips and scales differ by more than `belief_disagreement`."""
    return band.disagreement > _by_label("belief_disagreement", band.labels, class_config)


def _by_label(key: str, labels: npt.NDArray[np.uint8], class_config: ClassConfig) -> Floats:
    """The setting of each pixel's label, float32 (rows, W)."""
    table = np.zeros(256, np.float32)
    for number, settings in enumerate([class_config.other, *class_config.classes.values()]):
        table[number] = getattr(settings, key)
    return cv2.LUT(labels, table)  # type: ignore[return-value]


PIXEL_RULES: Mapping[str, PixelRule] = {rule.__name__: rule for rule in (low_confidence, disagreement)}
"""By name, in their order."""


def semantic_candidates(
    semantic: SemanticPrediction,
    size_hw: tuple[int, int],
    class_config: ClassConfig,
    without: frozenset[str] = frozenset(),
) -> Candidates:
    """The regions of each pixel's most probable class, after bilinear upsampling to the photo.

    A segment's score is the mean probability of its class over all its pixels, ignored ones included. Tables are
    separated at the gaps between them, on the prediction's own raster (`surfaces.masks.table_parts`); parts that are
    too small for that are ignored. `without` are names of pixel rules that are left out.
    """
    rules = [rule for name, rule in PIXEL_RULES.items() if name not in without]
    labels = np.empty(size_hw, np.uint8)
    ignore_mask = np.zeros(size_hw, bool)
    for band in _bands(semantic, size_hw):
        labels[band.rows] = band.labels
        for rule in rules:
            ignore_mask[band.rows] |= rule(band, class_config)
    residual = labels == DINING_TABLE.coco_id
    tables = assign_residual_regions(residual, [], _raster(semantic)).groups if residual.any() else []
    for table in tables:
        residual &= ~table
    found = [*((stuff, labels == stuff.coco_id) for stuff in STUFF), *((DINING_TABLE, table) for table in tables)]
    instances = [_instance(semantic, surface, mask) for surface, mask in found if mask.any()]
    return Candidates(tuple(sorted(instances, key=lambda p: -p.score)), ignore_mask | residual)


def low_beliefs(candidates: Candidates, class_config: ClassConfig) -> Candidates:
    """Demotes tables whose mean probability is below `belief_accept`."""
    things = {surface: settings for surface, settings in class_config.classes.items() if is_thing(surface)}
    return candidates.demote(
        [p for surface, settings in things.items() for p in candidates.of(surface) if p.score < settings.belief_accept]
    )


SEMANTIC_RULES = by_name(low_beliefs, ceiling_as_floor, specks, pinholes, area_limits)
"""For the regions of a semantic teacher, after the pixel rules."""


def _instance(semantic: SemanticPrediction, surface: SurfaceClass, mask: Mask) -> InstancePrediction:
    height, width = _raster(semantic)
    step = max(1, min(mask.shape[0] // height, mask.shape[1] // width))
    coarse = mask[::step, ::step]  # a raster finer than the prediction's does not change a mean
    score = mean_probability(semantic.probabilities[surface.coco_id], coarse)
    quality_scores = {"belief": score}
    if semantic.disagreement.any():
        quality_scores["agreement"] = 1 - mean_probability(semantic.disagreement, coarse)
    return InstancePrediction(surface, surface.name, score, box_of_mask(mask), mask, quality_scores)


def _raster(semantic: SemanticPrediction) -> tuple[int, int]:
    return semantic.probabilities.shape[1], semantic.probabilities.shape[2]


def _bands(semantic: SemanticPrediction, size_hw: tuple[int, int]) -> Iterator[PixelBand]:
    height, width = size_hw
    rows = max(1, BAND_PIXELS // width)
    compared = bool(semantic.disagreement.any())
    for top in range(0, height, rows):
        bottom = min(height, top + rows)

        def upsample(values: Floats, top: int = top, bottom: int = bottom) -> Floats:
            return upsample_window(values, size_hw, 0, top, width, bottom)

        confidence = upsample(semantic.probabilities[0])
        labels = np.zeros(confidence.shape, np.uint8)
        for number, probability in enumerate(map(upsample, semantic.probabilities[1:]), start=1):
            labels[probability > confidence] = number
            np.maximum(confidence, probability, out=confidence)
        apart = upsample(semantic.disagreement) if compared else np.zeros_like(confidence)
        yield PixelBand(slice(top, bottom), labels, confidence, apart)
