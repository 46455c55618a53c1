from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from models.student.network import (
    PARTIAL,
    is_taught,
    semantic_loss,
    semantic_losses,
    soft_label_loss,
)
from models.student.semantic import (
    ADE_CLASSES,
    OUTPUTS,
    grouped_log_probabilities,
    grouped_probabilities,
)
from surfaces.classes import DINING_TABLE, FLOOR, IGNORE, OTHER, OTHER_TABLE, WALL


def log_probabilities(probabilities: list[float], side: int = 4) -> Tensor:
    """(1, 4, side, side), the same everywhere."""
    return torch.tensor(probabilities).log()[None, :, None, None].expand(1, 4, side, side).clone().requires_grad_()


def labels_of(value: int, side: int = 4) -> Tensor:
    return torch.full((1, side, side), value)


def test_probabilities_are_the_summed_softmax() -> None:
    logits = 8 * torch.randn(2, ADE_CLASSES, 3, 5, generator=torch.Generator().manual_seed(0))
    got = grouped_probabilities(logits)
    torch.testing.assert_close(got, grouped_log_probabilities(logits).exp(), atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(got.sum(dim=1), torch.ones(2, 3, 5))
    softmax = F.softmax(logits, dim=1)
    torch.testing.assert_close(got[:, 1:], softmax[:, list(OUTPUTS.values())])


def test_log_probabilities_survive_where_probabilities_vanish() -> None:
    logits = torch.zeros(1, ADE_CLASSES, 1, 1)
    logits[:, OUTPUTS["wall"]] = 500
    log_p = grouped_log_probabilities(logits)
    assert torch.isfinite(log_p).all()
    assert log_p[0, 2, 0, 0] == pytest.approx(-500)


@pytest.mark.parametrize("value", [OTHER, WALL.coco_id, FLOOR.coco_id, DINING_TABLE.coco_id])
def test_the_loss_is_the_cross_entropy(value: int) -> None:
    shares = [0.4, 0.3, 0.2, 0.1]
    assert semantic_loss(log_probabilities(shares), labels_of(value)).item() == pytest.approx(-np.log(shares[value]))


def test_ignored_pixels_teach_nothing() -> None:
    log_p = torch.randn(1, 4, 4, 4).log_softmax(dim=1).requires_grad_()
    labels = labels_of(WALL.coco_id)
    labels[:, :, 2:] = IGNORE
    loss = semantic_loss(log_p, labels)
    loss.backward()
    assert not log_p.grad[..., 2:].any()
    assert log_p.grad[:, WALL.coco_id, :, :2].ne(0).all()
    torch.testing.assert_close(loss, -log_p[:, WALL.coco_id, :, :2].mean())


def test_another_kind_of_table_may_be_other_or_table_but_not_wall() -> None:
    labels = labels_of(OTHER_TABLE)

    def punished(*shares: float) -> float:
        return semantic_loss(log_probabilities(list(shares)), labels).item()

    sure = 1 - 3e-6
    assert punished(sure, 1e-6, 1e-6, 1e-6) < 1e-4
    assert punished(1e-6, 1e-6, 1e-6, sure) < 1e-4
    assert punished(0.5 - 1e-6, 1e-6, 1e-6, 0.5 - 1e-6) < 1e-4
    assert punished(1e-6, sure, 1e-6, 1e-6) > 10
    assert punished(1e-6, 1e-6, sure, 1e-6) > 10


@pytest.mark.parametrize("candidates", [(0, 1), (0, 1, 2), (0, 3), (0, 1, 2, 3)])
def test_a_partial_label_is_any_of_its_candidates(candidates: tuple[int, ...]) -> None:
    shares = [0.4, 0.3, 0.2, 0.1]
    possible = torch.zeros(1, 4, dtype=torch.bool)
    possible[0, list(candidates)] = True
    log_p = log_probabilities(shares)
    loss = semantic_loss(log_p, labels_of(PARTIAL), possible)
    loss.backward()
    assert loss.item() == pytest.approx(-np.log(sum(shares[index] for index in candidates)), abs=1e-6)
    assert log_p.grad.isfinite().all()


def test_labels_count_at_their_own_size() -> None:
    log_p = torch.randn(1, 4, 4, 4).log_softmax(dim=1)
    labels = torch.randint(0, 4, (1, 16, 16))
    grown = F.interpolate(log_p, size=(16, 16), mode="bilinear", align_corners=False).log_softmax(dim=1)
    expected = np.mean([-grown[0, labels[0, y, x], y, x].item() for y in range(16) for x in range(16)])
    assert semantic_loss(log_p, labels).item() == pytest.approx(expected, rel=1e-5)


def test_photos_without_labels_neither_teach_nor_count() -> None:
    log_p = (8 * torch.randn(2, 4, 4, 4)).log_softmax(dim=1).requires_grad_()
    labels = torch.randint(0, 3, (2, 16, 16))
    labels[1] = PARTIAL
    candidates = torch.tensor([[True, True, True, False], [True, True, True, True]])
    taught = is_taught(labels, candidates)
    assert taught[0].all()
    assert not taught[1].any()
    semantic_losses(log_p, labels, candidates)[1].sum().backward()
    torch.testing.assert_close(log_p.grad, torch.zeros_like(log_p), atol=1e-4, rtol=0)


def test_nothing_labelled_gives_nothing() -> None:
    log_p = log_probabilities([0.25] * 4)
    loss = semantic_loss(log_p, labels_of(IGNORE))
    loss.backward()
    assert loss.item() == 0
    assert not log_p.grad.any()


def test_soft_labels_count_inside_the_photo_alone() -> None:
    log_p = torch.randn(1, 4, 4, 4).log_softmax(dim=1).requires_grad_()
    soft_labels = torch.rand(1, 4, 4, 4).softmax(dim=1)
    taught = torch.zeros(1, 16, 16, dtype=torch.bool)
    taught[:, :8] = True
    loss = soft_label_loss(log_p, soft_labels, taught)
    loss.backward()
    torch.testing.assert_close(loss, -(soft_labels * log_p).sum(dim=1)[:, :2].mean())
    assert not log_p.grad[:, :, 2:].any()
    assert soft_label_loss(log_p, soft_labels, torch.zeros_like(taught)).item() == 0
