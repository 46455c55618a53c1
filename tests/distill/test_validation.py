"""Validation during training: scores, history, best weights."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from distill.commands.evaluate import evaluate
from distill.training.config import ConfigError, TrainConfig
from distill.training.curves import Curves
from distill.training.run import start, train
from distill.training.student_predictor import StudentPredictor
from distill.training.trainer import Trainer
from distill.training.validation import SetScores, Validation, Validator, scores_of
from models import Segmenter
from models.student.weights import load_student, read_tensors
from models.weights.registry import shipped
from surfaces.classes import CLASSES, DINING_TABLE
from surfaces.datasets import Labels, MemorySample, open_dataset
from surfaces.datasets.coco_writer import write_coco
from surfaces.detections import Detection, box_of_mask
from surfaces.errors import DatasetError
from tests.distill.training import ROOMS, small_config, small_trainer

CPU = torch.device("cpu")
NAN = float("nan")


@pytest.fixture
def held_back(tmp_path: Path) -> Path:
    """Three rooms as a dataset of their own."""
    folder = tmp_path / "held-back"
    for part, suffix in (("images", ".jpg"), ("masks", ".png")):
        (folder / part).mkdir(parents=True)
        for name in ("room_01", "room_03", "room_06"):
            shutil.copy(ROOMS / part / f"{name}{suffix}", folder / part)
    return folder


def history_of(config: TrainConfig) -> list[Validation]:
    entries = json.loads((Path(config.run) / "history.json").read_text())
    return [Validation.from_json(entry) for entry in entries]


def test_validates_before_the_first_step_and_after_the_last(
    tmp_path: Path, held_back: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = small_config(tmp_path / "run", init="shipped", val=(str(held_back),), val_photos=2)
    best = train(config)
    first, last = history_of(config)
    assert (first.step, last.step) == (0, 3)
    assert list(first.sets) == ["held-back"]
    for scores in first.sets.values():
        assert set(scores.iou) == {surface.name for surface in CLASSES}
        assert scores.iou["wall"] > 0.5  # the shipped weights, before anything is learnt
    assert best == tmp_path / "run" / "best.npz"
    assert same_weights(best, shipped("npz").path) == (first.score >= last.score)
    errors = capsys.readouterr().err
    assert "validation after step 0: score" in errors
    assert "compared with the start: held-back " in errors
    assert f"export it: python -m distill export {best} --out" in errors


def same_weights(one: Path, other: Path) -> bool:
    left, right = read_tensors(one), read_tensors(other)
    return all(np.array_equal(left[name], right[name]) for name in left.keys() & right.keys() - {"training_photos"})


def test_validates_every_so_many_minutes_and_resumes(tmp_path: Path, held_back: Path) -> None:
    config = small_config(tmp_path / "run", val=(str(held_back),), val_minutes=1e-6, val_photos=1, steps=2)
    train(config)
    assert [entry.step for entry in history_of(config)] == [0, 1, 2]
    validator = Validator(config, Path(config.run))
    validator.restore(1)
    assert [entry.step for entry in validator.history] == [0, 1]


def test_the_predictor_gives_what_the_exported_network_gives() -> None:
    predictor = StudentPredictor(load_student(shipped("npz").path), CPU)
    image = open_dataset(ROOMS)[0].image()
    expected, found = Segmenter().predict(image), predictor.predict(image)
    assert [one.surface for one in found] == [one.surface for one in expected]
    for one, other in zip(found, expected, strict=True):
        assert np.mean(one.mask == other.mask) > 0.999


def test_scores_and_verdict() -> None:
    def entry(step: int, wall: float, precision: float) -> Validation:
        iou = {"wall": wall, "floor": NAN}
        scores = SetScores(iou, iou, precision, precision, precision, NAN)
        return Validation(step, 1.0, {"a": scores})

    first, second = entry(0, 0.5, 0.7), entry(10, 0.7, 0.9)
    assert first.score == pytest.approx(0.6)
    assert second.verdict(first) == "compared with the start: a better by 0.200"
    assert first.verdict(second) == "compared with the start: a worse by 0.200"
    assert first.verdict(first) == "compared with the start: unchanged"
    assert "0.700 (+0.200)" in second.table(first)
    assert json.loads(json.dumps(second.to_json())) == Validation.from_json(second.to_json()).to_json()
    assert "val/a/iou wall" in first.scalars()
    assert "val/a/iou floor" not in first.scalars()


def tables_found(found: int, truth: int, false: int) -> SetScores:
    """The scores of photos, each with a table or without, of which some are found and some others are false."""
    table = np.zeros((64, 64), np.uint8)
    table[20:40, 20:40] = DINING_TABLE.coco_id
    with_table, without = Labels(table, (table > 0).astype(np.uint8)), Labels(0 * table, 0 * table)
    detection = Detection(DINING_TABLE, 0.9, box_of_mask(table > 0), table > 0)
    labels = [with_table] * truth + [without] * (5 - truth)
    said = [[detection]] * found + [[]] * (truth - found) + [[detection]] * false + [[]] * (5 - truth - false)
    samples = [MemorySample(str(i), np.full((64, 64, 3), i, np.uint8), of) for i, of in enumerate(labels)]
    return scores_of(evaluate(lambda image: said[int(image[0, 0, 0])], samples))


def test_more_found_tables_score_higher() -> None:
    scores = [tables_found(found, 5, 0).score for found in range(6)]
    assert scores == sorted(scores)
    assert len(set(scores)) == 6


def test_fewer_false_tables_score_higher_where_there_is_none() -> None:
    scores = [tables_found(0, 0, false).score for false in range(6)]
    assert scores == pytest.approx([1, 0.8, 0.6, 0.4, 0.2, 0])


def test_a_defined_score_is_better_than_none() -> None:
    def entry(wall: float) -> Validation:
        return Validation(0, 0.0, {"a": SetScores({"wall": wall}, {"wall": wall}, NAN, NAN, NAN, NAN)})

    assert entry(0.5).is_better_than([entry(NAN), entry(0.4)])
    assert not entry(0.5).is_better_than([entry(0.5)])
    assert not entry(NAN).is_better_than([entry(NAN)])


def test_damaged_histories_are_one_line(tmp_path: Path, held_back: Path) -> None:
    validator = Validator(small_config(tmp_path / "run", val=(str(held_back),)), tmp_path)
    other = Validation(0, 1.0, {"other": SetScores({}, {}, 1.0, 1.0, 1.0, 1.0)}).to_json()
    for content in (
        json.dumps([other]),
        "{",
        '[{"step": 1}]',
        "7",
        '[{"step": 0, "elapsed": 1, "sets": {"held-back": {"score": 1}}}]',
    ):
        (tmp_path / "history.json").write_text(content)
        with pytest.raises(ConfigError, match=r"expected the validations of this run at .*history\.json, got: .+"):
            validator.restore(3)


def test_what_is_trained_on_is_known_however_its_path_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOMS.parent)
    write_coco(list(open_dataset(ROOMS))[:2], tmp_path / "coco")
    config = small_config(tmp_path / "run", data=(str(ROOMS), str(tmp_path / "coco")))
    for name in ("rooms", "./rooms/", str(ROOMS) + "/", str(tmp_path / "coco" / "annotations.json")):
        with pytest.raises(ConfigError, match="expected `val` without what is trained on"):
            Validator(replace(config, val=(name,)), tmp_path)


def test_a_folder_inside_of_what_is_trained_on_is_another_dataset(tmp_path: Path, held_back: Path) -> None:
    config = small_config(tmp_path / "run", data=(str(held_back.parent),), val=(str(held_back),))
    assert len(Validator(config, tmp_path).samples["held-back"]) == 3


def test_validation_sets_that_are_refused(tmp_path: Path, held_back: Path) -> None:
    config = small_config(tmp_path / "run")
    with pytest.raises(ConfigError, match=r"expected `val` without what is trained on, got .*rooms"):
        Validator(replace(config, val=(str(ROOMS),)), tmp_path)
    with pytest.raises(DatasetError, match="too few to split"):
        Validator(replace(config, val=(str(ROOMS),), split="train"), tmp_path)
    with pytest.raises(ConfigError, match="different names"):
        Validator(replace(config, val=(str(held_back), str(held_back))), tmp_path)
    with pytest.raises(DatasetError, match="expected a dataset at"):
        Validator(replace(config, val=(str(tmp_path / "none"),)), tmp_path)


@pytest.mark.parametrize(("off", "bf16", "chosen"), [(1.0, 0.5, "bf16"), (1.0, 0.95, "off"), (1.0, 2.0, "off")])
def test_amp_is_chosen_by_measuring(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, off: float, bf16: float, chosen: str
) -> None:
    config = small_config(tmp_path, amp="auto")
    learner = small_trainer(config)
    clock = [0.0]

    def losses(student: torch.nn.Module, _batch: object, amp: str) -> dict[str, torch.Tensor]:
        clock[0] += bf16 if amp == "bf16" else off
        return {"semantic": next(student.parameters()).sum()}

    monkeypatch.setattr(learner, "losses", losses)
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": True}, raising=False)
    learner.choose_amp()
    assert learner.amp == chosen
    resumed = Trainer(config, start(config), learner.batches, CPU, Curves(None))
    resumed.restore(learner.checkpoint())
    assert resumed.amp == chosen


def test_a_cpu_without_bf16_is_not_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = small_config(tmp_path, amp="auto")
    learner = small_trainer(config)
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict, raising=False)
    monkeypatch.setattr(learner, "losses", lambda *_: pytest.fail("measured"))
    learner.choose_amp()
    assert learner.amp == "off"
