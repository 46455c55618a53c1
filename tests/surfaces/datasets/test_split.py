from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from surfaces.datasets import Labels, Sample, split_blocks
from tests.surfaces.datasets.label_strategies import sample_of

_EMPTY = Labels(np.zeros((1, 1), np.uint8), np.zeros((1, 1), np.uint8))


def _samples(numbers: Sequence[int]) -> list[Sample]:
    return [sample_of(_EMPTY, f"nyu_{number:04d}") for number in numbers]


def _numbers(samples: Sequence[Sample]) -> list[int]:
    return [int(sample.name.removeprefix("nyu_")) for sample in samples]


def test_blocks_end_at_a_gap() -> None:
    numbers = [*range(1, 8), *range(9, 30), *range(40, 49)]
    train, val = split_blocks(_samples(numbers), block_size=5, every=3, offset=1)
    # Blocks: 1-7 (full after 5, the gap comes after 7), 9-18 and 19-28 (no gap: twice the size), 29-48.
    assert _numbers(val) == list(range(9, 19))
    assert _numbers(train) == [n for n in numbers if n not in range(9, 19)]


def test_order_and_names_without_numbers() -> None:
    names = ["kitchen", "bath", "attic 2", "attic 1"]
    samples = [sample_of(_EMPTY, name) for name in names]
    train, val = split_blocks(samples, block_size=1, every=2, offset=0)
    assert [s.name for s in val] == ["attic 1", "attic 2", "kitchen"]
    assert [s.name for s in train] == ["bath"]


@given(
    numbers=st.sets(st.integers(0, 400), max_size=150),
    block_size=st.integers(1, 12),
    every=st.integers(2, 6),
    offset=st.integers(0, 9),
)
def test_any_split_is_a_partition_by_blocks(numbers: set[int], block_size: int, every: int, offset: int) -> None:
    train, val = split_blocks(_samples(sorted(numbers, reverse=True)), block_size, every, offset)
    assert sorted(_numbers(train) + _numbers(val)) == sorted(numbers)
    val_numbers = set(_numbers(val))
    for number in sorted(numbers):
        cut = number + 1 in numbers and (number in val_numbers) != (number + 1 in val_numbers)
        if cut:  # only a run of neighbours as long as two blocks is ever cut
            assert all(number - back in numbers for back in range(block_size))
