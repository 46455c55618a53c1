"""What each step learns from follows from the run's seed and the step's number."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from distill.batches import Batch, BatchMaker
from distill.config import TrainConfig
from distill.data import DeviceData, load_on_device
from surfaces.classes import IGNORE, WALL
from surfaces.dataset import Labels, MemorySample

CONFIG = TrainConfig(
    data=("labelled",), unlabelled=("photos",), teachers=("t",), batch=8, crop=128, jitter=0, unlabelled_share=0.375
)
TABLE, PLAIN, UNLABELLED = 200, 100, 50
"""Grey values that tell from which photos a view is."""


def photos(*values: int) -> DeviceData:
    samples = []
    for value in values:
        semantic = np.full((300, 400), IGNORE if value == UNLABELLED else WALL.coco_id, np.uint8)
        tables = np.zeros_like(semantic)
        if value == TABLE:
            semantic[100:200, 100:200], tables[100:200, 100:200] = 3, 1
        samples.append(MemorySample(str(value), np.full((300, 400, 3), value, np.uint8), Labels(semantic, tables)))
    return load_on_device([samples], (), torch.device("cpu"))


LABELLED, PHOTOS = photos(TABLE, PLAIN, PLAIN, PLAIN), photos(UNLABELLED)


def maker(**changes: Any) -> BatchMaker:
    return BatchMaker(replace(CONFIG, **changes), LABELLED, PHOTOS)


def values_of(batch: Batch) -> list[int]:
    """The grey value of each view's photo; grey 127 is outside."""
    return [int(next(value for value in (TABLE, PLAIN, UNLABELLED) if (view == value).any())) for view in batch.images]


def same(one: Batch, other: Batch) -> bool:
    return all(
        torch.equal(getattr(one, name), getattr(other, name)) for name in ("images", "labels", "clean", "taught")
    )


def test_a_step_is_the_same_whenever_it_is_made() -> None:
    first = maker(jitter=1.0)
    batches = [first.make(step) for step in range(3)]
    assert same(maker(jitter=1.0).make(2), batches[2])
    assert same(first.make(0), batches[0])
    assert not same(batches[0], batches[1])
    assert not same(maker(jitter=1.0, seed=1).make(0), batches[0])


def test_shares_are_as_configured() -> None:
    made = maker(table_share=0.4)
    plain_seen = set()
    for step in range(10):
        batch = made.make(step)
        values = values_of(batch)
        assert values[:2] == [TABLE, TABLE]
        assert values[5:] == [UNLABELLED] * 3
        plain_seen.update(values[2:5])
        assert len(batch.clean) == len(batch.taught) == 3
        assert batch.images.shape == (8, 3, 128, 128)
        assert batch.labels.shape == (8, 2, 128, 128)
    assert plain_seen == {TABLE, PLAIN}


def test_unlabelled_photos_are_taught_inside_alone() -> None:
    batch = maker().make(0)
    assert (batch.labels[5:, 0] == IGNORE).all()
    assert not batch.labels[5:, 1].any()
    assert torch.equal(batch.clean, batch.images[5:])
    assert torch.equal(batch.taught, ((batch.clean - UNLABELLED).abs() < 0.1).all(dim=1))
    assert not torch.equal(maker(jitter=1.0).make(0).images[5:], batch.clean)
    assert torch.equal(maker(jitter=1.0).make(0).clean, batch.clean)


def test_without_unlabelled_photos_all_are_labelled() -> None:
    batch = BatchMaker(replace(CONFIG, unlabelled=(), teachers=()), LABELLED, None).make(0)
    assert UNLABELLED not in values_of(batch)
    assert len(batch.images) == 8
    assert len(batch.clean) == len(batch.taught) == 0


@pytest.mark.parametrize(("batch", "share", "unlabelled"), [(1, 0.35, 0), (2, 0.9, 2), (3, 0.0, 0), (2, 1.0, 2)])
def test_shares_that_leave_one_side_empty(batch: int, share: float, unlabelled: int) -> None:
    made = maker(batch=batch, unlabelled_share=share).make(0)
    assert values_of(made).count(UNLABELLED) == unlabelled == len(made.clean)
    assert len(made.images) == len(made.labels) == batch
