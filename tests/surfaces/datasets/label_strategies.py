"""Random labels for property tests."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from surfaces.classes import DINING_TABLE, FLOOR, IGNORE, OTHER, OTHER_TABLE, WALL
from surfaces.datasets import Labels, MemorySample
from surfaces.masks.table_parts import numbered_without_gaps

_VALUES = [OTHER, WALL.coco_id, FLOOR.coco_id, DINING_TABLE.coco_id, OTHER_TABLE, IGNORE]


@st.composite
def labels(draw: st.DrawFn, largest_side: int = 12, crowds: bool = False) -> Labels:
    shape = draw(st.tuples(st.integers(1, largest_side), st.integers(1, largest_side)))
    semantic = draw(arrays.arrays(np.uint8, shape, elements=st.sampled_from(_VALUES)))
    numbers = draw(arrays.arrays(np.uint8, shape, elements=st.integers(0 if crowds else 1, 3)))
    return Labels(semantic, numbered_without_gaps(np.where(semantic == DINING_TABLE.coco_id, numbers, 0)))


BELIEFS = arrays.arrays(np.uint8, st.tuples(st.just(4), st.integers(1, 9), st.integers(1, 9)))
"""Random beliefs; of any resolution, which need not be the photo's."""


def sample_of(labels: Labels, name: str = "room") -> MemorySample:
    """A sample with these labels and a photo of noise."""
    rng = np.random.default_rng(0)
    return MemorySample(name, rng.integers(0, 256, (*labels.semantic.shape, 3), np.uint8), labels)


def assert_same_labels(got: Labels, expected: Labels) -> None:
    np.testing.assert_array_equal(got.semantic, expected.semantic)
    np.testing.assert_array_equal(got.tables, expected.tables)
