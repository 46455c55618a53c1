"""The zero-shot teacher: Grounding DINO finds boxes for words, SAM makes them masks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

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
from models.teachers.grounding_dino.checkpoint import KINDS as DINO_KINDS
from models.teachers.grounding_dino.checkpoint import DinoSize
from models.teachers.grounding_dino.detector import DinoSettings, GroundingDino, Implementation
from models.teachers.sam.photo import PromptableSegmenter, PromptedPhoto, SamMask
from models.teachers.sam.prompts import SamSettings, overlapping_groups, stuff_prompt, thing_prompt
from models.teachers.sam.sam2 import KINDS as SAM2_KINDS
from models.teachers.sam.sam2 import Sam2
from models.teachers.sam.segmenter import Sam
from models.weights.official import BERT_VOCABULARY, GROUNDING_DINO, SAM, SAM2, Checkpoint, find_weights, licence_of
from models.weights.pretrained import find_pretrained
from surfaces.classes import CLASSES, OTHER, STUFF
from surfaces.detections import Image
from surfaces.licences import merged


def rasterize_instances(instances: Iterable[InstancePrediction], size_hw: tuple[int, int]) -> SemanticPrediction:
    """Rasterizes a photo's instances over each other: walls and floors, then things and negative prompts, by score.

    Inside an instance its class has the score as probability and `other` the rest; elsewhere `other` has 1. Mask edges
    are antialiased.
    """
    probabilities = np.zeros((1 + len(CLASSES), *size_hw), np.float32)
    probabilities[OTHER] = 1
    for instance in sorted(instances, key=lambda instance: (instance.surface not in STUFF, instance.score)):
        cover = _cover(instance, size_hw)
        probabilities *= 1 - cover
        if instance.surface is None:
            probabilities[OTHER] += cover
        else:
            probabilities[OTHER] += (1 - instance.score) * cover
            probabilities[instance.surface.coco_id] += instance.score * cover
    return SemanticPrediction(probabilities, np.zeros(size_hw, np.float32))


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


class GroundedSam:
    """A teacher of a detector and SAM (Ren et al., Grounded SAM, 2024); walls and floors are prompted as whole regions.

    Args:
        detector: finds boxes.
        sam: makes them masks: SAM or SAM 2.
        prompts: for the detector, negative prompts among them.
        select: chooses among the boxes. Not part of the fingerprint.
        settings: of SAM's prompts.
        kind: the first word of its name.
    """

    def __init__(
        self,
        detector: GroundingDino,
        sam: PromptableSegmenter,
        prompts: Sequence[Prompt],
        select: Select,
        settings: SamSettings | None = None,
        kind: str = "grounded-sam",
    ) -> None:
        self._detector = detector
        self._sam = sam
        self._prompts = tuple(prompts)
        self._select = select
        self._settings = settings or SamSettings()
        self.name = f"{kind} ({detector.name}, {sam.name})"
        self.licences = merged(licence_of(network.weights_sha256, network.name) for network in (detector, sam))
        parts = [
            self.name,
            detector.fingerprint,
            sam.weights_sha256,
            asdict(self._settings),
            [(prompt.text, prompt.surface.name if prompt.surface else None) for prompt in self._prompts],
        ]
        self.fingerprint = hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def predict(self, image: Image) -> Prediction:
        """Predicts an instance for each thing and negative box and for each region of stuff whose mask is not empty."""
        return self.predict_batch([image])[0]

    def predict_batch(self, images: Sequence[Image]) -> list[Prediction]:
        """As `predict`, for several photos: the detector and SAM's encoder get those of one input size at once."""
        sizes = [(image.shape[0], image.shape[1]) for image in images]
        chosen = list(map(self._select, self._detector.detect_batch(images, self._prompts), sizes))
        with_boxes = [index for index, boxes in enumerate(chosen) if boxes]
        predictions = [Prediction()] * len(images)
        for index, photo in zip(with_boxes, self._sam.encode_batch([images[i] for i in with_boxes]), strict=True):
            found = (each for each in self._instances(photo, chosen[index], sizes[index]) if each.mask.any())
            predictions[index] = Prediction(tuple(sorted(found, key=lambda instance: -instance.score)))
        return predictions

    def _instances(
        self, photo: PromptedPhoto, chosen: Sequence[ChosenBox], size_hw: tuple[int, int]
    ) -> Iterator[InstancePrediction]:
        for box in chosen:
            if box.prompt.surface not in STUFF:
                yield _instance(box, box.box_xyxy, photo.thing(thing_prompt(box.box_xyxy), self._settings))
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
    implementation: Implementation = "transformers",
) -> GroundedSam:
    """The teacher with official weights, downloaded where they are neither given nor cached.

    Arguments and errors as of `GroundedSam`, `find_weights`, `GroundingDino.load` and `pick_device`. `sam_size` is a
    key of `official.SAM`, or of `official.SAM2` for Grounded SAM 2 (Ren et al., 2024). Folders in transformers' format
    among the weights are taken for the detector and for SAM 2, whichever they are of.
    """
    checkpoint = GROUNDING_DINO[detector_size]
    detector = GroundingDino.load(
        detector_size,
        _detector_folder(weights, checkpoint) or find_weights(checkpoint, weights, cache),
        find_weights(BERT_VOCABULARY, weights, cache),
        device,
        detector_settings,
        implementation,
    )
    if sam_size in SAM:
        sam = Sam.load(sam_size, find_weights(SAM[sam_size], weights, cache), device)
        return GroundedSam(detector, sam, prompts, select, sam_settings)
    sam2 = Sam2.load(
        sam_size, find_pretrained(weights, SAM2_KINDS) or find_weights(SAM2[sam_size], weights, cache), device
    )
    return GroundedSam(detector, sam2, prompts, select, sam_settings, kind="grounded-sam2")


def _detector_folder(weights: Sequence[Path], checkpoint: Checkpoint) -> Path | None:
    """A folder that transformers wrote; a `config.json` beside an official file only describes that."""
    folder = find_pretrained(weights, DINO_KINDS)
    return None if folder is None or (folder / checkpoint.name).is_file() else folder


def _instance(box: ChosenBox, box_xyxy: Floats, found: SamMask) -> InstancePrediction:
    quality_scores = {"predicted_iou": found.predicted_iou, "stability": found.stability}
    return InstancePrediction(box.prompt.surface, box.prompt.text, box.score, box_xyxy, found.mask, quality_scores)
