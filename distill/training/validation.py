"""Scores of the moving average during training, on photos that are kept apart."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from distill.datasets import open_datasets, require_labelled, subsample
from distill.evaluation.report import Report, plain_numbers
from distill.training.config import ConfigError, TrainConfig
from models.student.network import Student
from surfaces.classes import CLASSES, DINING_TABLE
from surfaces.datasets import Sample
from surfaces.io.atomic_files import replace_file
from surfaces.io.local_files import read_text
from surfaces.messages import in_a_line

HISTORY_NAME = "history.json"
BEST_NAME = "best.npz"


@dataclass(frozen=True)
class SetScores:
    """Scores on one validation set; NaN where a class is unlabelled or undefined.

    Attributes:
        iou, boundary_iou: by class name.
        precision, recall, f1: of dining tables at the default operating point, IoU above one half; f1 is 0 where none
            is found, and in a set without any the share of photos without a false one.
        ap50: average precision of dining tables at IoU .50.
    """

    iou: dict[str, float]
    boundary_iou: dict[str, float]
    precision: float
    recall: float
    f1: float
    ap50: float

    @property
    def score(self) -> float:
        """The mean of the defined class IoUs and the F1 of dining tables."""
        return _mean([*self.iou.values(), self.f1])


@dataclass(frozen=True)
class Validation:
    """One validation of the moving average.

    Attributes:
        step, elapsed: steps and seconds of training before it.
        sets: scores by dataset.
    """

    step: int
    elapsed: float
    sets: dict[str, SetScores]

    @property
    def score(self) -> float:
        """The mean of the sets' scores; the best weights of a run are those with the highest."""
        return _mean([scores.score for scores in self.sets.values()])

    def is_better_than(self, others: Sequence[Validation]) -> bool:
        """Whether its score is defined and higher than those of others that are."""
        return not math.isnan(self.score) and all(not other.score >= self.score for other in others)

    def to_json(self) -> dict[str, Any]:
        """As `history.json` holds it; undefined numbers are null."""
        sets = {name: plain_numbers(asdict(scores) | {"score": scores.score}) for name, scores in self.sets.items()}
        return {"step": self.step, "elapsed": round(self.elapsed, 1), "score": plain_numbers(self.score), "sets": sets}

    @staticmethod
    def from_json(values: dict[str, Any]) -> Validation:
        """The inverse of `to_json`."""
        sets = {name: dict(scores) for name, scores in values["sets"].items()}
        for scores in sets.values():
            del scores["score"]
        return Validation(values["step"], values["elapsed"], {name: SetScores(**_nan(s)) for name, s in sets.items()})

    def scalars(self) -> dict[str, float]:
        """As curves: `val/SET/…` and `val/score`."""
        points = {"val/score": self.score}
        for name, scores in self.sets.items():
            for kind in ("iou", "boundary_iou"):
                points |= {f"val/{name}/{kind} {key}": value for key, value in getattr(scores, kind).items()}
            points |= {f"val/{name}/{kind}": getattr(scores, kind) for kind in ("precision", "recall", "ap50")}
        return {name: value for name, value in points.items() if not math.isnan(value)}

    def table(self, first: Validation | None = None) -> str:
        """Lines for a terminal; with the differences from a first validation where there is one."""
        heads = [*(c.name for c in CLASSES), "precision", "recall", "AP50", "score"]
        lines = [" " * 18 + "".join(f"{head:>18}" for head in heads)]
        for name, scores in self.sets.items():
            values = _row(scores)
            before = _row(first.sets[name]) if first else values
            cells = [_cell(value, old if first else None) for value, old in zip(values, before, strict=True)]
            lines.append(f"{name[-18:]:<18}" + "".join(f"{cell:>18}" for cell in cells))
        return "\n".join(lines)

    def verdict(self, first: Validation) -> str:
        """Whether each set is better or worse than at the start, in one line."""
        parts = [
            f"{name} {'better' if change > 0 else 'worse'} by {abs(change):.3f}"
            for name, scores in self.sets.items()
            if (change := scores.score - first.sets[name].score)
        ]
        return "compared with the start: " + (", ".join(parts) or "unchanged")


