"""`python -m distill losses`: TensorBoard's files to JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from distill.__main__ import main
from distill.losses import read_curves, thinned
from distill.training.curves import open_curves


def logged(run: Path, steps: range, offset: float = 0.0) -> None:
    with open_curves(run) as curves:
        for step in steps:
            curves.scalars(step, {"total": 1 / step + offset, "lr": 0.5})


def test_a_run_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logged(tmp_path / "one", range(1, 5))
    logged(tmp_path / "two", range(1, 50))
    out = tmp_path / "results" / "curves.json"
    assert main(["losses", str(tmp_path / "one"), str(tmp_path / "two"), "--out", str(out), "--points", "7"]) == 0
    printed = capsys.readouterr()
    assert printed.out == f"{out}\n"
    assert "two: 7 points to step 49" in printed.err
    content = json.loads(out.read_text())
    assert content["one"] == {
        "step": [1, 2, 3, 4],
        "values": {"total": [1.0, 0.5, 0.333333, 0.25], "lr": [0.5, 0.5, 0.5, 0.5]},
    }
    assert content["two"]["step"] == [7, 14, 21, 28, 35, 42, 49]


def test_a_curve_that_begins_later_is_none_before(tmp_path: Path) -> None:
    with open_curves(tmp_path) as curves:
        curves.scalars(1, {"total": 2.0})
        curves.scalars(2, {"total": 1.0, "belief": 3.0})
    assert read_curves(tmp_path / "curves") == {
        "step": [1, 2],
        "values": {"total": [2.0, 1.0], "belief": [None, 3.0]},
    }


@pytest.mark.parametrize("make", [False, True])
def test_no_curves_are_told_in_one_line(make: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if make:
        (tmp_path / "curves").mkdir()
    assert main(["losses", str(tmp_path), "--out", str(tmp_path / "a.json")]) == 8
    assert capsys.readouterr().err.startswith(f"distill: expected curves of a run in {tmp_path / 'curves'}, got no")
    assert not (tmp_path / "a.json").exists()


def test_thinning_keeps_the_last() -> None:
    assert thinned([1, 2, 3], 3) == [1, 2, 3]
    assert thinned(range(1, 11), 4) == [2, 5, 7, 10]
    assert thinned(range(1, 11), 1) == [10]
