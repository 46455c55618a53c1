from __future__ import annotations

import html
import json
import math
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from distill.__main__ import main
from distill.commands.evaluate import evaluate
from distill.datasets import subsample
from distill.evaluation.page import worst_photos, write_page
from distill.evaluation.single_pass import SinglePass
from distill.training.run import train
from models.inference.model_output import ModelOutput
from models.inference.segmenter import Segmenter
from models.student.weights import load_student
from models.weights.registry import shipped
from surfaces.classes import CLASSES, DINING_TABLE, FLOOR, WALL
from surfaces.datasets import Labels, MemorySample, Sample, open_dataset, write_packed
from surfaces.detections import Detection, Image, box_of_mask
from surfaces.errors import WeightsError
from tests.coco_files import annotation, runs, write_room
from tests.distill.training import ROOMS, run_distill, small_config, without_record


def _truth(labels: Labels, score: float = 1.0) -> list[Detection]:
    masks = [(surface, labels.semantic == surface.coco_id) for surface in (WALL, FLOOR)]
    masks += [(DINING_TABLE, mask) for mask in labels.table_masks()]
    return [Detection(surface, score, box_of_mask(mask), mask) for surface, mask in masks if mask.any()]


class Oracle:
    """Knows the labels of the photos it is shown."""

    def __init__(self, samples: list[Sample]) -> None:
        self._labels = {sample.image().tobytes(): sample.labels() for sample in samples}

    def __call__(self, image: Image) -> list[Detection]:
        return _truth(self._labels[image.tobytes()])


def test_the_truth_scores_one() -> None:
    rooms = open_dataset(ROOMS)[:8]
    report = evaluate(Oracle(rooms), rooms)
    for scores in report.classes.values():
        assert scores.iou == scores.boundary_iou == scores.pq == 1
        assert scores.iou_interval == (1, 1)
    assert report.tables.ap == pytest.approx(1)
    assert report.tables.precision == report.tables.recall == report.mean_pq == 1
    assert report.tables.photos_there == report.tables.photos_said == report.tables.photos_both
    assert report.calibration_error == 0


def test_a_model_that_finds_nothing() -> None:
    rooms = open_dataset(ROOMS)[:8]
    report = evaluate(lambda _: [], rooms)
    assert {name: scores.iou for name, scores in report.classes.items()} == {c.name: 0 for c in CLASSES}
    assert report.tables.ap == report.tables.recall == report.tables.photos_said == 0
    assert math.isnan(report.tables.precision)
    content = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert content["tables"]["precision"] is None
    assert content["calibration_error"] is None
    assert [photo["name"] for photo in content["photos"]] == [room.name for room in rooms]
    assert "-" in report.table()


def test_operating_point_and_tables_of_low_confidence() -> None:
    semantic, tables = np.zeros((40, 60), np.uint8), np.zeros((40, 60), np.uint8)
    tables[10:20, 10:30], tables[30:38, 10:30] = 1, 2
    semantic[tables > 0] = 3
    sample = MemorySample("room", np.zeros((40, 60, 3), np.uint8), Labels(semantic, tables))
    sure, other = _truth(sample.labels())
    unsure = Detection(other.surface, 0.2, other.box_xyxy, other.mask)
    report = evaluate(lambda _: [sure, unsure], [sample], min_score=0.5)
    assert report.tables.recall == 0.5
    assert report.tables.ap == pytest.approx(1)
    assert report.classes["dining table"].iou == pytest.approx(200 / 360)
    assert evaluate(lambda _: [sure], [sample]).tables.ap < 0.6
    both = evaluate(lambda _: [sure], [sample], low_confidence=lambda _: [sure, unsure])
    assert both.tables.ap == pytest.approx(1)
    recalls = {point.min_score: point.recall for point in both.tables.curve}
    assert (recalls[0.2], recalls[0.25]) == (1, 0.5)
    assert both.to_json()["tables"]["curve"][0] == {"min_score": 0.05, "precision": 1, "recall": 1}


def test_the_page_shows_the_worst_photos_first(tmp_path: Path) -> None:
    rooms = open_dataset(ROOMS)[:6]
    named: list[Sample] = [MemorySample(f"<b>{n}</b>", room.image(), room.labels()) for n, room in enumerate(rooms)]
    oracle = Oracle(named)

    def without_walls(image: Image) -> list[Detection]:
        return [detection for detection in oracle(image) if detection.surface is not WALL]

    report = evaluate(without_walls, named)
    walls = [photo.wrong_share(0) for photo in worst_photos(report.photos, 0, 4)]
    assert walls == sorted(((room.labels().semantic == 1).mean() for room in rooms), reverse=True)[:4]
    page = write_page(tmp_path / "page", "a & b", report, named, without_walls, cases=4)
    text = page.read_text(encoding="utf-8")
    assert "<title>a &amp; b</title>" in text
    pictures = re.findall(r'src="([^"]+)"', text)
    assert pictures == [f"images/wall_{n:02d}.jpg" for n in (1, 2, 3, 4)]
    captions = [html.unescape(caption) for caption in re.findall(r"<figcaption>(.*?)</figcaption>", text)]
    assert [caption.split(" ")[0] for caption in captions] == [p.name for p in worst_photos(report.photos, 0, 4)]
    assert all("IoU 0.00" in caption for caption in captions)
    for picture in pictures:
        height, width = cv2.imread(str(page.parent / picture)).shape[:2]
        assert width > 3 * 300
        assert height > 200
    assert text.count("No pixel is wrong.") == 2
    assert text.count("<polyline") == 2
    assert "Dining tables by minimum score" in text


