"""The simulation: reviews by a queue, then a short training on the features of a frozen encoder, then a score."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from distill.training.optimizer import schedule
from labelstudio.active_learning import Candidate, measure_candidate, order_photos
from labelstudio.active_learning.signals import soft_label_raster
from models.student.network import SemanticBranch, semantic_loss, soft_label_loss
from models.student.semantic import grouped_log_probabilities, grouped_probabilities
from models.student.weights import load_branch
from surfaces.classes import CLASSES, DINING_TABLE, IGNORE, OTHER_TABLE
from surfaces.cli.progress import track
from surfaces.datasets import Sample, open_dataset, split_blocks
from surfaces.errors import DatasetError
from surfaces.metrics import iou_of_counts
from surfaces.store.label_store import LabelStore
from tools.review_simulation.results import EVERYTHING, NOTHING, Trial

POOL_SHARE = 0.8
"""Share of the training photos that can be reviewed, another part for each seed."""

STRIDE = 4
"""Of the branch's output, and of the labels to learn from."""

SCORED_STRIDE = 2
"""Of the label maps that are compared."""

_SCORING_BATCH = 8

Indices = npt.NDArray[np.intp]
Features = tuple[npt.NDArray[np.float16], npt.NDArray[np.float16], npt.NDArray[np.float16]]
"""The encoder's outputs for N photos at stride 4, 8 and 16: float16 (N, C, H/stride, W/stride)."""


@dataclass(frozen=True)
class ShortTraining:
    """Settings of a short training, the same for all queues; a run's log holds them by these names."""

    steps: int = 60
    reviewed_batch: int = 4  # reviewed photos per step
    table_share: float = 0.0  # of these: photos with a dining table, where there are any
    auto_batch: int = 4  # auto-labelled photos per step
    belief_weight: float = 0.25  # of the loss on soft labels; that on reviewed photos has weight 1
    lr: float = 1e-3  # AdamW's peak
    weight_decay: float = 0.01
    warmup: float = 0.1
    clip: float = 5.0
    ema: float = 0.97  # of the averaged weights, which are scored


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """What all trainings share.

    Attributes:
        branch: the network that they start from.
        features: of N training photos, then of M validation photos.
        truth: uint8 (N, h, w), true label maps of the training photos at the branch's output stride.
        soft_labels: uint8 (N, 4, h, w), the teacher's class probabilities of the training photos, times 255.
        validation: uint8 (M, 2h, 2w), true label maps of the validation photos.
    """

    branch: SemanticBranch
    features: Features
    truth: npt.NDArray[np.uint8]
    soft_labels: npt.NDArray[np.uint8]
    validation: npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Simulation:
    """What all trials share; the candidates are the training photos in their order."""

    data: TrainingSet
    candidates: list[Candidate]
    settings: ShortTraining

    def select_reviewed(self, queue: str, reviews: int, seed: int) -> list[int]:
        """Indices of the reviewed training photos: the first of a queue over the seed's pool."""
        if queue in (NOTHING, EVERYTHING):
            return list(range(len(self.candidates))) if queue == EVERYTHING else []
        count = round(POOL_SHARE * len(self.candidates))
        if reviews > count:
            raise DatasetError(f"expected {reviews} photos to review, got {count} of {len(self.candidates)}")
        pool = np.random.default_rng(seed).permutation(len(self.candidates))[:count]
        index_of = {self.candidates[index].sha256: int(index) for index in pool}
        chosen = order_photos(queue, [self.candidates[index] for index in pool], reviews, seed)
        return [index_of[candidate.sha256] for candidate in chosen]

    def run_trial(self, queue: str, reviews: int, seed: int) -> Trial:
        """Reviews, trains and scores."""
        reviewed = self.select_reviewed(queue, reviews, seed)
        tables = [bool((self.data.truth[index] == DINING_TABLE.coco_id).any()) for index in reviewed]
        iou = validation_iou(self.data, train_briefly(self.data, reviewed, self.settings, seed))
        by_class = {surface.name: round(float(value), 4) for surface, value in zip(CLASSES, iou, strict=True)}
        return Trial(queue, len(reviewed), seed, by_class, sum(tables))


