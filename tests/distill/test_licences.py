"""Licences travel from datasets to weights to the exported network, and can be refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from distill.__main__ import main
from distill.training.config import TrainConfig
from distill.training.run import train
from models import Segmenter
from models.student.weights import load_student
from models.teachers.class_map import MOSAIC, ClassMap
from models.teachers.onnx_semantic import OnnxSemantic
from models.teachers.student import StudentTeacher
from surfaces.datasets.description import licences_of
from surfaces.errors import DatasetError

ROOMS = Path(__file__).parents[1] / "data" / "rooms"
OURS = '[[sources]]\nsource = "renders"\nterms = "CC0-1.0"\ncommercial = "yes"\n'
THEIRS = '[[sources]]\nsource = "photos"\nterms = "research only"\ncommercial = "no"\n'


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    """Rooms whose licence allows all."""
    assert main(["data", "mix", str(ROOMS), "--photos", "2", "--out", str(tmp_path / "mix")]) == 0
    (tmp_path / "mix" / "dataset.toml").write_text(OURS, "utf-8")
    assert main(["pack", str(tmp_path / "mix"), "--out", str(tmp_path / "packed")]) == 0
    return tmp_path / "packed"


def config(data: Path, run: Path, **more: object) -> TrainConfig:
    settings = {"data": (str(data),), "split": "all", "init": "random", "run": str(run), "steps": 1, "batch": 1}
    return TrainConfig(**{**settings, "crop": 128, "amp": "off", "threads": 1, **more})  # type: ignore[arg-type]


def test_from_data_to_the_exported_network(tmp_path: Path, packed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert [licence.source for licence in licences_of(packed)] == ["renders"]
    weights = train(config(packed, tmp_path / "run", licence="commercial"))
    assert [licence.source for licence in load_student(weights).training_photos.licences] == ["renders"]
    out = tmp_path / "mine.onnx"
    assert main(["export", str(weights), "--out", str(out), "--check", str(packed), "--check-photos", "1"]) == 0
    assert [str(licence) for licence in Segmenter(out).training_photos.licences] == [
        "renders: CC0-1.0 (commercial use: yes)"
    ]
    opened = Segmenter(out).training_photos.licences
    assert StudentTeacher(out).licences == OnnxSemantic(out, ClassMap.read(MOSAIC)).licences == opened
    capsys.readouterr()
    assert main(["inspect", str(out), str(weights)]) == 0
    assert capsys.readouterr().out.count("renders: CC0-1.0 (commercial use: yes)") == 2
    # Labels of a network carry on what it learned from.
    (tmp_path / "mix" / "dataset.toml").write_text(f'labelled = ["wall"]\n{THEIRS}', "utf-8")
    again = tmp_path / "again"
    assert main(["pack", str(tmp_path / "mix"), "--soft-labels", str(out), "--out", str(again)]) == 0
    assert [licence.source for licence in licences_of(again)] == ["photos", "renders"]


@pytest.mark.parametrize("description", [THEIRS, ""])
def test_data_that_a_product_may_not_learn_from_is_refused(tmp_path: Path, packed: Path, description: str) -> None:
    (packed / "dataset.toml").write_text(description, "utf-8")
    with pytest.raises(DatasetError, match="commercial use"):
        train(config(packed, tmp_path / "run", licence="commercial"))
    assert not (tmp_path / "run").exists()


def test_weights_that_state_nothing_are_refused(tmp_path: Path, packed: Path) -> None:
    with pytest.raises(DatasetError, match="a source that states none"):
        train(config(packed, tmp_path / "run", licence="commercial", init="shipped"))
