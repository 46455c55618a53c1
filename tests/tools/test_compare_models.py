from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torchvision.models.detection import maskrcnn_resnet50_fpn

from distill.evaluation.report import PhotoScore, report_of, score_photo
from distill.training.config import ConfigError
from models.teachers.base import SemanticPrediction
from surfaces.classes import DINING_TABLE, FLOOR, WALL
from surfaces.datasets import open_dataset
from surfaces.detections import Detection, Image, box_of_mask
from surfaces.errors import DatasetError, WeightsError
from surfaces.metrics import AveragePrecision, SegmentMatches
from tests.conftest import ROOMS
from tests.models.teachers.networks import write_network
from tools.compare_models.__main__ import dataset_fingerprint, main, score_model
from tools.compare_models.config import read_config
from tools.compare_models.models import (
    LoadedModel,
    coco_file,
    count_onnx_parameters,
    fuse_probabilities,
    load_mask_rcnn,
)
from tools.compare_models.statistics import difference_of, scores_of

ROOT = Path(__file__).parents[2]

CLASS_MAP = """
[input]
multiple_of = 32
longest_side = 256
[output]
classes = 5
[classes]
wall = [{wall}]
floor = [2]
"dining table" = [3]
"""

BENCHMARK = """
reference = "one"
photo = "{photo}"
side = 128
data = [{{ name = "rooms", path = "$BENCHMARK_DATA", split = "all" }}]
differences = [{{ title = "two more than one", these = ["two"], those = ["one"] }}]
[[contenders]]
name = "one"
title = "the first"
kind = "onnx"
weights = ["$BENCHMARK_NET"]
class_map = "{folder}/1.toml"
rounds = 2
seen = {{ rooms = "trained on" }}
[[contenders]]
name = "two"
title = "the second, mirrored"
kind = "onnx"
weights = ["$BENCHMARK_NET"]
class_map = "{folder}/4.toml"
mirror = true
rounds = 1
[[contenders]]
name = "absent"
title = "not here"
kind = "segmenter"
weights = ["{folder}/none.onnx"]
"""


@pytest.fixture
def benchmark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for wall in (1, 4):
        (tmp_path / f"{wall}.toml").write_text(CLASS_MAP.format(wall=wall))
    monkeypatch.setenv("BENCHMARK_DATA", str(ROOMS))
    monkeypatch.setenv("BENCHMARK_NET", str(write_network(tmp_path / "colours.onnx")))
    path = tmp_path / "benchmark.toml"
    path.write_text(BENCHMARK.format(photo=ROOMS / "images" / "room_01.jpg", folder=tmp_path))
    return path


