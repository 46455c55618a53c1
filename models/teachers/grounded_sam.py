"""The zero-shot teacher: Grounding DINO finds boxes for words, SAM makes them masks.

The composition is that of Grounded-SAM (Ren et al., Grounded SAM, 2024), but that of wall and floor SAM is asked for
whole regions.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from models.teachers.base import (
    ChosenBox,
    Floats,
    InstancePrediction,
    Prediction,
    Prompt,
    PromptedBoxes,
    SemanticPrediction,
)
from models.teachers.grounding_dino.checkpoint import DinoSize
from models.teachers.grounding_dino.detector import DinoSettings, GroundingDino
from models.teachers.sam.prompts import SamSettings, overlapping_groups, stuff_prompt, thing_prompt
from models.teachers.sam.segmenter import EncodedPhoto, Sam, SamMask
from models.weights.official import BERT_VOCABULARY, GROUNDING_DINO, SAM, find_weights
from surfaces.classes import CLASSES, OTHER, STUFF
from surfaces.detections import Image


def rasterize_instances(instances: Iterable[InstancePrediction], size_hw: tuple[int, int]) -> SemanticPrediction:
    """Rasterizes instances over each other: walls and floors first, then things and negative prompts, by score.

    Inside an instance its class has the score as probability and `other` the rest; elsewhere `other` has 1. Mask edges
    are antialiased.

    Args:
        instances: of one photo.
        size_hw: rows and columns of the result.
    """
    probabilities = np.zeros((1 + len(CLASSES), *size_hw), np.float32)
    probabilities[OTHER] = 1
    for instance in sorted(instances, key=_raster_order):
        cover = _cover(instance, size_hw)
        probabilities *= 1 - cover
        if instance.surface is None:
            probabilities[OTHER] += cover
        else:
            probabilities[OTHER] += (1 - instance.score) * cover
            probabilities[instance.surface.coco_id] += instance.score * cover
    return SemanticPrediction(probabilities, np.zeros(size_hw, np.float32))


def _raster_order(instance: InstancePrediction) -> tuple[bool, float]:
    return instance.surface not in STUFF, instance.score


def _cover(instance: InstancePrediction, size_hw: tuple[int, int]) -> Floats:
    """The share of each raster pixel that an instance's mask covers, float32 (h, w)."""
    shrinks = instance.mask.shape[0] > size_hw[0] or instance.mask.shape[1] > size_hw[1]
    cover = cv2.resize(
        instance.mask.astype(np.uint8) * 255,
        (size_hw[1], size_hw[0]),
        interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_NEAREST,
    )
    return np.asarray(cover, np.float32) / np.float32(255)


Select = Callable[[PromptedBoxes, tuple[int, int]], Sequence[ChosenBox]]
"""Selects boxes for SAM from the detected boxes and the photo's height and width."""


class Detector(Protocol):
    """Finds boxes for words; the same photo and words give the same boxes."""

    @property
    def name(self) -> str:
        """For provenance."""

    @property
    def fingerprint(self) -> str:
        """Changes whenever boxes may: a sha256 over weights and settings."""

    def detect(self, image: Image, prompts: Sequence[Prompt]) -> PromptedBoxes:
        """Boxes and their scores for the prompts, on a photo, uint8 HxWx3 RGB."""


class GroundedSam:
    """A teacher of a detector and SAM.

    Args:
        detector: finds boxes.
        sam: makes them masks.
        prompts: what the detector is asked for, negative prompts among them.
        select: chooses among the boxes. Not part of the fingerprint.
        settings: how SAM is asked.
    """

    def __init__(
        self,
        detector: Detector,
        sam: Sam,
        prompts: Sequence[Prompt],
        select: Select,
        settings: SamSettings | None = None,
    ) -> None:
        self._detector = detector
        self._sam = sam
        self._prompts = tuple(prompts)
        self._select = select
        self._settings = settings or SamSettings()
        self.name = f"grounded-sam ({detector.name}, {sam.name})"
        parts = [
            self.name,
            detector.fingerprint,
            sam.weights_sha256,
            asdict(self._settings),
            [(prompt.text, prompt.surface.name if prompt.surface else None) for prompt in self._prompts],
        ]
        self.fingerprint = hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def predict(self, image: Image) -> Prediction:
        """Predicts an instance for each thing and negative box, and one for each region of stuff.

        Args:
            image: uint8 HxWx3 RGB.

        Returns:
            Instances, best first; boxes with an empty mask give none.
        """
        size_hw = image.shape[0], image.shape[1]
        chosen = self._select(self._detector.detect(image, self._prompts), size_hw)
        if not chosen:
            return Prediction()
        photo = self._sam.encode(image)
        instances = [*self._things(photo, chosen), *self._regions(photo, chosen, size_hw)]
        found = (instance for instance in instances if instance.mask.any())
        return Prediction(tuple(sorted(found, key=lambda instance: -instance.score)))

    def _things(self, photo: EncodedPhoto, chosen: Sequence[ChosenBox]) -> Iterator[InstancePrediction]:
        for box in chosen:
            if box.prompt.surface not in STUFF:
                yield _instance(box, box.box_xyxy, photo.thing(thing_prompt(box.box_xyxy), self._settings))

    def _regions(
        self, photo: EncodedPhoto, chosen: Sequence[ChosenBox], size_hw: tuple[int, int]
    ) -> Iterator[InstancePrediction]:
        for surface in STUFF:
            for group in overlapping_groups([b for b in chosen if b.prompt.surface == surface]):
                best = max(group, key=lambda box: box.score)
                prompt = stuff_prompt(group, chosen, size_hw, self._settings)
                yield _instance(best, prompt.box_xyxy, photo.stuff(prompt, self._settings))


def open_grounded_sam(
    prompts: Sequence[Prompt],
    select: Select,
    *,
    detector_size: DinoSize = "swint",
    sam_size: str = "vit_b",
    weights: Sequence[Path] = (),
    cache: Path | None = None,
    device: str | None = None,
    detector_settings: DinoSettings | None = None,
    sam_settings: SamSettings | None = None,
) -> GroundedSam:
    """The teacher with official weights, downloaded where they are neither given nor cached.

    Args:
        prompts: what the detector is asked for.
        select: chooses among the boxes.
        detector_size: `swint` or `swinb`.
        sam_size: `vit_b`, `vit_l` or `vit_h`.
        weights: the user's own files under their official names, or folders of such.
        cache: where downloads are kept; `cache_folder()` where None.
        device: as torch names it; a GPU where there is one and none is named.
        detector_settings: how boxes are looked for.
        sam_settings: how SAM is asked.

    Raises:
        WeightsError: weights can't be had or are other ones.
        DeviceError: there is no such device.
    """
    wanted = (GROUNDING_DINO[detector_size], BERT_VOCABULARY, SAM[sam_size])
    detector_file, vocabulary, sam_file = (find_weights(checkpoint, weights, cache) for checkpoint in wanted)
    detector = GroundingDino.load(detector_size, detector_file, vocabulary, device, detector_settings)
    return GroundedSam(detector, Sam.load(sam_size, sam_file, device), prompts, select, sam_settings)


def _instance(box: ChosenBox, box_xyxy: Floats, answer: SamMask) -> InstancePrediction:
    quality_scores = {"predicted_iou": answer.predicted_iou, "stability": answer.stability}
    return InstancePrediction(box.prompt.surface, box.prompt.text, box.score, box_xyxy, answer.mask, quality_scores)
