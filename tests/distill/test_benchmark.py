from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from distill.__main__ import main
from distill.commands.benchmark import ColdStart, Contender, Timing, downsample, onnx_contender, table, time_in_turns
from surfaces.errors import WeightsError
from tests.distill.training import ROOMS, run_distill

PHOTO = ROOMS / "images" / "room_01.jpg"


@pytest.mark.slow
def test_it_prints_and_writes_figures(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    other = tmp_path / "other.onnx"
    torch.onnx.export(torch.nn.Conv2d(3, 1, 1), (torch.zeros(1, 3, 16, 16),), str(other), dynamo=False)
    flags = ["--side", "256", "--threads", "1", "--runs", "1", "--cold-runs", "1", "--batch", "2"]
    flags += ["--onnx", str(other), "--json", str(figures), "--data", str(ROOMS), "--split", "all"]
    ran = run_distill("benchmark", str(PHOTO), *flags)
    assert ran.returncode == 0, ran.stderr
    written = json.loads(figures.read_text())
    assert written["photo"] == [192, 256]
    assert written["threads"] == 1
    names = [timing["name"] for timing in written["warm"]]
    assert names[-1] == "other, alone"
    assert len(names) == 7
    for timing in written["warm"]:
        assert timing["name"] in ran.stdout
        assert 0 < timing["median_ms"] == timing["p95_ms"]
    parameters = {timing["name"]: timing["parameters"] for timing in written["warm"]}
    assert parameters[names[0]] <= 12
    assert parameters["Mask R-CNN ResNet-50-FPN (torchvision)"] == pytest.approx(44, abs=1)
    assert 0.1 < written["cold"]["imports_s"] < written["cold"]["median_s"] < 60
    assert written["batch"]["photos_per_s"] > 0
    accuracy = written["accuracy"]
    assert accuracy["photos"] > 0
    assert list(accuracy["iou"]) == names[1:3]
    for ious in accuracy["iou"].values():
        assert ious["wall"] > 0.5
        assert ", ".join(f"{iou:.3f}" for iou in ious.values()) in ran.stdout
    assert 4 < written["file_mb"] < 40
    # The peak of `segment.py`, not that of this process with torch in it.
    assert 50 < written["cold"]["peak_mb"] <= 600


def test_networks_take_turns() -> None:
    calls: list[str] = []
    contenders = [Contender(name, lambda name=name: calls.append(name), None) for name in ("a", "b")]
    timings = time_in_turns(contenders, 3)
    assert calls == ["a", "a", "b", "b"] * 3  # the first run of each turn warms up
    assert [timing.name for timing in timings] == ["a", "b"]


def test_networks_of_one_name_are_timed_apart() -> None:
    slow, quick = time_in_turns([Contender("a", lambda: time.sleep(0.05), None), Contender("a", int, None)], 3)
    assert slow.median_ms > quick.median_ms


def test_other_networks_that_cannot_run_are_one_line(tmp_path: Path) -> None:
    photo, path = np.zeros((30, 40, 3), np.uint8), tmp_path / "half.onnx"
    torch.onnx.export(torch.nn.ReLU(), (torch.zeros(1, 3, 16, 16, dtype=torch.float16),), str(path), dynamo=False)
    with pytest.raises(WeightsError, match=r"float32 \(N, C, H, W\), got tensor\(float16\)"):
        onnx_contender(path, photo, 1)


def test_the_table_compares_with_ours() -> None:
    timings = [Timing("net", 90, 95, 3.7), Timing("ours", 100, 110, 3.7), Timing("theirs", 250, 300, None)]
    text = table(timings, ColdStart(1.2, 0.8, 280), 7.25, np.zeros((30, 40, 3), np.uint8))
    lines = text.splitlines()
    assert lines[0].startswith("40x30 photo; ")
    assert lines[-4].split() == ["theirs", "250", "ms", "300", "ms", "2.50", "?"]
    assert "ours" in lines[-5]
    imports = "1.50 times importing onnxruntime, cv2 and supervision"
    assert lines[-2] == f"python segment.py, cold process: 1.20 s ({imports}), 280 MiB at most"
    assert lines[-1] == "a batch with --json: 7.2 photos a second"


def test_photos_are_shrunk_and_never_grown() -> None:
    photo = np.zeros((300, 600, 3), np.uint8)
    assert downsample(photo, 200).shape == (100, 200, 3)
    assert downsample(photo, 600) is photo
    assert downsample(photo, 900) is photo


@pytest.mark.parametrize("flag", ["--runs", "--cold-runs", "--batch", "--side", "--threads"])
def test_nothing_is_measured_in_no_runs(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["benchmark", str(PHOTO), flag, "0"])
    assert stopped.value.code == 2
    assert f"{flag}: expected a number from 1, got 0" in capsys.readouterr().err


def test_a_photo_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["benchmark", str(tmp_path / "none.jpg")]) == 4
    assert capsys.readouterr().err == "distill: expected a photo's address or file, there is no such file\n"
