"""How photos per second are measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tools.measure_rates import main

ROOMS = Path(__file__).parents[1] / "data" / "rooms"


@pytest.mark.slow
def test_each_step_is_run_and_named_without_this_machines_folders(tmp_path: Path) -> None:
    out = tmp_path / "rates.json"
    assert main([str(ROOMS), "--count", "2", "--out", str(out)]) == 0
    rates = json.loads(out.read_text("utf-8"))

    assert list(rates["steps"]) == ["judge", "student"]
    assert rates["steps"]["student"]["command"] == "autolabel run photos.txt --teacher student --threads 2 --out OUT"
    for step in rates["steps"].values():
        assert step["photos_a_second"] == pytest.approx(2 / step["seconds"], rel=0.1)
        assert step["bytes_a_photo"] > 1000


def test_a_folder_without_photos_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 8
    assert capsys.readouterr().err == f"measure_rates: expected a folder with .jpg files, got {tmp_path}\n"