def setup(labels: Path, truth: Path, init: Path, size_hw: tuple[int, int], settings: ShortTraining) -> Simulation:
    """Reads and encodes everything."""
    train, validation = split_blocks(open_dataset(truth))
    if not train or not validation:
        counts = f"{len(train)} and {len(validation)}"
        raise DatasetError(f"expected photos to train on and others to validate on in {truth}, got {counts}")
    branch = load_branch(init)
    height, width = size_hw
    learnt, scored = ((height // stride, width // stride) for stride in (STRIDE, SCORED_STRIDE))
    candidates, soft_labels = _read_auto_labels(labels, train, learnt)
    features = _encode_photos(branch, [*train, *validation], size_hw)
    true_maps = [
        np.stack([_sample_truth(s, shape) for s in of]) for of, shape in ((train, learnt), (validation, scored))
    ]
    return Simulation(TrainingSet(branch, features, true_maps[0], soft_labels, true_maps[1]), candidates, settings)


@torch.no_grad()
def _encode_photos(branch: SemanticBranch, samples: Sequence[Sample], size_hw: tuple[int, int]) -> Features:
    """The frozen encoder's outputs for photos, each stretched to one size."""
    levels: tuple[list[npt.NDArray[np.float16]], ...] = ([], [], [])
    for sample in track(samples):
        image = cv2.resize(sample.image(), size_hw[::-1], interpolation=cv2.INTER_AREA)
        outputs = branch.encoder(torch.from_numpy(image).permute(2, 0, 1)[None].float())
        for level, output in zip(levels, outputs, strict=True):
            level.append(output[0].numpy().astype(np.float16))
    stride4, stride8, last = (np.stack(level) for level in levels)
    return stride4, stride8, last


def _read_auto_labels(
    folder: Path, samples: Sequence[Sample], shape: tuple[int, int]
) -> tuple[list[Candidate], npt.NDArray[np.uint8]]:
    """Candidates and soft labels, uint8 (N, 4, h, w), of photos that a store knows by their SHA-256."""
    candidates, soft_labels = [], []
    with LabelStore.open(folder) as store:
        for sample in track(samples):
            photo = sample.encoded_image()
            sha256 = hashlib.sha256(photo).hexdigest()
            labels = store.labels(sha256)
            candidates.append(measure_candidate(sha256, labels, photo))
            planes = soft_label_raster(labels).transpose(1, 2, 0)
            resized = cv2.resize(planes, shape[::-1], interpolation=cv2.INTER_LINEAR).transpose(2, 0, 1)
            soft_labels.append(np.round(255 * resized).astype(np.uint8))
    return candidates, np.stack(soft_labels)


def _sample_truth(sample: Sample, shape: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """A photo's label map, sampled in the middle of each cell of a raster."""
    semantic = sample.labels().semantic
    rows, columns = (
        ((np.arange(count) + 0.5) * side / count).astype(np.intp)
        for count, side in zip(shape, semantic.shape, strict=True)
    )
    return semantic[np.ix_(rows, columns)]


def train_briefly(data: TrainingSet, reviewed: Sequence[int], settings: ShortTraining, seed: int) -> SemanticBranch:
    """Trains pyramid and decoder; the encoder stays as it is.

    Each step draws from the reviewed photos (indices of the training photos whose true labels are used) and from the
    others. If one kind is empty, a step has the other kind only.

    Returns:
        The network with averaged weights.
    """
    branch = copy.deepcopy(data.branch)
    trained = [*branch.pyramid.parameters(), *branch.decoder.parameters()]
    for parameter in trained:
        parameter.requires_grad_(True)
    average = copy.deepcopy(branch).requires_grad_(False)
    optimizer = torch.optim.AdamW(trained, lr=settings.lr, weight_decay=settings.weight_decay)
    known = np.asarray(reviewed, np.intp)
    tables = known[(data.truth[known] == DINING_TABLE.coco_id).any(axis=(1, 2))]
    with_table = round(settings.reviewed_batch * settings.table_share) if tables.size else 0
    others = np.setdiff1d(np.arange(len(data.truth)), reviewed)
    rng = np.random.default_rng(seed)
    for step in range(settings.steps):
        for group in optimizer.param_groups:
            group["lr"] = settings.lr * schedule(step / settings.steps, settings.warmup)
        drawn = [_draw(rng, tables, with_table), _draw(rng, known, settings.reviewed_batch - with_table)]
        loss = _loss(branch, data, np.concatenate(drawn), _draw(rng, others, settings.auto_batch), settings)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(trained, settings.clip)
        optimizer.step()
        decay = min(settings.ema, (1 + step) / (10 + step))  # as `distill train`: forgets the start soon
        with torch.no_grad():
            for slow, fast in zip(average.parameters(), branch.parameters(), strict=True):
                slow.lerp_(fast, 1 - decay)
    return average


def _draw(rng: np.random.Generator, photos: Indices, count: int) -> Indices:
    return rng.choice(photos, count) if photos.size and count else photos[:0]


def _loss(
    branch: SemanticBranch, data: TrainingSet, reviewed: Indices, others: Indices, settings: ShortTraining
) -> Tensor:
    log_p = grouped_log_probabilities(_logits(branch, data.features, np.concatenate([reviewed, others])))
    loss = torch.zeros(())
    if reviewed.size:
        loss = loss + semantic_loss(log_p[: len(reviewed)], torch.from_numpy(data.truth[reviewed]).long())
    if others.size:
        soft_labels = torch.from_numpy(data.soft_labels[others]).float() / 255
        everywhere = torch.ones(len(others), *log_p.shape[-2:], dtype=torch.bool)
        loss = loss + settings.belief_weight * soft_label_loss(log_p[len(reviewed) :], soft_labels, everywhere)
    return loss


def _logits(branch: SemanticBranch, features: Features, photos: Indices) -> Tensor:
    stride4, stride8, last = (torch.from_numpy(level[photos].astype(np.float32)) for level in features)
    logits: Tensor = branch.decoder(branch.pyramid(last), stride8, stride4)
    return logits


@torch.no_grad()
def validation_iou(data: TrainingSet, branch: SemanticBranch) -> npt.NDArray[np.float64]:
    """IoU of wall, floor and dining table over the validation part, float64 (3,), of the branch alone."""
    counts = []
    for start in range(0, len(data.validation), _SCORING_BATCH):
        chosen = np.arange(start, min(start + _SCORING_BATCH, len(data.validation)))
        probabilities = grouped_probabilities(_logits(branch, data.features, len(data.truth) + chosen))
        finer = F.interpolate(probabilities, scale_factor=STRIDE // SCORED_STRIDE, mode="bilinear")
        counts.append(_count_pixels(finer.argmax(dim=1).numpy(), data.validation[chosen]))
    return iou_of_counts(np.stack(counts))


def _count_pixels(found: npt.NDArray[np.int64], truth: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Intersection and union of each class, int64 (3, 2)."""
    rows = []
    for surface in CLASSES:
        counted = truth != IGNORE
        if surface.is_thing:
            counted &= truth != OTHER_TABLE
        one, other = (found == surface.coco_id) & counted, truth == surface.coco_id
        rows.append([np.count_nonzero(one & other), np.count_nonzero(one | other)])
    return np.array(rows, np.int64)
