"""The zero-shot teacher of one network: SAM 3 finds and draws what words name."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from models.teachers.base import ChosenBox, Floats, InstancePrediction, Prediction, Prompt, PromptedBoxes
from models.teachers.grounded_sam import Select
from models.teachers.sam.prompts import hull, overlapping_groups
from models.teachers.sam.sam3 import ConceptInstances, Sam3, Sam3Photo
from models.weights.gated import SAM3
from surfaces.classes import STUFF
from surfaces.detections import Image, Mask
from surfaces.licences import Licence

_SCORE_THRESHOLD = 0.2  # the rules' own thresholds are higher


class Sam3Teacher:
    """A teacher of SAM 3 (Carion et al., 2025); the masks of walls that overlap, or of floors, are one region.

    Args:
        sam3: the network.
        prompts: negative prompts among them; a photo is encoded once and each prompt has a pass.
        select: chooses among the found instances by their boxes. Not part of the fingerprint.
    """

    def __init__(self, sam3: Sam3, prompts: Sequence[Prompt], select: Select) -> None:
        self._sam3 = sam3
        self._prompts = tuple(prompts)
        self._token_ids = sam3.token_ids([prompt.text for prompt in prompts])
        self._select = select
        self.name = "sam3"
        self.licences = (Licence.of(SAM3.repository, SAM3.licence),)
        named = [(prompt.text, prompt.surface.name if prompt.surface else None) for prompt in self._prompts]
        parts = [self.name, sam3.weights_sha256, _SCORE_THRESHOLD, named]
        self.fingerprint = hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def predict(self, image: Image) -> Prediction:
        """Predicts the things and negative instances, and the regions of stuff, whose mask is not empty."""
        return self.predict_batch([image])[0]

    def predict_batch(self, images: Sequence[Image]) -> list[Prediction]:
        """As `predict`, for several photos, which are encoded at once."""
        photos = self._sam3.encode_batch(images)
        return [self._predict(photo, image.shape) for photo, image in zip(photos, images, strict=True)]

    def _predict(self, photo: Sam3Photo, photo_hw: tuple[int, ...]) -> Prediction:
        found = [photo.find(token_ids, _SCORE_THRESHOLD) for token_ids in self._token_ids]
        boxes = _prompted_boxes(found, self._prompts)
        chosen = self._select(boxes, (photo_hw[0], photo_hw[1]))
        probabilities = np.concatenate([instances.probabilities for instances in found])
        instances = _instances(chosen, lambda box: photo.mask(probabilities[_row_of(box, boxes)]))
        drawn = (instance for instance in instances if instance.mask.any())
        return Prediction(tuple(sorted(drawn, key=lambda instance: -instance.score)))


def _prompted_boxes(found: Sequence[ConceptInstances], prompts: tuple[Prompt, ...]) -> PromptedBoxes:
    """All instances; each scores for the prompt that found it."""
    scores = np.zeros((sum(len(instances.scores) for instances in found), len(prompts)), np.float32)
    row = 0
    for column, instances in enumerate(found):
        scores[row : row + len(instances.scores), column] = instances.scores
        row += len(instances.scores)
    return PromptedBoxes(np.concatenate([instances.boxes_xyxy for instances in found]), scores, prompts)


def _row_of(box: ChosenBox, boxes: PromptedBoxes) -> int:
    """The index of a box that was chosen for a prompt; the rules may have lowered its score."""
    same = (boxes.boxes_xyxy == box.box_xyxy).all(axis=1) & (boxes.scores[:, boxes.prompts.index(box.prompt)] > 0)
    return int(same.argmax())


def _instances(chosen: Sequence[ChosenBox], mask_of: Callable[[ChosenBox], Mask]) -> Iterator[InstancePrediction]:
    for box in chosen:
        if box.prompt.surface not in STUFF:
            yield _instance(box, box.box_xyxy, mask_of(box))
    for surface in STUFF:
        for group in overlapping_groups([box for box in chosen if box.prompt.surface == surface]):
            mask = np.logical_or.reduce([mask_of(box) for box in group])
            yield _instance(max(group, key=lambda box: box.score), hull(group), mask)


def _instance(box: ChosenBox, box_xyxy: Floats, mask: Mask) -> InstancePrediction:
    return InstancePrediction(box.prompt.surface, box.prompt.text, box.score, box_xyxy, mask)
