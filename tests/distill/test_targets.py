"""The table heads' targets, out of label maps."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from distill.training.targets import SMALLEST_AREA, table_targets
from models.student.network import PARTIAL
from surfaces.classes import DINING_TABLE, FLOOR, IGNORE, NUM_CHANNELS, OTHER_TABLE

HEIGHT, WIDTH = 48, 64
ALL_CLASSES = torch.ones(1, NUM_CHANNELS, dtype=torch.bool)


def labels_with(*tables: tuple[int, int, int, int]) -> Tensor:
    """Labels (2, H, W) of a floor with tables, given as left, top, right, bottom."""
    labels = torch.stack([torch.full((HEIGHT, WIDTH), FLOOR.coco_id), torch.zeros(HEIGHT, WIDTH, dtype=torch.int64)])
    for number, (left, top, right, bottom) in enumerate(tables, start=1):
        labels[0, top:bottom, left:right] = DINING_TABLE.coco_id
        labels[1, top:bottom, left:right] = number
    return labels


def test_boxes_are_tight_and_masks_exact() -> None:
    labels = labels_with((4, 6, 20, 30), (40, 0, WIDTH, 10))
    (found,) = table_targets(labels[None], ALL_CLASSES)
    assert found.boxes.tolist() == [[4, 6, 20, 30], [40, 0, WIDTH, 10]]
    assert torch.equal(found.masks, torch.stack([labels[1] == 1, labels[1] == 2]).to(torch.uint8))
    assert not found.ignored.any()


def test_slivers_are_ignored_rather_than_learnt() -> None:
    labels = labels_with((4, 6, 20, 30), (60, 0, 64, SMALLEST_AREA // 4), (50, 40, 53, 45))
    (found,) = table_targets(labels[None], ALL_CLASSES)
    assert found.boxes.tolist() == [[4, 6, 20, 30], [60, 0, 64, SMALLEST_AREA // 4]]
    assert torch.equal(found.ignored, labels[1] == 3)


def test_what_nobody_said_and_other_tables_are_ignored() -> None:
    labels = labels_with((4, 6, 20, 30))
    labels[0, :, 30:35] = IGNORE
    labels[0, :, 50:] = OTHER_TABLE
    (found,) = table_targets(labels[None], ALL_CLASSES)
    assert torch.equal(found.ignored, (labels[0] == IGNORE) | (labels[0] == OTHER_TABLE))
    assert len(found.boxes) == 1


def test_tables_that_are_not_told_apart_are_ignored() -> None:
    labels = labels_with((4, 6, 20, 30), (30, 6, 50, 30))
    labels[1][labels[1] == 2] = 0
    (found,) = table_targets(labels[None], ALL_CLASSES)
    assert found.boxes.tolist() == [[4, 6, 20, 30]]
    assert torch.equal(found.ignored, (labels[0] == DINING_TABLE.coco_id) & (labels[1] == 0))


def test_a_photo_without_tables() -> None:
    found = table_targets(torch.stack([labels_with(), labels_with((4, 6, 20, 30))]), ALL_CLASSES.expand(2, -1))
    assert [len(targets.boxes) for targets in found] == [0, 1]
    assert found[0].boxes.shape == (0, 4)
    assert found[0].masks.shape == (0, HEIGHT, WIDTH)
    assert (found[0].masks.dtype, found[0].boxes.dtype) == (found[1].masks.dtype, found[1].boxes.dtype)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**31), st.integers(0, 5))
def test_every_table_is_learnt_or_ignored(seed: int, tables: int) -> None:
    rng = torch.Generator().manual_seed(seed)
    labels = labels_with()
    for number in range(1, tables + 1):
        rows, columns = torch.rand(HEIGHT, generator=rng) < 0.3, torch.rand(WIDTH, generator=rng) < 0.3
        inside = rows[:, None] & columns[None]
        labels[0, inside], labels[1, inside] = DINING_TABLE.coco_id, number
    (found,) = table_targets(labels[None], ALL_CLASSES)
    assert (found.masks.sum(dim=0) <= 1).all()
    assert torch.equal(found.masks.any(dim=0) | found.ignored, labels[1] > 0)
    assert not (found.masks.any(dim=0) & found.ignored).any()
    for box, mask in zip(found.boxes.long().tolist(), found.masks, strict=True):
        left, top, right, bottom = box
        assert mask.sum() >= SMALLEST_AREA
        assert mask.sum() == mask[top:bottom, left:right].sum()
        assert mask[top].any()
        assert mask[bottom - 1].any()
        assert mask[:, left].any()
        assert mask[:, right - 1].any()


def test_partial_labels_are_background_unless_they_may_be_a_table() -> None:
    labels = labels_with((4, 6, 20, 30))
    labels[0, :, 40:] = PARTIAL
    without_tables = ALL_CLASSES.clone()
    without_tables[0, DINING_TABLE.coco_id] = False
    (possible,) = table_targets(labels[None], ALL_CLASSES)
    (impossible,) = table_targets(labels[None], without_tables)
    assert torch.equal(possible.ignored, labels[0] == PARTIAL)
    assert not impossible.ignored.any()
