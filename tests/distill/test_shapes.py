"""What masks of a given size keep of the truth."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from distill.__main__ import main
from distill.commands.shapes import at_stride, in_box

ROOMS = Path(__file__).parents[1] / "data" / "rooms"


def test_a_full_box_loses_nothing_and_a_thin_bar_is_lost_where_places_are_coarse() -> None:
    full = np.zeros((64, 96), bool)
    full[8:40, 16:80] = True
    barred = full.copy()
    barred[8:40, 47:48] = False

    np.testing.assert_array_equal(in_box(full, 28), full)
    np.testing.assert_array_equal(in_box(barred, 14), full)
    np.testing.assert_array_equal(in_box(barred, 64)[:, 16:80].all(axis=0).sum(), 0)
    assert not in_box(barred, 64)[20, 47]


def test_a_stride_of_one_is_the_mask_itself() -> None:
    mask = np.random.default_rng(0).random((31, 45)) > 0.5

    np.testing.assert_array_equal(at_stride(mask, 1), mask)
    assert at_stride(np.ones((31, 45), bool), 16).all()


def test_finer_masks_keep_more_of_real_walls(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "shapes.json"

    assert main(["shapes", str(ROOMS), "--split", "all", "--limit", "4", "--out", str(out)]) == 0

    forms = json.loads(out.read_text("utf-8"))["forms"]
    sides = [forms[f"{side}x{side} in a box"]["wall"]["boundary_iou"] for side in (14, 28, 56, 112)]
    strides = [forms[f"stride {stride}"]["wall"]["boundary_iou"] for stride in (16, 8, 4)]
    assert sides == sorted(sides)
    assert strides == sorted(strides)
    assert sides[1] < strides[2] < 1
    assert "stride 4" in capsys.readouterr().out
