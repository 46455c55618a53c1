"""The score sheet: contenders on the same photos, paired differences, what is kept between runs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from distill.__main__ import main
from distill.evaluation.report import PhotoScore, report_of, score_photo
from distill.score_sheet_cells import dataset_fingerprint, scored
from distill.score_sheet_config import read_sheet
from distill.score_sheet_contender import OpenContender
from distill.score_sheet_contenders import MOST_PROBABLE, belief_detections, onnx_parameters
from distill.score_sheet_large import coco_file, open_mask_rcnn, open_random_grounded_sam
from distill.score_sheet_statistics import difference_of, means_over_seeds, scores_of
from distill.training.config import ConfigError
from docs.made import score_tables
from models.teachers.base import SemanticPrediction
from surfaces.classes import DINING_TABLE, FLOOR, WALL
from surfaces.datasets import open_dataset
from surfaces.detections import Detection, Image, box_of_mask
from surfaces.errors import DatasetError, WeightsError
from surfaces.metrics import AveragePrecision, SegmentMatches
from tests.distill.training import ROOMS, ROOT
from tests.models.teachers.networks import write_network

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

SHEET = """
reference = "one"
photo = "{photo}"
side = 128
[[data]]
name = "rooms"
path = "$SHEET_DATA"
split = "all"
[[contenders]]
name = "one"
title = "the first"
kind = "onnx"
weights = ["$SHEET_DATA_NET"]
class_map = "{folder}/1.toml"
rounds = 2
seen = {{ rooms = "trained on" }}
[[contenders]]
name = "two"
title = "the second, mirrored"
kind = "onnx"
weights = ["$SHEET_DATA_NET"]
class_map = "{folder}/4.toml"
mirror = true
rounds = 1
[[contenders]]
name = "absent"
title = "not here"
kind = "segmenter"
weights = ["{folder}/none.onnx"]
[[groups]]
name = "both"
title = "both seeds"
members = ["one", "two"]
[[differences]]
title = "two more than one"
these = ["two"]
those = ["one"]
"""


@pytest.fixture
def sheet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sheet of two tiny networks, and one that is not there."""
    for wall in (1, 4):
        (tmp_path / f"{wall}.toml").write_text(CLASS_MAP.format(wall=wall))
    monkeypatch.setenv("SHEET_DATA", str(ROOMS))
    monkeypatch.setenv("SHEET_DATA_NET", str(write_network(tmp_path / "colours.onnx")))
    path = tmp_path / "sheet.toml"
    path.write_text(SHEET.format(photo=ROOMS / "images" / "room_01.jpg", folder=tmp_path))
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


def test_scores_are_sums_over_photos_and_say_how_sure_they_are() -> None:
    found = scores_of(
        report(
            photo("a", (50, 100), (10, 10), (0, 10), tables=(0, 1, 1)),
            photo("b", (100, 100), (0, 10), (30, 30), tables=(2, 0, 1)),
        )
    )
    assert found["wall IoU"]["value"] == 0.75
    assert found["wall IoU"]["interval"] == [0.5, 1]
    assert found["floor IoU"]["value"] == 0.5
    assert found["mean IoU"]["value"] == pytest.approx((0.75 + 0.5 + 0.75) / 3)
    assert found["wall BIoU"]["value"] == 0.75
    assert (found["table_precision"]["value"], found["table_recall"]["value"]) == (pytest.approx(2 / 3, abs=1e-6), 0.5)
    assert found["mean_pq"]["value"] == pytest.approx((0.8 + 0.8 + 1.2 / 3.5) / 3, abs=1e-6)
    assert (found["table_ap"], found["table_ap50"]) == (0.25, 0.5)
    assert (found["photos"], found["photos_with_table"]) == (2, 2)


def test_a_class_that_is_nowhere_has_no_score() -> None:
    found = scores_of(report(photo("a", (50, 100), (10, 10), (0, 0), tables=(0, 0, 0))))
    assert found["dining table IoU"] == {"value": None, "interval": [None, None]}
    assert found["mean IoU"]["value"] == 0.75
    assert found["table_recall"]["value"] is None


