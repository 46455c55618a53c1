"""One round of learning from reviews: the dataset as it stands, a training, a network; each step done once."""

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

LONGEST_SIDE = 800
"""Photos are packed for training at so many pixels; the student sees about 640x512."""


class TrainingError(SurfacesError):
    """A command of `distill` failed; what it had to say stands above."""

    exit_code = 20


@dataclass(frozen=True)
class Round:
    """The folder of one round. Each part appears whole or not at all, and what is there is not made again.

    Attributes:
        folder: `RUN/round-001` and so on.
    """

    folder: Path

    @property
    def reviewed(self) -> Path:
        """The reviewed photos, packed."""
        return self.folder / "reviewed"

    @property
    def auto(self) -> Path:
        """The photos that nobody reviewed yet, packed; absent where there are none."""
        return self.folder / "auto"

    @property
    def network(self) -> Path:
        """What the round is for: the trained network, as `segment.py --weights` takes it."""
        return self.folder / "student.onnx"

    @property
    def record(self) -> Path:
        """How many reviews the round learns from; written once the data is packed."""
        return self.folder / "round.json"

    def reviews(self) -> int:
        """How many reviewed photos the round learns from; 0 while its data is not packed."""
        return int(json.loads(self.record.read_text())["reviewed"]) if self.record.is_file() else 0


def due_round(run: Path, dataset: Path, after: int) -> Round | None:
    """The round to work on: the last one where it is not finished, else a new one where enough was reviewed since.

    Args:
        run: the folder of all rounds.
        dataset: the label store's folder.
        after: how many photos must have been reviewed since the last round, at least 1.

    Raises:
        DatasetError: the dataset cannot be read.
    """
    rounds = [Round(path) for path in sorted(run.glob("round-[0-9][0-9][0-9]"))]
    if rounds and not rounds[-1].network.is_file():
        return rounds[-1]
    learnt = rounds[-1].reviews() if rounds else 0
    reviewed, _ = by_origin(dataset)
    return Round(run / f"round-{len(rounds) + 1:03d}") if len(reviewed) - learnt >= after else None


def by_origin(dataset: Path) -> tuple[list[Sample], list[Sample]]:
    """The reviewed photos of a label store, and the others."""
    reviewed: list[Sample] = []
    auto: list[Sample] = []
    for sample in open_store(dataset):
        assert isinstance(sample, StoredSample)
        (reviewed if sample.photo.origin == "reviewed" else auto).append(sample)
    return reviewed, auto


def work_through(this: Round, dataset: Path, human: Sequence[str], train_arguments: Sequence[str]) -> Path:
    """Does what is left to do of a round.

    Args:
        this: the round.
        dataset: the label store's folder.
        human: further datasets that people labelled, trained on beside the reviewed photos.
        train_arguments: further arguments of `python -m distill train`; they win over those given here.

    Returns:
        The network's path.

    Raises:
        DatasetError: a photo cannot be read.
        TrainingError: training or export failed.
        OutputError: the round's folder cannot be written to.
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


def _pack(this: Round, dataset: Path) -> None:
    reviewed, auto = by_origin(dataset)
    if not reviewed:
        raise DatasetError(f"expected reviewed photos in {dataset}, got none; `pull` first")
    for samples, folder in ((reviewed, this.reviewed), (auto, this.auto)):
        if samples and not folder.is_dir():
            write_packed(samples, folder, longest_side=LONGEST_SIDE)
    # Counted in what was packed: somebody may have pulled since an interrupted round packed it.
    replace_file(this.record, (json.dumps({"reviewed": len(open_dataset(this.reviewed))}) + "\n").encode())


def _distill(*arguments: str) -> None:
    code = subprocess.call([sys.executable, "-m", "distill", *arguments], stdout=subprocess.DEVNULL)
    if code:
        raise TrainingError(
            f"`distill {arguments[0]}` ended with exit code {code}; the same command goes on from there"
        )