def photo(name: str, *ious: tuple[int, int], tables: tuple[int, int, int] = (1, 0, 0)) -> PhotoScore:
    """Intersection and union of wall, floor and table; right, false and missed tables."""
    counts = np.array(ious, np.int64)
    right, false, missed = tables
    there = SegmentMatches((0.8,), 0, 0, ((0.9, True),))
    of_tables = SegmentMatches((0.6,) * right, false, missed, ((0.9, True),) * right + ((0.7, False),) * false)
    return PhotoScore(name, 100, counts, counts // 2, (there, there, of_tables))


def report(*photos: PhotoScore) -> Any:
    return report_of(photos, AveragePrecision(0.25, 0.5), 0.0)


def test_scores_are_sums_over_photos_with_intervals() -> None:
    one = photo("a", (50, 100), (10, 10), (0, 10), tables=(0, 1, 1))
    other = photo("b", (100, 100), (0, 10), (30, 30), tables=(2, 0, 1))
    found = scores_of(report(one, other))
    assert found["wall IoU"] == {"value": 0.75, "interval": [0.5, 1]}
    assert found["floor IoU"]["value"] == 0.5
    assert found["mean IoU"]["value"] == pytest.approx((0.75 + 0.5 + 0.75) / 3)
    assert found["wall BIoU"]["value"] == 0.75
    assert (found["table_precision"]["value"], found["table_recall"]["value"]) == (pytest.approx(2 / 3, abs=1e-6), 0.5)
    assert found["mean_pq"]["value"] == pytest.approx((0.8 + 0.8 + 1.2 / 3.5) / 3, abs=1e-6)
    assert (found["table_ap"], found["table_ap50"]) == (0.25, 0.5)
    assert (found["photos"], found["photos_with_table"]) == (2, 2)


def test_an_absent_class_has_no_score() -> None:
    found = scores_of(report(photo("a", (50, 100), (10, 10), (0, 0), tables=(0, 0, 0))))
    assert found["dining table IoU"] == {"value": None, "interval": [None, None]}
    assert found["mean IoU"]["value"] == 0.75
    assert found["table_recall"]["value"] is None


def test_differences_are_paired() -> None:
    # Photos differ widely, both sides alike: the scores have wide intervals, the difference a narrow one.
    hard = [photo(str(n), (5 * n, 100), (10, 10), (10, 10)) for n in range(20)]
    easier = [photo(str(n), (5 * n + 4, 100), (10, 10), (10, 10)) for n in range(20)]
    low, high = scores_of(report(*hard))["wall IoU"]["interval"]
    assert high - low > 0.2
    assert difference_of([report(*easier)], [report(*hard)])["wall IoU"] == {"value": 0.04, "interval": [0.04, 0.04]}
    none = difference_of([report(*hard), report(*easier)], [report(*easier), report(*hard)])
    assert none["wall IoU"]["value"] == 0
    with pytest.raises(ValueError, match="same photos"):
        difference_of([report(*hard)], [report(*hard[1:])])


def test_semantic_probabilities_give_the_most_probable_class() -> None:
    probabilities = np.zeros((4, 30, 40), np.float32)
    probabilities[0] = 0.3
    probabilities[1, :10], probabilities[2, 25:] = 0.4, 0.6
    probabilities[3, 12:22, 2:12] = probabilities[3, 12:22, 28:38] = 0.35
    found = fuse_probabilities(SemanticPrediction(probabilities, np.zeros((30, 40), np.float32)), 30, 40)
    assert [one.surface for one in found] == [WALL, FLOOR, DINING_TABLE, DINING_TABLE]
    assert [int(one.mask.sum()) for one in found] == [400, 200, 100, 100]
    assert [round(one.score, 2) for one in found] == [0.4, 0.6, 0.35, 0.35]


def test_finished_scores_are_read(tmp_path: Path) -> None:
    rooms = open_dataset(ROOMS)[:2]
    seen = []

    def predict_wall(image: Image) -> list[Detection]:
        seen.append(image)
        mask = np.ones(image.shape[:2], bool)
        return [Detection(WALL, 0.9, box_of_mask(mask), mask)]

    loaded = LoadedModel(predict_wall, "first", 1, 1)
    path = tmp_path / "cells" / "one.json"
    data = dataset_fingerprint(rooms)
    first = score_model(path, loaded, rooms, data)
    assert seen
    seen.clear()
    again = score_model(path, loaded, rooms, data)
    assert seen == []
    assert scores_of(again) == scores_of(first)
    direct = score_photo(rooms[0].name, predict_wall(rooms[0].image()), rooms[0].labels())
    assert again.photos[0].matches == direct.matches
    np.testing.assert_array_equal(again.photos[0].regions, direct.regions)
    seen.clear()
    score_model(path, replace(loaded, fingerprint="second"), rooms, data)
    assert seen
    assert dataset_fingerprint(rooms[:1]) != data
    path.write_text("{}")
    with pytest.raises(DatasetError, match="remove it"):
        score_model(path, loaded, rooms, data)


def test_the_command(benchmark: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = benchmark.parent / "run"
    flags = ["--config", str(benchmark), "--run", str(run), "--threads", "1", "--limit", "3"]
    assert main(flags) == 0
    shown = capsys.readouterr()
    assert "absent is left out: no " in shown.err
    assert [line.split()[:2] for line in shown.out.splitlines()] == [["rooms", "one"], ["rooms", "two"]]
    found = json.loads((run / "scores.json").read_text())
    one, two, absent = found["contenders"]
    assert one["weights"] == ["$BENCHMARK_NET"]  # as it is written, whatever the machine
    assert found["data"][0] == {"name": "rooms", "path": "$BENCHMARK_DATA", "split": "all", "photos": 3}
    assert one["seen"] == {"rooms": "trained on"}
    assert one["parameters"] == 5 * 3 + 5
    assert one["bytes"] == (benchmark.parent / "colours.onnx").stat().st_size
    assert one["difference"] == absent["scores"] == {}
    more = two["scores"]["rooms"]["mean IoU"]["value"] - one["scores"]["rooms"]["mean IoU"]["value"]
    for difference in (two["difference"], found["differences"][0]["difference"]):
        assert difference["rooms"]["mean IoU"]["value"] == pytest.approx(more, abs=2e-6)
        low, high = difference["rooms"]["mean IoU"]["interval"]
        assert low <= more <= high
    timed = found["timing"]["contenders"]
    assert {name: timing["rounds"] for name, timing in timed.items()} == {"one": 2, "two": 1}
    assert all(0 < timing["median_ms"] <= timing["p95_ms"] + 1e-6 for timing in timed.values())
    finished = {path: path.stat().st_mtime_ns for path in (run / "timing.json", *(run / "scored").iterdir())}
    assert main(flags) == 0
    assert {path: path.stat().st_mtime_ns for path in finished} == finished


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('reference = "one"', 'reference = "three"'), "expected reference out of one, two, absent; got 'three'"),
        (('kind = "segmenter"', 'kind = "oracle"'), "contenders.2.kind: Input should be 'segmenter', 'student'"),
        (("rounds = 2", "round = 2"), "contenders.0.round: Extra inputs are not permitted, got 2"),
        (("side = 128", 'side = "wide"'), "side: Input should be a valid integer, got 'wide'"),
        (('name = "two"', 'name = "one"'), "expected each name of [[contenders]] once"),
        (('name = "two"', 'name = "../two"'), "contenders.1.name: String should match pattern"),
        (('those = ["one"]', 'those = ["one", "two"]'), "expected `these` and `those` in pairs"),
        (("seen = { rooms", "seen = { roms"), "expected seen of one out of rooms; got 'roms'"),
        (('weights = ["$BENCHMARK_NET"]', "weights = []"), "expected `weights` of the model one, got none"),
        (('split = "all"', 'split = "test"'), "data.0.split: Input should be 'train', 'val' or 'all', got 'test'"),
        (("$BENCHMARK_NET", "$BENCHMARK_UNSET"), "expected the weights of the reference one"),
        (('path = "$BENCHMARK_DATA"', 'path = "$BENCHMARK_UNSET"'), "expected the variables of $BENCHMARK_UNSET"),
    ],
)
def test_mistakes_are_one_line(
    benchmark: Path, change: tuple[str, str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    benchmark.write_text(benchmark.read_text().replace(*change, 1))
    assert main(["--config", str(benchmark), "--run", str(benchmark.parent / "run")]) == ConfigError.exit_code
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("compare_models: ")
    assert message in error


def test_invalid_files_are_one_line(benchmark: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = ["--run", str(benchmark.parent / "run")]
    assert main(["--config", str(benchmark.parent / "none.toml"), *run]) == ConfigError.exit_code
    assert capsys.readouterr().err.count("\n") == 1
    (benchmark.parent / "colours.onnx").write_bytes(b"no network")
    assert main(["--config", str(benchmark), *run, "--limit", "1"]) == WeightsError.exit_code


def test_the_benchmark_of_the_documents_can_be_read() -> None:
    config = read_config(ROOT / "tools" / "compare_models" / "benchmark.toml")
    assert (config.reference, [entry.name for entry in config.data]) == ("student", ["nyuv2", "rooms"])
    assert (ROOT / config.photo).is_file()
    assert count_onnx_parameters(ROOT / "models" / "weights" / "surfaces.onnx") == pytest.approx(3.7e6, rel=0.02)


def test_mask_rcnn_with_random_weights_is_only_timed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    found = load_mask_rcnn("mobilenet_v3_large_fpn")
    assert not found.scored
    assert found.parameters == pytest.approx(21.6e6, rel=0.01)
    assert found.predict(np.zeros((60, 80, 3), np.uint8)) == []  # it has no class of that number
    with pytest.raises(ConfigError, match="expected `network` out of resnet50_fpn"):
        load_mask_rcnn("resnet18")
    coco_file().parent.mkdir(parents=True)
    torch.save({"weight": torch.zeros(1)}, coco_file())
    with pytest.raises(WeightsError, match="expected torchvision's Mask R-CNN at"):
        load_mask_rcnn("resnet50_fpn")


@pytest.mark.slow
def test_mask_rcnn_is_scored_once_its_weights_are_cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    coco_file().parent.mkdir(parents=True)
    torch.manual_seed(0)
    network = maskrcnn_resnet50_fpn(weights=None, weights_backbone=None)
    with torch.no_grad():
        network.roi_heads.box_predictor.cls_score.bias[67] = 20  # it predicts dining tables only
    torch.save(network.state_dict(), coco_file())
    loaded = load_mask_rcnn("resnet50_fpn")
    assert loaded.scored
    assert loaded.low_confidence
    found = loaded.low_confidence(np.random.default_rng(0).integers(0, 255, (96, 128, 3), dtype=np.uint8))
    assert found
    assert all(one.surface is DINING_TABLE and one.mask.shape == (96, 128) for one in found)
