"""`tools.measure_rates` and `tools.resolution_bound`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import ROOMS
from tools import measure_rates, resolution_bound
from tools.resolution_bound import reduce_in_box, reduce_to_stride


@pytest.mark.slow
def test_each_step_is_run_and_named_without_this_machines_folders(tmp_path: Path) -> None:
    out = tmp_path / "rates.json"
    assert measure_rates.main([str(ROOMS), "--count", "2", "--out", str(out)]) == 0
    rates = json.loads(out.read_text("utf-8"))
    assert list(rates["steps"]) == ["judge", "student"]
    assert rates["steps"]["student"]["command"] == "autolabel run photos.txt --teacher student --threads 2 --out OUT"
    for step in rates["steps"].values():
        assert step["photos_a_second"] == pytest.approx(2 / step["seconds"], rel=0.1)
        assert step["bytes_a_photo"] > 1000


def test_a_folder_without_photos_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert measure_rates.main([str(tmp_path)]) == 8
    assert capsys.readouterr().err == f"measure_rates: expected a folder with .jpg files, got {tmp_path}\n"


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
    assert resolution_bound.main([str(ROOMS), "--split", "all", "--limit", "4", "--out", str(out)]) == 0
    forms = json.loads(out.read_text("utf-8"))["forms"]
    sides = [forms[f"{side}x{side} in a box"]["wall"]["boundary_iou"] for side in (14, 28, 56, 112)]
    strides = [forms[f"stride {stride}"]["wall"]["boundary_iou"] for stride in (16, 8, 4)]
    assert sides == sorted(sides)
    assert strides == sorted(strides)
    assert sides[1] < strides[2] < 1
    assert "stride 4" in capsys.readouterr().out
