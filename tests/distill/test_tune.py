from __future__ import annotations

import argparse
import shlex
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from distill.__main__ import main
from distill.commands import export, tune
from distill.datasets import open_datasets
from models.inference.model_output import ModelOutput
from models.inference.postprocess import FusionSettings
from models.inference.segmenter import Segmenter
from models.weights.registry import shipped
from surfaces.datasets import Labels, MemorySample, open_dataset, write_packed
from tests.distill.training import ROOMS


def photo_with_a_true_and_a_false_table() -> tune.PhotoOutput:
    """Two predicted tables of one size: a true one with score 1, a false one with score .36."""
    semantic = np.zeros((64, 128), np.uint8)
    semantic[16:48, 8:40] = 3
    probabilities = np.zeros((4, 64, 128), np.float32)
    probabilities[0] = 1
    for left in (8, 80):
        probabilities[3, 16:48, left : left + 32] = 1
    probabilities[0] -= probabilities[3]
    boxes = np.array([[8 / 128, 0.25, 40 / 128, 0.75], [80 / 128, 0.25, 112 / 128, 0.75]], np.float32)
    masks = np.ones((2, 56, 56), np.float32)
    output = ModelOutput(probabilities, boxes, np.array([1.0, 0.36], np.float32), masks)
    truth = Labels(semantic, (semantic == 3).astype(np.uint8))
    return tune.PhotoOutput(output, truth)


def test_a_higher_threshold_trades_recall_for_precision() -> None:
    photo = photo_with_a_true_and_a_false_table()
    low = tune.try_settings([photo], FusionSettings(table_score=0.5, residual_score=1.01))
    high = tune.try_settings([photo], FusionSettings(table_score=0.7, residual_score=1.01))
    assert (low.iou, low.precision, low.recall) == pytest.approx((0.5, 0.5, 1.0), abs=0.02)
    assert (high.iou, high.precision, high.recall) == pytest.approx((1.0, 1.0, 1.0), abs=0.02)


def test_the_command_lists_the_whole_grid_best_first(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tune, "GRID", {"table_score": (0.3, 0.9), "mask_weight": (0.4,)})
    monkeypatch.setattr(tune, "open_datasets", lambda *given: open_datasets(*given)[:2])
    assert main(["tune", str(ROOMS), "--split", "all"]) == 0
    *lines, command = capsys.readouterr().out.splitlines()
    assert len(lines) == 4  # the grid and the network's own settings
    scores = [float(line.split()[2]) for line in lines[1:]]
    assert scores == sorted(scores, reverse=True)
    best = lines[1].split()
    python, *arguments = shlex.split(command)
    assert [python, *arguments[:3]] == ["python", "-m", "distill", "export"]
    parser = argparse.ArgumentParser()
    export.add_arguments(parser)
    args = parser.parse_args(arguments[3:])
    assert (args.student, args.out, args.check) == (shipped("npz").path, Path("tuned.onnx"), ROOMS)
    expected = replace(Segmenter().settings, table_score=float(best[0]), mask_weight=float(best[1]))
    assert {name: getattr(args, name) for name in asdict(expected)} == asdict(expected)


def test_the_command_names_what_was_tuned() -> None:
    command = tune.export_command(Path("my nets/a.onnx"), Path("DATA"), FusionSettings(smallest_share=0.001))
    assert command == (
        "python -m distill export STUDENT.npz --out 'my nets/a.onnx' --check DATA "
        "--table-score 0.5 --residual-score 0.7 --mask-weight 0.3 --smallest-share 0.001"
    )


def test_photos_without_tables_are_nothing_to_tune_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    room = open_dataset(ROOMS)[0]
    labels = room.labels()
    without = Labels(np.where(labels.semantic == 3, 0, labels.semantic), np.zeros_like(labels.tables))
    write_packed([MemorySample("room", room.image(), without)], tmp_path / "data")
    assert main(["tune", str(tmp_path / "data"), "--split", "all"]) == 8
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "distill: expected photos with a dining table to tune on, got 1 without\n"
