from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import MultiScaleRoIAlign

from models.student.instance_heads import (
    IGNORED_SHARE,
    STRIDES,
    PyramidRoIAlign,
    TableTargets,
    region_proposal_network,
    share_inside,
)
from models.student.network import Student
from surfaces.classes import DINING_TABLE, IGNORE, OTHER
from tests.models.student.students import calm_student

SIDE = 128
BOX = (40, 30, 90, 80)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """So that sums come out bit for bit."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def student() -> Student:
    return calm_student(5)


def region(left: int, top: int, right: int, bottom: int) -> Tensor:
    inside = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    inside[top:bottom, left:right] = True
    return inside


def photo(ignored: Tensor, box: tuple[int, int, int, int] | None = BOX) -> tuple[Tensor, TableTargets]:
    """Labels (SIDE, SIDE) and targets of a photo with at most one table, of which a region is unlabelled."""
    labels = torch.full((SIDE, SIDE), OTHER)
    boxes, masks = torch.zeros(0, 4), torch.zeros(0, SIDE, SIDE, dtype=torch.uint8)
    if box:
        labels[region(*box)] = DINING_TABLE.coco_id
        boxes, masks = torch.tensor([box]).float(), region(*box)[None].to(torch.uint8)
    labels[ignored] = IGNORE
    return labels, TableTargets(boxes, masks, ignored)


def losses(student: Student, *photos: tuple[Tensor, TableTargets]) -> dict[str, Tensor]:
    images = torch.rand(len(photos), 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1)) * 255
    torch.manual_seed(0)
    labels = torch.stack([labels for labels, _ in photos])
    soft_labels = torch.zeros(len(photos), 4, labels.shape[1] // 4, labels.shape[2] // 4)
    sums = student.losses(
        images,
        labels,
        torch.ones(len(photos), 4, dtype=torch.bool),
        [targets for _, targets in photos],
        soft_labels,
        torch.zeros_like(labels, dtype=torch.bool),
    )
    return {name: loss.mean() for name, loss in sums.items()}


def recorded(monkeypatch: pytest.MonkeyPatch, owner: Any, method: str) -> list[tuple[tuple[Any, ...], Any]]:
    """Arguments and results of a public method's calls, which go on as before."""
    calls = []
    original: Callable[..., Any] = getattr(owner, method)

    def spy(*args: Any) -> Any:
        result = original(*args)
        calls.append((args, result))
        return result

    monkeypatch.setattr(owner, method, spy)
    return calls


def share_by_counting(mask: Tensor, box: list[float]) -> float:
    height, width = mask.shape
    left, right = (min(max(round(x), 0), width) for x in (box[0], box[2]))
    top, bottom = (min(max(round(y), 0), height) for y in (box[1], box[3]))
    return mask[top:bottom, left:right].float().mean().item()


coordinates = st.floats(-8, 32, width=32)
sides = st.floats(1.5, 30, width=32)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.lists(st.tuples(coordinates, coordinates, sides, sides), min_size=1, max_size=6))
def test_share_inside_by_counting(seed: int, places: list[tuple[float, float, float, float]]) -> None:
    mask = torch.from_numpy(np.random.default_rng(seed).random((17, 23)) < 0.4)
    boxes = torch.tensor([[x, y, x + w, y + h] for x, y, w, h in places])
    inside = (boxes[:, :2] < torch.tensor([22.0, 16.0])).all(dim=1) & (boxes[:, 2:] > 1).all(dim=1)
    got = share_inside(mask, boxes)
    for share, box, counts in zip(got.tolist(), boxes.tolist(), inside.tolist(), strict=True):
        if counts:
            assert share == pytest.approx(share_by_counting(mask, box), abs=1e-6)


def test_a_box_smaller_than_a_pixel_counts_as_one() -> None:
    mask = region(0, 0, 64, SIDE)
    slivers = torch.tensor([[10.2, 10, 10.4, 90], [10, 10.2, 60, 10.3], [100.2, 10, 100.4, 90], [128, 0, 128, 9]])
    assert share_inside(mask, slivers).tolist() == [1, 1, 0, 0]


def test_anchors_in_ignored_regions_are_not_background(student: Student, monkeypatch: pytest.MonkeyPatch) -> None:
    ignored = region(0, 0, SIDE, 25) | region(100, 0, SIDE, SIDE)
    calls = recorded(monkeypatch, student.rpn, "assign_targets_to_anchors")
    losses(student, photo(ignored), photo(ignored, box=None))
    (((anchors, _), (labels, _)),) = calls
    for of_photo, boxes in zip(labels, anchors, strict=True):
        shares = torch.tensor([share_by_counting(ignored, box) for box in boxes.tolist()])
        assert (shares[of_photo == 0] <= IGNORED_SHARE).all()
        assert ((of_photo == -1) & (shares > IGNORED_SHARE)).any()
        assert (of_photo == 0).any()
    assert (labels[0] == 1).any()
    assert not (labels[1] == 1).any()


