"""The stage of `python -m distill reviews`: photos as features, true labels, beliefs and candidates, read once."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from distill.progress import progress
from distill.reviews_features import STRIDE, frozen_features
from distill.reviews_report import EVERYTHING, NOTHING, Cell
from distill.reviews_training import SCORED_STRIDE, LearningRoom, ShortTraining, train_shortly, validation_iou
from labelstudio.active_learning import Candidate, candidate_of, order_photos
from labelstudio.active_learning.signals import Floats, belief_raster
from models.student.weights import load_branch
from surfaces.classes import CLASSES, DINING_TABLE
from surfaces.datasets import Sample, open_dataset, split_blocks
from surfaces.errors import DatasetError
from surfaces.store.label_store import LabelStore

POOL_SHARE = 0.8
"""Of the training photos, another part for each seed: those that may be reviewed."""


@dataclass(frozen=True, eq=False)
class Stage:
    """All that the cells of the grid share.

    Attributes:
        room: what is learnt from; its first photos are the training part.
        candidates: of the training photos, in their order.
        settings: of all trainings.
    """

    room: LearningRoom
    candidates: tuple[Candidate, ...]
    settings: ShortTraining

    def reviewed(self, queue: str, reviews: int, seed: int) -> list[int]:
        """The training photos that are reviewed: the first of a queue over the seed's part of them.

        Raises:
            DatasetError: there are fewer.
        """
        if queue in (NOTHING, EVERYTHING):
            return list(range(len(self.candidates))) if queue == EVERYTHING else []
        count = round(POOL_SHARE * len(self.candidates))
        if reviews > count:
            raise DatasetError(f"expected {reviews} photos to review, got {count} of {len(self.candidates)}")
        pool = np.random.default_rng(seed).permutation(len(self.candidates))[:count]
        place = {self.candidates[index].sha256: int(index) for index in pool}
        chosen = order_photos(queue, [self.candidates[index] for index in pool], reviews, seed)
        return [place[candidate.sha256] for candidate in chosen]

    def play(self, queue: str, reviews: int, seed: int) -> Cell:
        """Reviews, trains and scores."""
        reviewed = self.reviewed(queue, reviews, seed)
        tables = [bool((self.room.truth[index] == DINING_TABLE.coco_id).any()) for index in reviewed]
        iou = validation_iou(self.room, train_shortly(self.room, reviewed, self.settings, seed))
        by_class = {surface.name: round(float(value), 4) for surface, value in zip(CLASSES, iou, strict=True)}
        return Cell(queue, len(reviewed), seed, by_class, sum(tables))


def set_stage(
    labels: Path, truth: Path, init: Path, run: Path, size_hw: tuple[int, int], settings: ShortTraining
) -> Stage:
    """Reads all that is needed; features are kept in the run's folder.

    Raises:
        DatasetError: the dataset has no training or no validation part, or a training photo has no auto-labels.
        WeightsError: `init` is no network.
    """
    train, validation = split_blocks(open_dataset(truth))
    if not train or not validation:
        counts = f"{len(train)} and {len(validation)}"
        raise DatasetError(f"expected photos to train on and others to validate on in {truth}, got {counts}")
    branch = load_branch(init)
    rows, columns = (side // STRIDE for side in size_hw)
    finer = STRIDE // SCORED_STRIDE
    candidates, beliefs = _auto_labels(labels, train, (rows, columns))
    room = LearningRoom(
        branch,
        frozen_features(branch, [*train, *validation], size_hw, run / "features"),
        np.stack([_truth_map(sample, (rows, columns)) for sample in train]),
        beliefs,
        np.stack([_truth_map(sample, (finer * rows, finer * columns)) for sample in validation]),
    )
    return Stage(room, tuple(candidates), settings)


def _auto_labels(
    folder: Path, samples: Sequence[Sample], shape: tuple[int, int]
) -> tuple[list[Candidate], npt.NDArray[np.uint8]]:
    """Candidates and beliefs, uint8 (N, 4, h, w), of photos that a store knows by their bytes."""
    candidates, beliefs = [], []
    with LabelStore.open(folder) as store:
        for sample in progress(samples):
            photo = sample.encoded_image()
            sha256 = hashlib.sha256(photo).hexdigest()
            labels = store.labels(sha256)
            candidates.append(candidate_of(sha256, labels, photo))
            beliefs.append(_resized(belief_raster(labels), shape))
    return candidates, np.stack(beliefs)


def _resized(soft_labels: Floats, shape: tuple[int, int]) -> npt.NDArray[np.uint8]:
    planes = cv2.resize(soft_labels.transpose(1, 2, 0), shape[::-1], interpolation=cv2.INTER_LINEAR).transpose(2, 0, 1)
    return np.round(255 * planes).astype(np.uint8)


def _truth_map(sample: Sample, shape: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """A photo's label map, sampled in the middle of each part of a raster."""
    semantic = sample.labels().semantic
    rows, columns = (
        ((np.arange(count) + 0.5) * side / count).astype(np.intp)
        for count, side in zip(shape, semantic.shape, strict=True)
    )
    return semantic[np.ix_(rows, columns)]