def test_differences_are_paired() -> None:
    """Photos differ widely, both sides alike: the difference is certain where neither score is."""
    hard = [photo(str(n), (5 * n, 100), (10, 10), (10, 10)) for n in range(20)]
    easier = [photo(str(n), (5 * n + 4, 100), (10, 10), (10, 10)) for n in range(20)]
    low, high = scores_of(report(*hard))["wall IoU"]["interval"]
    assert high - low > 0.2
    assert difference_of([report(*easier)], [report(*hard)])["wall IoU"] == {"value": 0.04, "interval": [0.04, 0.04]}
    none = difference_of([report(*hard), report(*easier)], [report(*easier), report(*hard)])
    assert none["wall IoU"]["value"] == 0
    with pytest.raises(ValueError, match="same photos"):
        difference_of([report(*hard)], [report(*hard[1:])])


def test_means_and_deviations_over_seeds() -> None:
    seeds = [scores_of(report(photo("a", (right, 100), (10, 10), (10, 10)))) for right in (70, 80, 90)]
    found = means_over_seeds(seeds)
    assert found["wall IoU"] == {"mean": 0.8, "deviation": 0.1, "values": [0.7, 0.8, 0.9]}
    assert found["table_ap"]["deviation"] == 0
    assert "photos" not in found


def test_a_belief_says_the_most_probable_class() -> None:
    probabilities = np.zeros((4, 30, 40), np.float32)
    probabilities[0] = 0.3
    probabilities[1, :10], probabilities[2, 25:] = 0.4, 0.6
    probabilities[3, 12:22, 2:12] = probabilities[3, 12:22, 28:38] = 0.35
    found = belief_detections(SemanticPrediction(probabilities, np.zeros((30, 40), np.float32)), 30, 40, MOST_PROBABLE)
    assert [one.surface for one in found] == [WALL, FLOOR, DINING_TABLE, DINING_TABLE]
    assert [int(one.mask.sum()) for one in found] == [400, 200, 100, 100]
    assert [round(one.score, 2) for one in found] == [0.4, 0.6, 0.35, 0.35]