def test_proposals_in_ignored_regions_are_not_background(student: Student, monkeypatch: pytest.MonkeyPatch) -> None:
    ignored = region(0, 0, SIDE, 25) | region(100, 0, SIDE, SIDE)
    calls = recorded(monkeypatch, student.tables, "select_training_samples")
    losses(student, photo(ignored), photo(ignored, box=None))
    (((offered, _), (sampled, _, labels, _)),) = calls
    for boxes in offered:
        assert (share_inside(ignored, boxes) <= IGNORED_SHARE).all()
    for boxes, of_photo in zip(sampled, labels, strict=True):
        background = boxes[of_photo == 0]
        assert len(background)
        assert (share_inside(ignored, background) <= IGNORED_SHARE).all()


def test_without_ignored_regions_they_are_background(student: Student, monkeypatch: pytest.MonkeyPatch) -> None:
    # The two tests above can fail: the same regions teach as soon as they are labelled.
    corner = region(0, 0, SIDE, 25) | region(100, 0, SIDE, SIDE)
    proposals = recorded(monkeypatch, student.tables, "select_training_samples")
    losses(student, photo(torch.zeros_like(corner), box=None))
    (offered, _), _ = proposals[0]
    assert (share_inside(corner, offered[0]) > IGNORED_SHARE).any()


def test_a_table_half_of_which_is_ignored_is_still_learnt(student: Student, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = recorded(monkeypatch, student.tables, "select_training_samples")
    losses(student, photo(region(50, 30, 90, 80)))
    _, (_, _, labels, _) = calls[0]
    assert (labels[0] == 1).any()


def test_masks_in_ignored_regions_change_nothing(student: Student) -> None:
    ignored = region(60, 20, 100, 90)
    labels, targets = photo(ignored)
    masks = targets.masks.clone()
    masks[0, 34:76, 64:86] = 0  # a cell of the mask head away from the region's edge
    changed = TableTargets(targets.boxes, masks, ignored)
    before, after = losses(student, (labels, targets)), losses(student, (labels, changed))
    assert before["mask"] > 0
    assert {name: loss.item() for name, loss in before.items()} == {name: loss.item() for name, loss in after.items()}
    known = TableTargets(targets.boxes, masks, torch.zeros_like(ignored))
    assert losses(student, (labels, known))["mask"].item() != before["mask"].item()


def test_a_photo_without_labels_adds_nothing_to_learn(student: Student) -> None:
    everything = torch.ones(SIDE, SIDE, dtype=torch.bool)
    known = photo(torch.zeros_like(everything))
    alone, beside = losses(student, known), losses(student, known, photo(everything, box=None))
    for loss in beside.values():
        assert torch.isfinite(loss)
    for name in ("semantic", "objectness", "proposal_shape"):
        torch.testing.assert_close(beside[name], alone[name], rtol=0.02, atol=1e-4)


@pytest.mark.parametrize("photos", [1, 2])
def test_photos_without_labels_alone_give_no_gradient(photos: int) -> None:
    student = calm_student(5)
    everything = torch.ones(SIDE, SIDE, dtype=torch.bool)
    found = losses(student, *[photo(everything, box=None)] * photos)
    assert {name: loss.item() for name, loss in found.items()} == dict.fromkeys(found, 0.0)
    torch.stack(list(found.values())).sum().backward()
    assert all(parameter.grad is None or not parameter.grad.any() for parameter in student.parameters())


@pytest.mark.parametrize("boxes", [0, 1, 40])
def test_boxes_are_pooled_as_torchvision_does(boxes: int) -> None:
    generator = torch.Generator().manual_seed(3)
    strides = (8, 16, 32)
    levels = {str(side): torch.rand(2, 4, 512 // side, 640 // side, generator=generator) for side in strides}
    corners = torch.rand(2, boxes, 2, generator=generator) * 300
    sides = 2 ** (torch.rand(2, boxes, 2, generator=generator) * 8)
    both = list(torch.cat([corners, corners + sides], dim=2))
    if boxes:
        both[1][0] = torch.tensor([10.0, 20, 234, 244])  # just where a level begins
    sizes = [(512, 640)] * 2
    expected = MultiScaleRoIAlign(list(levels), 7, 2)(levels, both, sizes)
    torch.testing.assert_close(PyramidRoIAlign(strides, 7)(levels, both, sizes), expected, rtol=0, atol=0)


@pytest.mark.parametrize("size_hw", [(384, 512), (128, 256)])
def test_boxes_are_proposed_as_torchvision_does(size_hw: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(4)
    network = region_proposal_network().eval()
    for parameter in network.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator) * 0.1
    levels = {
        str(side): torch.rand(1, 128, size_hw[0] // side, size_hw[1] // side, generator=generator) for side in STRIDES
    }
    with torch.no_grad():
        (expected,), _ = network(ImageList(torch.zeros(1, 3, *size_hw), [size_hw]), levels)
        got = network.propose(levels, size_hw)
    assert len(got) == network.post_nms_top_n()
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-3)
