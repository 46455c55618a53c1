"""Short trainings on what a frozen encoder made of photos: pyramid and decoder learn from reviewed and auto-labels."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from distill.commands.train import schedule
from distill.reviews_features import STRIDE, FrozenFeatures
from models.student.network import SemanticBranch, belief_loss, semantic_loss
from models.student.semantic import grouped_log_probabilities, grouped_probabilities
from surfaces.classes import CLASSES, DINING_TABLE, IGNORE, OTHER_TABLE
from surfaces.metrics import iou_of_counts

SCORED_STRIDE = 2
"""Of the stretched photos: where labels are compared."""

_SCORED_AT_ONCE = 8


@dataclass(frozen=True)
class ShortTraining:
    """Settings of a short training, the same for all queues.

    Attributes:
        steps: updates.
        reviewed_batch: reviewed photos a step.
        table_share: of these, the share that has a dining table if any reviewed photo does, as in `distill train`.
        auto_batch: photos a step that only a teacher labelled.
        belief_weight: of the loss on the latter, 1 being that of the former.
        lr: AdamW's peak learning rate.
        ema: decay of the averaged weights, which are scored.
    """

    steps: int = 60
    reviewed_batch: int = 4
    table_share: float = 0.0
    auto_batch: int = 4
    belief_weight: float = 0.25
    lr: float = 1e-3
    weight_decay: float = 0.01
    warmup: float = 0.1
    clip: float = 5.0
    ema: float = 0.97


@dataclass(frozen=True, eq=False)
class LearningRoom:
    """All that trainings share: photos as features, the training part first.

    Attributes:
        branch: the network they start from.
        features: of N training photos and then M validation photos.
        truth: uint8 (N, h, w), the training photos' true label maps at the branch's output stride.
        beliefs: uint8 (N, 4, h, w), what the teacher believes of them.
        validation: uint8 (M, 2h, 2w), the validation photos' true label maps at half of that stride.
    """

    branch: SemanticBranch
    features: FrozenFeatures
    truth: npt.NDArray[np.uint8]
    beliefs: npt.NDArray[np.uint8]
    validation: npt.NDArray[np.uint8]


def train_shortly(room: LearningRoom, reviewed: Sequence[int], settings: ShortTraining, seed: int) -> SemanticBranch:
    """Trains pyramid and decoder; the encoder is left as it is.

    Each step learns from some reviewed photos, drawn evenly but for `table_share`, and from some of the others, for
    which the teacher's belief is learnt. Without reviewed photos, or without others, a step has only the other kind.

    Args:
        room: what is learnt from.
        reviewed: which training photos have true labels.
        settings: of the training.
        seed: of the draws.

    Returns:
        The network with averaged weights.
    """
    branch = copy.deepcopy(room.branch)
    learnt = [*branch.pyramid.parameters(), *branch.decoder.parameters()]
    for parameter in learnt:
        parameter.requires_grad_(True)
    average = copy.deepcopy(branch).requires_grad_(False)
    optimizer = torch.optim.AdamW(learnt, lr=settings.lr, weight_decay=settings.weight_decay)
    known = np.asarray(reviewed, np.intp)
    tables = known[(room.truth[known] == DINING_TABLE.coco_id).any(axis=(1, 2))]
    with_table = round(settings.reviewed_batch * settings.table_share) if tables.size else 0
    others = np.setdiff1d(np.arange(len(room.truth)), reviewed)
    rng = np.random.default_rng(seed)
    for step in range(settings.steps):
        for group in optimizer.param_groups:
            group["lr"] = settings.lr * schedule(step / settings.steps, settings.warmup)
        drawn = [_draw(rng, tables, with_table), _draw(rng, known, settings.reviewed_batch - with_table)]
        loss = _loss(
            branch, room, np.concatenate(drawn), _draw(rng, others, settings.auto_batch), settings.belief_weight
        )
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(learnt, settings.clip)
        optimizer.step()
        decay = min(settings.ema, (1 + step) / (10 + step))  # as `distill train`: the start is soon forgotten
        with torch.no_grad():
            for slow, fast in zip(average.parameters(), branch.parameters(), strict=True):
                slow.lerp_(fast, 1 - decay)
    return average


def _draw(rng: np.random.Generator, photos: npt.NDArray[np.intp], count: int) -> npt.NDArray[np.intp]:
    return rng.choice(photos, count) if photos.size and count else photos[:0]


def _loss(
    branch: SemanticBranch,
    room: LearningRoom,
    reviewed: npt.NDArray[np.intp],
    others: npt.NDArray[np.intp],
    belief_weight: float,
) -> Tensor:
    log_p = grouped_log_probabilities(_logits(branch, room.features, np.concatenate([reviewed, others])))
    truth = torch.from_numpy(room.truth[reviewed]).long()
    beliefs = torch.from_numpy(room.beliefs[others]).float() / 255
    believed = torch.ones(len(others), *log_p.shape[-2:], dtype=torch.bool)
    loss = torch.zeros(())
    if reviewed.size:
        loss = loss + semantic_loss(log_p[: len(reviewed)], truth)
    if others.size:
        loss = loss + belief_weight * belief_loss(log_p[len(reviewed) :], beliefs, believed)
    return loss


def _logits(branch: SemanticBranch, features: FrozenFeatures, photos: npt.NDArray[np.intp]) -> Tensor:
    tap4, tap8, last = features.of(photos)
    logits: Tensor = branch.decoder(branch.pyramid(last), tap8, tap4)
    return logits


@torch.no_grad()
def validation_iou(room: LearningRoom, branch: SemanticBranch) -> npt.NDArray[np.float64]:
    """IoU of wall, floor and dining table over the validation part, float64 (3,).

    As `surfaces.metrics` counts, but at a stride of `SCORED_STRIDE` of the stretched photos and for the branch alone.
    """
    first, photos = len(room.truth), len(room.validation)
    counts = []
    for start in range(0, photos, _SCORED_AT_ONCE):
        chosen = np.arange(start, min(start + _SCORED_AT_ONCE, photos))
        probabilities = grouped_probabilities(_logits(branch, room.features, first + chosen))
        finer = F.interpolate(probabilities, scale_factor=STRIDE // SCORED_STRIDE, mode="bilinear")
        counts.append(_counts(finer.argmax(dim=1).numpy(), room.validation[chosen]))
    return iou_of_counts(np.stack(counts))


def _counts(found: npt.NDArray[np.int64], truth: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Intersection and union of each class, int64 (3, 2), over label maps of one shape."""
    rows = []
    for surface in CLASSES:
        counted = truth != IGNORE
        if surface.is_thing:
            counted &= truth != OTHER_TABLE
        one, other = (found == surface.coco_id) & counted, truth == surface.coco_id
        rows.append([np.count_nonzero(one & other), np.count_nonzero(one | other)])
    return np.array(rows, np.int64)
