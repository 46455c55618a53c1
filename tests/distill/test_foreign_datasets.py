"""Other tools' exports are looked at, scored and trained on without an option."""

from __future__ import annotations

from pathlib import Path

import pytest

from distill.__main__ import main
from distill.training.run import train
from surfaces.errors import DatasetError
from tests.distill.training import ROOT, small_config

EXPORTS = ROOT / "tests" / "data" / "exports"
FORMS = sorted(path.name for path in EXPORTS.iterdir() if path.is_dir())


@pytest.mark.parametrize("form", FORMS)
def test_exports_are_inspected_and_evaluated(tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str) -> None:
    assert main(["inspect", str(EXPORTS / form), "--out", str(tmp_path / "sheet.png")]) == 0
    assert (tmp_path / "sheet.png").stat().st_size > 1000
    assert main(["evaluate", str(EXPORTS / form), "--split", "all", "--out", str(tmp_path / "scores")]) == 0
    output = capsys.readouterr().out
    assert "dining table" in output


@pytest.mark.parametrize("form", ["ultralytics/data.yaml", "labelme"])
def test_exports_are_trained_on(tmp_path: Path, form: str) -> None:
    config = small_config(tmp_path / "run", data=(str(EXPORTS / form),), steps=2)
    assert train(config).stat().st_size > 1000


def test_a_faulty_export_has_an_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "data.yaml").write_text("train: images\n")
    command = ["inspect", str(tmp_path), "--out", str(tmp_path / "sheet.png")]
    assert main(command) == DatasetError.exit_code
    assert "expected `names`" in capsys.readouterr().err
    assert not (tmp_path / "sheet.png").exists()
