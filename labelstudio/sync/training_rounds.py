"""Training rounds: pack the reviewed photos, train, export; finished steps are not repeated."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from models.weights.registry import shipped
from surfaces.datasets import Sample, open_dataset, write_packed
from surfaces.errors import DatasetError, SurfacesError
from surfaces.io.atomic_files import make_folder, replace_file
from surfaces.store.samples import StoredSample, open_store

_LONGEST_SIDE = 800  # to which photos are packed; the student sees about 640x512


class TrainingError(SurfacesError):
    """A command of `distill` failed, and wrote the reason to stderr."""

    exit_code = 20


@dataclass
class TrainingRound:
    """The folder of a round, `RUN/round-001` and so on. Each part of it appears whole or not at all."""

    folder: Path

    def __post_init__(self) -> None:
        self.reviewed = self.folder / "reviewed"
        self.auto = self.folder / "auto"  # photos that nobody reviewed, if there are any
        self.network = self.folder / "student.onnx"
        self.record = self.folder / "round.json"  # written once the data is packed

    def count_reviews(self) -> int:
        """The number of reviewed photos in the round; 0 until its data is packed."""
        return int(json.loads(self.record.read_text())["reviewed"]) if self.record.is_file() else 0


def due_round(run: Path, dataset: Path, after: int) -> TrainingRound | None:
    """The round in folder `run` to work on: the last one if it is unfinished, else a new one if enough was reviewed.

    That is at least `after` photos of the label store in `dataset` since the last round.
    """
    rounds = [TrainingRound(path) for path in sorted(run.glob("round-[0-9][0-9][0-9]"))]
    if rounds and not rounds[-1].network.is_file():
        return rounds[-1]
    learnt = rounds[-1].count_reviews() if rounds else 0
    reviewed, _ = _split_by_origin(dataset)
    return TrainingRound(run / f"round-{len(rounds) + 1:03d}") if len(reviewed) - learnt >= after else None


def run_round(this: TrainingRound, dataset: Path, human: Sequence[str], train_arguments: Sequence[str]) -> Path:
    """Runs the unfinished steps of a round; returns the network's path.

    Args:
        this: the round.
        dataset: folder of the label store.
        human: further datasets that people labelled.
        train_arguments: of `python -m distill train`, which override those given here.
    """
    make_folder(this.folder)
    if not this.record.is_file():
        _pack(this, dataset)
    training = this.folder / "train"
    extra = ["--extra", str(this.auto)] if this.auto.is_dir() else []
    resume = ["--resume"] if (training / "checkpoint.pt").is_file() else []
    _distill(
        "train",
        *("--data", str(this.reviewed), *human, *extra, "--run", str(training), *resume),
        *("--split", "all", "--init", str(shipped("npz").path), *train_arguments),
    )
    _distill("export", str(training / "student.npz"), "--out", str(this.network), "--check", str(this.reviewed))
    return this.network


def _split_by_origin(dataset: Path) -> tuple[list[Sample], list[Sample]]:
    reviewed: list[Sample] = []
    auto: list[Sample] = []
    for sample in open_store(dataset):
        assert isinstance(sample, StoredSample)
        (reviewed if sample.photo.origin == "reviewed" else auto).append(sample)
    return reviewed, auto


def _pack(this: TrainingRound, dataset: Path) -> None:
    reviewed, auto = _split_by_origin(dataset)
    if not reviewed:
        raise DatasetError(f"expected reviewed photos in {dataset}, got none; `pull` first")
    for samples, folder in ((reviewed, this.reviewed), (auto, this.auto)):
        if samples and not folder.is_dir():
            write_packed(samples, folder, longest_side=_LONGEST_SIDE)
    # Counted in the packed data: reviews may have been pulled since an interrupted round packed it.
    replace_file(this.record, (json.dumps({"reviewed": len(open_dataset(this.reviewed))}) + "\n").encode())


def _distill(*arguments: str) -> None:
    code = subprocess.call([sys.executable, "-m", "distill", *arguments], stdout=subprocess.DEVNULL)
    if code:
        raise TrainingError(f"`distill {arguments[0]}` ended with exit code {code}; the same command resumes it")