class Counting:
    """Says that everything is wall; counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, image: Image) -> list[Detection]:
        self.asked += 1
        mask = np.ones(image.shape[:2], bool)
        return [Detection(WALL, 0.9, box_of_mask(mask), mask)]


def test_what_was_scored_is_not_scored_again(tmp_path: Path) -> None:
    rooms = open_dataset(ROOMS)[:2]
    says = Counting()
    contender = OpenContender(says, says, "first", 1, 1)
    path = tmp_path / "cells" / "one.json"
    data = dataset_fingerprint(rooms)
    first = scored(path, contender, rooms, data)
    asked = says.asked
    again = scored(path, contender, rooms, data)
    assert says.asked == asked
    assert scores_of(again) == scores_of(first)
    direct = score_photo(rooms[0].name, says(rooms[0].image()), rooms[0].labels())
    assert again.photos[0].matches == direct.matches
    np.testing.assert_array_equal(again.photos[0].regions, direct.regions)
    asked = says.asked
    scored(path, replace(contender, fingerprint="second"), rooms, data)
    assert says.asked > asked
    assert dataset_fingerprint(rooms[:1]) != data
    path.write_text("{}")
    with pytest.raises(DatasetError, match="remove it"):
        scored(path, contender, rooms, data)


def test_the_command(sheet: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = sheet.parent / "run"
    flags = ["--config", str(sheet), "--run", str(run), "--threads", "1", "--limit", "3"]
    assert main(["scores", *flags, "--only", "two"]) == 0
    assert [path.name for path in (run / "scored").iterdir()] == ["two.rooms.json"]
    before = (run / "scored" / "two.rooms.json").stat().st_mtime_ns
    capsys.readouterr()
    assert main(["scores", *flags]) == 0
    shown = capsys.readouterr()
    assert "absent is left out: no " in shown.err
    assert [line.split()[:2] for line in shown.out.splitlines()[1:]] == [["rooms", "one"], ["rooms", "two"]]
    assert (run / "scored" / "two.rooms.json").stat().st_mtime_ns == before
    found = json.loads((run / "scores.json").read_text())
    one, two, absent = found["contenders"]
    assert one["weights"] == ["$SHEET_DATA_NET"]  # as it is written, whatever the machine
    assert found["data"][0] == {"name": "rooms", "path": "$SHEET_DATA", "split": "all", "photos": 3}
    assert one["seen"] == {"rooms": "trained on"}
    assert one["parameters"] == 5 * 3 + 5
    assert one["bytes"] == (sheet.parent / "colours.onnx").stat().st_size
    assert one["difference"] == absent["scores"] == {}
    more = two["scores"]["rooms"]["mean IoU"]["value"] - one["scores"]["rooms"]["mean IoU"]["value"]
    for difference in (two["difference"], found["differences"][0]["difference"]):
        assert difference["rooms"]["mean IoU"]["value"] == pytest.approx(more, abs=2e-6)
        low, high = difference["rooms"]["mean IoU"]["interval"]
        assert low <= more <= high
    values = found["groups"][0]["scores"]["rooms"]["wall IoU"]["values"]
    assert values == [c["scores"]["rooms"]["wall IoU"]["value"] for c in (one, two)]
    timed = found["timing"]["contenders"]
    assert {name: timing["rounds"] for name, timing in timed.items()} == {"one": 2, "two": 1}
    assert all(0 < timing["median_ms"] <= timing["p90_ms"] + 1e-6 for timing in timed.values())
    first = (run / "timing.json").read_bytes()
    assert main(["scores", *flags]) == 0
    assert (run / "timing.json").read_bytes() == first
    assert main(["scores", *flags, "--again"]) == 0
    assert (run / "timing.json").read_bytes() != first


def test_labels_are_made_and_compared(sheet: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = sheet.parent
    (folder / "teacher.toml").write_text('kind = "onnx"\nweights = "colours.onnx"\nclass_map = "1.toml"\n')
    entries = [("mine", str(folder / "teacher.toml")), ("absent", "$SHEET_DATA/no.toml")]
    sheet.write_text(
        sheet.read_text()
        + "".join(
            f'[[labels]]\nname = "{name}"\ntitle = "{name}"\ndata = "rooms"\nphotos = "$SHEET_DATA/images"\n'
            f'truth = "$SHEET_DATA"\nteacher = "{teacher}"\nshard = "1/4"\n'
            for name, teacher in entries
        )
    )
    assert main(["scores", "--config", str(sheet), "--run", str(folder / "run"), "--threads", "1", "--limit", "1"]) == 0
    assert "labels absent are left out" in capsys.readouterr().err
    mine, absent = json.loads((folder / "run" / "scores.json").read_text())["labels"]
    assert mine["comparison"]["photos"] >= 1
    assert "belief_groups" in mine["comparison"]
    assert (absent["comparison"], absent["note"]) == (None, "no $SHEET_DATA/no.toml here")
    results = folder / "run"
    assert score_tables.labels(results).count("mine; ") == 3
    assert score_tables.labels_absent(results) == "absent on rooms: no $SHEET_DATA/no.toml here."
    assert score_tables.iou("rooms")(results).splitlines()[2].startswith("| the first *(trained on)* | ")
    assert "| two more than one | rooms | " in score_tables.pairs(results)
    assert "| both seeds, rooms | 2 | " in score_tables.seeds(results)
    assert score_tables.differences("rooms")(results).count("\n") == 2
    assert score_tables.timed_on(results).startswith("`" + str(ROOMS))
    for make in (score_tables.speed, score_tables.labels_by_belief, score_tables.labels_by_quality):
        assert make(results).startswith("| ")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (('reference = "one"', 'reference = "three"'), "expected reference out of one, two, absent; got 'three'"),
        (('kind = "segmenter"', 'kind = "oracle"'), "expected kind out of segmenter"),
        (("side = 128", "sides = 128"), "expected a key of the file out of reference"),
        (("side = 128", 'side = "wide"'), "expected `side` to be of type int, got 'wide'"),
        (('name = "two"', 'name = "one"'), "expected each name of [[contenders]] once"),
        (('name = "two"', 'name = "../two"'), "expected names of letters, digits, - and _"),
        (('members = ["one", "two"]', 'members = ["one"]'), "expected two `members` or more of the group both"),
        (('these = ["two"]', "these = []"), "expected `these` and `those` in pairs"),
        (("rounds = 2", "rounds = -1"), "expected `rounds` from 0, got -1"),
        (("seen = { rooms", "seen = { roms"), "expected seen of one out of rooms; got 'roms'"),
        (('title = "the first"', ""), "expected `title` in [[contenders]], got none"),
        (('split = "all"', 'split = "test"'), "expected split out of train, val, all; got 'test'"),
        (("$SHEET_DATA_NET", "$SHEET_OF_NOBODY"), "expected the weights of the reference one"),
        (('path = "$SHEET_DATA"', 'path = "$SHEET_OF_NOBODY"'), "expected the variables of $SHEET_OF_NOBODY"),
    ],
)
def test_mistakes_are_one_line(
    sheet: Path, change: tuple[str, str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    sheet.write_text(sheet.read_text().replace(*change, 1))
    code = main(["scores", "--config", str(sheet), "--run", str(sheet.parent / "run")])
    error = capsys.readouterr().err.splitlines()[-1]
    assert code == ConfigError.exit_code
    assert error.startswith("distill: ")
    assert told in error


def test_an_unknown_contender_and_a_file_that_is_none(sheet: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = ["--run", str(sheet.parent / "run")]
    assert main(["scores", "--config", str(sheet), *run, "--only", "three"]) == ConfigError.exit_code
    assert "expected --only out of one, two, absent; got 'three'" in capsys.readouterr().err
    assert main(["scores", "--config", str(sheet.parent / "none.toml"), *run]) == ConfigError.exit_code
    assert capsys.readouterr().err.count("\n") == 1
    (sheet.parent / "colours.onnx").write_bytes(b"no network")
    assert main(["scores", "--config", str(sheet), *run, "--limit", "1"]) == WeightsError.exit_code


def test_the_sheet_of_the_documents_can_be_read() -> None:
    config = read_sheet(ROOT / "distill" / "scores.toml")
    assert config.reference == "student"
    assert [entry.name for entry in config.data] == ["nyuv2", "rooms"]
    assert (ROOT / config.photo).is_file()


def test_the_shipped_network_is_as_large_as_its_table_says() -> None:
    assert onnx_parameters(ROOT / "models" / "weights" / "surfaces.onnx") == pytest.approx(3.7e6, rel=0.02)


def test_mask_rcnn_with_random_weights_is_timed_and_not_scored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    found = open_mask_rcnn("mobilenet_v3_large_fpn")
    assert not found.scored
    assert found.parameters == pytest.approx(21.6e6, rel=0.01)
    assert found.predict(np.zeros((60, 80, 3), np.uint8)) == []  # it has no class of that number
    with pytest.raises(ConfigError, match="expected `network` out of resnet50_fpn"):
        open_mask_rcnn("resnet18")


def test_a_damaged_file_in_torchvisions_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    coco_file().parent.mkdir(parents=True)
    torch.save({"weight": torch.zeros(1)}, coco_file())
    with pytest.raises(WeightsError, match="expected torchvision's Mask R-CNN at"):
        open_mask_rcnn("resnet50_fpn")


@pytest.mark.slow
def test_mask_rcnn_is_scored_once_its_weights_are_cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.models.detection import maskrcnn_resnet50_fpn

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    coco_file().parent.mkdir(parents=True)
    torch.manual_seed(0)
    network = maskrcnn_resnet50_fpn(weights=None, weights_backbone=None)
    with torch.no_grad():
        network.roi_heads.box_predictor.cls_score.bias[67] = 20  # all it sees are dining tables
    torch.save(network.state_dict(), coco_file())
    found = open_mask_rcnn("resnet50_fpn")
    assert found.scored
    image = np.random.default_rng(0).integers(0, 255, (96, 128, 3), dtype=np.uint8)
    for one in found.doubtful(image):
        assert one.surface is DINING_TABLE
        assert one.mask.shape == (96, 128)
    assert found.doubtful(image)


@pytest.mark.slow
def test_grounded_sam_is_timed_at_full_size() -> None:
    found = open_random_grounded_sam()
    assert not found.scored
    assert found.parameters == pytest.approx(266e6, rel=0.02)
    assert found.file_bytes == pytest.approx(1.07e9, rel=0.01)
    assert found.predict(np.zeros((60, 80, 3), np.uint8)) == []
