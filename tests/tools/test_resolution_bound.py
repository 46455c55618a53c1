"""Scores of true masks that were reduced to a given size."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tools.resolution_bound import main, reduce_in_box, reduce_to_stride

ROOMS = Path(__file__).parents[1] / "data" / "rooms"


def test_a_full_box_loses_nothing_and_a_thin_gap_is_lost_at_low_resolution() -> None:
    full = np.zeros((64, 96), bool)
    full[8:40, 16:80] = True
    with_gap = full.copy()
    with_gap[8:40, 47:48] = False

    np.testing.assert_array_equal(reduce_in_box(full, 28), full)
    np.testing.assert_array_equal(reduce_in_box(with_gap, 14), full)
    assert reduce_in_box(with_gap, 64)[:, 16:80].all(axis=0).sum() == 0
    assert not reduce_in_box(with_gap, 64)[20, 47]


def test_a_stride_of_one_is_the_mask_itself() -> None:
    mask = np.random.default_rng(0).random((31, 45)) > 0.5

    np.testing.assert_array_equal(reduce_to_stride(mask, 1), mask)
    assert reduce_to_stride(np.ones((31, 45), bool), 16).all()


def test_finer_masks_keep_more_of_real_walls(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "shapes.json"
    assert main([str(ROOMS), "--split", "all", "--limit", "4", "--out", str(out)]) == 0

    forms = json.loads(out.read_text("utf-8"))["forms"]
    sides = [forms[f"{side}x{side} in a box"]["wall"]["boundary_iou"] for side in (14, 28, 56, 112)]
    strides = [forms[f"stride {stride}"]["wall"]["boundary_iou"] for stride in (16, 8, 4)]
    assert sides == sorted(sides)
    assert strides == sorted(strides)
    assert sides[1] < strides[2] < 1
    assert "stride 4" in capsys.readouterr().out