class Validator:
    """Scores a student on the validation sets of a run and keeps the history.

    Args:
        config: the run's settings.
        folder: of the run; `history.json` and `best.npz` are written there.

    Attributes:
        samples: by dataset; a dataset that is also trained on gives the held-back side of its split.
        history: the validations so far.

    Raises:
        ConfigError: a dataset is trained on as a whole, or two have one name.
        DatasetError: a dataset cannot be opened, or has no labels.
    """

    def __init__(self, config: TrainConfig, folder: Path) -> None:
        self.folder = folder
        self.samples = {_title(name): validation_samples(name, config) for name in config.val}
        if len(self.samples) < len(config.val):
            raise ConfigError(f"expected datasets of different names in `val`, got {', '.join(config.val)}")
        self.history: list[Validation] = []

    def restore(self, step: int) -> None:
        """Reads the validations up to a step that an interrupted run has written.

        Raises:
            ConfigError: they are not of these sets, or the file is damaged.
        """
        path = self.folder / HISTORY_NAME
        if not path.exists():
            return
        try:
            entries = [Validation.from_json(entry) for entry in json.loads(read_text(path))]
            others = {name for entry in entries for name in entry.sets.keys() ^ self.samples.keys()}
            if others:
                raise ValueError(f"other sets ({', '.join(sorted(others))})")
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConfigError(f"expected the validations of this run at {path}, got: {in_a_line(error)}") from error
        self.history = [entry for entry in entries if entry.step <= step]

    def run(self, student: Student, device: torch.device, step: int, elapsed: float) -> tuple[Validation, bool]:
        """Scores a student; returns the scores and whether they are the best so far."""
        # Only a run with validation needs what these import: a GPU image has few packages.
        from distill.commands.evaluate import evaluate
        from distill.training.student_predictor import StudentPredictor

        predictor = StudentPredictor(student, device)
        sets = {
            name: scores_of(evaluate(predictor.predict, samples, low_confidence=predictor.low_confidence))
            for name, samples in self.samples.items()
        }
        current = Validation(step, elapsed, sets)
        is_best = not self.history or current.is_better_than(self.history)
        self.history.append(current)
        content = json.dumps([entry.to_json() for entry in self.history], indent=1)
        replace_file(self.folder / HISTORY_NAME, content.encode())
        return current, is_best


def validation_samples(name: str, config: TrainConfig) -> list[Sample]:
    """The samples of a validation set; see `Validator`."""
    trained_on = _has_dataset(config.data, name)
    if _has_dataset(config.extra, name) or (trained_on and config.split == "all"):
        raise ConfigError(f"expected `val` without what is trained on, got {name}: train with `split = train`")
    samples = open_datasets([Path(name)], "val" if trained_on else "all", config.read_options())
    samples = subsample(samples, config.val_photos)
    require_labelled(samples)
    return samples


def scores_of(report: Report) -> SetScores:
    """The scores of a report that a validation keeps."""
    tables, photos = report.tables, len(report.photos)
    iou = {name: scores.iou for name, scores in report.classes.items()}
    f1 = tables.f1
    if not tables.photos_there:
        iou[DINING_TABLE.name], f1 = math.nan, 1 - tables.photos_said / photos
    boundary_iou = {name: scores.boundary_iou for name, scores in report.classes.items()}
    return SetScores(iou, boundary_iou, tables.precision, tables.recall, f1, tables.ap50)


def _has_dataset(folders: Sequence[str], name: str) -> bool:
    """Whether a dataset is among others, however its path is written; a folder is the same as a file in it."""
    path = Path(name).resolve()
    others = [Path(folder).resolve() for folder in folders]
    return any(path == other or _is_file_of(path, other) or _is_file_of(other, path) for other in others)


def _is_file_of(path: Path, folder: Path) -> bool:
    return path.is_file() and path.parent == folder


def _title(name: str) -> str:
    path = Path(name).resolve()
    return path.name if path.is_dir() else path.parent.name


def _mean(values: Sequence[float]) -> float:
    defined = [value for value in values if not math.isnan(value)]
    return sum(defined) / len(defined) if defined else math.nan


def _row(scores: SetScores) -> list[float]:
    return [*scores.iou.values(), scores.precision, scores.recall, scores.ap50, scores.score]


def _cell(value: float, before: float | None) -> str:
    if math.isnan(value):
        return "-"
    change = "" if before is None else f" ({value - before:+.3f})"
    return f"{value:.3f}{change}"


def _nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _nan(inner) for key, inner in value.items()}
    return math.nan if value is None else value
