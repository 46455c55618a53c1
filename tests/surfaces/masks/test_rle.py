from __future__ import annotations

import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from pycocotools import mask as coco

from surfaces.masks.rle import decode, encode


@given(arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=24), elements=st.booleans()))
def test_round_trip_by_json(mask: np.ndarray) -> None:
    rle = json.loads(json.dumps(encode(mask)))
    assert decode(rle).dtype == np.bool_
    assert np.array_equal(decode(rle), mask)
    assert np.array_equal(coco.decode(rle), mask)
    assert coco.area(rle) == mask.sum()


def test_golden_encoding() -> None:
    mask = np.zeros((4, 3), bool)
    mask[1:3, 1] = True
    assert encode(mask) == {"size": [4, 3], "counts": "525"}
    assert np.array_equal(decode({"size": [4, 3], "counts": [5, 2, 5]}), mask)


def test_memory_order() -> None:
    mask = np.random.default_rng(0).random((31, 17)) > 0.5
    assert encode(np.asfortranarray(mask)) == encode(mask)