def test_subsample() -> None:
    samples = open_dataset(ROOMS)
    assert [s.name for s in subsample(samples, 3)] == [samples[0].name, samples[6].name, samples[12].name]
    assert len(subsample(samples, None)) == len(subsample(samples, 99)) == 18


def test_the_command_with_the_weights_that_ship(tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = run_distill("evaluate", str(ROOMS), *["--split", "all", "--limit", "4", "--cases", "1", "--out"], str(out))
    assert done.returncode == 0, done.stderr
    assert "dining table" in done.stdout
    content = json.loads((out / "report.json").read_text())
    assert content["data"]["photos"] == 4
    assert content["classes"]["wall"]["iou"] > 0.5
    assert len(content["model"]["sha256"]) == 64
    assert (out / "index.html").is_file()
    assert "report.json" in done.stderr


def test_missing_weights_are_one_line(tmp_path: Path) -> None:
    done = run_distill("evaluate", str(ROOMS), "--split", "all", "--weights", str(tmp_path / "none.onnx"))
    assert done.returncode == WeightsError.exit_code
    assert len(done.stderr.strip().splitlines()) == 1


def test_unlabelled_photos_are_refused_before_scoring(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    unlabelled = [annotation(key, key, runs((0, 0, 60, 40)), iscrowd=1, ignore=1) for key in (1, 2)]
    folder = write_room(tmp_path / "room", unlabelled)
    assert main(["evaluate", str(folder), "--split", "all", "--out", str(tmp_path / "out")]) == 8
    assert "no labelled pixel in 1 photo" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_too_few_photos_to_split(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_packed(open_dataset(ROOMS)[:2], tmp_path / "data")
    assert main(["evaluate", str(tmp_path / "data"), "--out", str(tmp_path / "out")]) == 8
    out, err = capsys.readouterr()
    assert out == ""
    message = r"distill: expected photos on the val side of .*, got none: .* `--split all` takes all photos\n"
    assert re.fullmatch(message, err)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", ["evaluate", "errors"])
def test_the_network_runs_once_per_photo(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run: list[bytes] = []
    infer = Segmenter.infer

    def counted(self: Segmenter, image: Image) -> ModelOutput:
        run.append(image.tobytes())
        return infer(self, image)

    monkeypatch.setattr(Segmenter, "infer", counted)
    photos = open_dataset(ROOMS)[:2]
    write_packed(photos, tmp_path / "data")
    assert main([command, str(tmp_path / "data"), "--split", "all", "--out", str(tmp_path / "out")]) == 0
    assert run == [photo.image().tobytes() for photo in photos]
    assert len(list((tmp_path / "out" / "images").iterdir())) >= 2


def test_remembered_segments_are_those_that_were_found() -> None:
    segmenter, image = Segmenter(threads=1), open_dataset(ROOMS)[0].image()
    network = SinglePass(segmenter)
    for found in (network.predict(image), network.predict(image.copy())):
        for got, expected in zip(found, segmenter.predict(image), strict=True):
            assert (got.surface, got.score) == (expected.surface, expected.score)
            np.testing.assert_array_equal(got.box_xyxy, expected.box_xyxy)
            np.testing.assert_array_equal(got.mask, expected.mask)


def test_photos_of_the_training_are_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Through training, averaging and export, and whatever the format of the dataset."""
    photos = open_dataset(ROOMS)
    write_packed(photos[:2], tmp_path / "trained")
    write_packed(photos[1:4], tmp_path / "scored")
    weights = train(small_config(tmp_path / "run", data=(str(tmp_path / "trained"),), steps=1))
    mixed, network = tmp_path / "mixed.npz", tmp_path / "net.onnx"
    assert main(["average", str(weights), str(weights), "--out", str(mixed)]) == 0
    check = ["--check", str(tmp_path / "scored"), "--check-photos", "1"]
    assert main(["export", str(mixed), "--out", str(network), *check]) == 0
    bare, unrecorded = without_record(mixed, tmp_path / "bare.npz"), tmp_path / "bare.onnx"
    assert main(["export", str(bare), "--out", str(unrecorded), *check]) == 0
    score = ["evaluate", str(tmp_path / "scored"), "--split", "all", "--out", str(tmp_path / "out")]
    for used, line, count in (
        (network, "1 of 3 photos were trained on", 1),
        (unrecorded, "unknown whether the network was trained on these photos: its weights do not record it", None),
    ):
        capsys.readouterr()
        assert main([*score, "--weights", str(used)]) == 0
        assert capsys.readouterr().out.splitlines()[-1] == line
        data = json.loads((tmp_path / "out" / "report.json").read_text())["data"]
        assert (data["photos_trained_on"], data["training_photos_complete"]) == (count, count is not None)


def test_training_on_from_weights_without_a_record(tmp_path: Path) -> None:
    init = str(without_record(shipped("npz").path, tmp_path / "bare.npz"))
    write_packed(open_dataset(ROOMS)[:2], tmp_path / "trained")
    config = small_config(tmp_path / "run", data=(str(tmp_path / "trained"),), init=init, steps=1)
    photos = load_student(train(config)).training_photos
    assert (len(photos.hashes), photos.complete) == (2, False)
