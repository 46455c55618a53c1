"""What each step learns from follows from the run's seed and the step's number."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from distill.training.batches import BatchMaker
from distill.training.config import TrainConfig
from distill.training.data import load_on_device
from distill.training.views import Views
from surfaces.classes import WALL
from surfaces.datasets import Labels, MemorySample

CONFIG = TrainConfig(data=("photos",), batch=8, crop=128, jitter=0)
TABLE, PLAIN, SOFT_LABELLED = 200, 100, 50
"""Grey values that tell from which photos a view is."""


def photo(value: int) -> MemorySample:
    semantic = np.full((300, 400), WALL.coco_id, np.uint8)
    tables = np.zeros_like(semantic)
    if value == TABLE:
        semantic[100:200, 100:200], tables[100:200, 100:200] = 3, 1
    soft_labels = np.zeros((4, 30, 40), np.uint8) if value == SOFT_LABELLED else None
    return MemorySample(str(value), np.full((300, 400, 3), value, np.uint8), Labels(semantic, tables, soft_labels))


CPU = torch.device("cpu")
DATA = load_on_device([[photo(TABLE), photo(PLAIN)], [photo(SOFT_LABELLED)]], (2, 1), CPU)
EXTRA = load_on_device([[photo(SOFT_LABELLED)]], (), CPU)


def maker(**changes: Any) -> BatchMaker:
    return BatchMaker(replace(CONFIG, **changes), DATA)


def values_of(batch: Views) -> list[int]:
    """The grey value of each view's photo; grey 127 is outside."""
    values = (TABLE, PLAIN, SOFT_LABELLED)
    return [int(next(value for value in values if (view == value).any())) for view in batch.images]


def same(one: Views, other: Views) -> bool:
    return all(
        torch.equal(getattr(one, name), getattr(other, name))
        for name in ("images", "labels", "soft_labels", "soft_labelled")
    )


def test_a_step_is_the_same_whenever_it_is_made() -> None:
    first = maker(jitter=1.0)
    batches = [first.make(step) for step in range(3)]
    assert same(maker(jitter=1.0).make(2), batches[2])
    assert same(first.make(0), batches[0])
    assert not same(batches[0], batches[1])
    assert not same(maker(jitter=1.0, seed=1).make(0), batches[0])


@pytest.mark.parametrize(("batch", "share", "with_table"), [(8, 0.4, 3), (1, 0.35, 0), (2, 1.0, 2)])
def test_shares_are_as_configured(batch: int, share: float, with_table: int) -> None:
    made = maker(batch=batch, table_share=share)
    others = set()
    for step in range(10):
        views = made.make(step)
        values = values_of(views)
        assert values[:with_table] == [TABLE] * with_table
        others.update(values[with_table:])
        assert views.images.shape == (batch, 3, 128, 128)
        assert views.labels.shape == (batch, 2, 128, 128)
        assert views.soft_labels.shape == (batch, 4, 32, 32)
    assert others == ({TABLE, PLAIN, SOFT_LABELLED} if with_table < batch else set())


def test_beliefs_come_with_their_photos_alone() -> None:
    batch = maker().make(0)
    values = values_of(batch)
    assert SOFT_LABELLED in values
    for value, view, soft_labelled in zip(values, batch.images, batch.soft_labelled, strict=True):
        inside = ((view - value).abs() < 0.1).all(dim=0)
        assert torch.equal(soft_labelled, inside & (value == SOFT_LABELLED))


def test_jitter_changes_photos_alone() -> None:
    plain, jittered = maker().make(0), maker(jitter=1.0).make(0)
    assert not torch.equal(plain.images, jittered.images)
    assert torch.equal(plain.labels, jittered.labels)


def test_extra_views_come_after_the_others_and_change_none_of_them() -> None:
    config = replace(CONFIG, extra=("labels",), extra_batch=3, jitter=1.0)
    alone, beside = BatchMaker(config, DATA).make(4), BatchMaker(config, DATA, EXTRA).make(4)
    assert len(beside.images) == len(beside.labels) == len(beside.soft_labels) == len(beside.soft_labelled) == 11
    assert same(alone, Views(*(values[:8] for values in vars(beside).values())))
    assert beside.soft_labelled[8:].flatten(1).any(dim=1).all()
