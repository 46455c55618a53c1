"""Rounds of learning from reviews: when one is due, and that it goes on where it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from labelstudio.sync.training_rounds import TrainingError, TrainingRound, due_round, run_round
from surfaces.datasets import open_dataset
from surfaces.store.label_store import LabelStore
from tests.autolabel.label_stores import rooms_store

QUICK = ["--steps", "2", "--batch", "1", "--crop", "128", "--threads", "1", "--checkpoint-every", "1"]


def review(dataset: Path, count: int) -> None:
    with LabelStore.open(dataset) as store:
        waiting = [photo for photo in store.photos() if photo.origin == "auto"]
        for photo in waiting[:count]:
            store.add_review(photo.sha256, store.labels(photo.sha256), "ann@example.com")


def test_a_round_is_due_after_enough_reviews(tmp_path: Path) -> None:
    dataset = rooms_store(tmp_path / "labels", 4)
    assert due_round(tmp_path / "run", dataset, 2) is None
    review(dataset, 1)
    assert due_round(tmp_path / "run", dataset, 2) is None
    review(dataset, 1)
    assert due_round(tmp_path / "run", dataset, 2) == TrainingRound(tmp_path / "run" / "round-001")


@pytest.mark.slow
def test_a_round_learns_and_the_next_waits_for_new_reviews(tmp_path: Path) -> None:
    dataset, run = rooms_store(tmp_path / "labels", 4), tmp_path / "run"
    review(dataset, 2)
    first = due_round(run, dataset, 1)
    assert first is not None
    assert run_round(first, dataset, [], QUICK) == first.network
    assert len(open_dataset(first.reviewed)) == 2
    assert len(open_dataset(first.auto)) == 2
    assert first.count_reviews() == 2
    assert due_round(run, dataset, 1) is None
    review(dataset, 1)
    second = due_round(run, dataset, 1)
    assert second == TrainingRound(run / "round-002")


def broken_round(tmp_path: Path) -> tuple[TrainingRound, Path]:
    dataset, run = rooms_store(tmp_path / "labels", 3), tmp_path / "run"
    review(dataset, 1)
    first = due_round(run, dataset, 1)
    assert first is not None
    with pytest.raises(TrainingError, match="`distill train` ended with exit code 11"):
        run_round(first, dataset, [], [*QUICK, "--crop", "100"])
    review(dataset, 1)  # comes too late for this round
    assert due_round(run, dataset, 5) == first
    assert first.count_reviews() == 1
    return first, dataset


@pytest.mark.parametrize("resume", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_round_that_broke_off_is_due_again(tmp_path: Path, resume: bool) -> None:
    first, dataset = broken_round(tmp_path)
    assert not first.network.exists()
    if not resume:
        return
    run_round(first, dataset, [], QUICK)
    assert first.count_reviews() == 1
    assert first.network.is_file()
