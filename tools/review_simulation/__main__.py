"""`python -m tools.review_simulation`: compares review queues, with human labels in the reviewer's place.

For each queue and number of reviews, the first photos of the queue get their true labels. A network is briefly trained
on these and on a teacher's soft labels of the other photos, and is scored on the validation part.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from distill.training.config import ConfigError
from labelstudio.active_learning import QUEUES
from models.student.network import SIZE_MULTIPLE
from surfaces.cli.arguments import local_path, positive
from surfaces.cli.progress import track
from surfaces.datasets.codec import read_bytes
from surfaces.errors import DatasetError
from surfaces.io.atomic_files import make_folder, replace_file
from surfaces.store.label_store import LabelStore
from tools.command_line import run_tool
from tools.review_simulation import simulation
from tools.review_simulation.results import EVERYTHING, NOTHING, Trial, as_table, compare_with_baseline, queue_curves

TRIALS_NAME = "cells.jsonl"

Key = tuple[str, int, int]
"""Queue, number of reviews and seed."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the tool's arguments."""
    add = parser.add_argument
    add("labels", type=local_path, metavar="LABELS", help="label store that `autolabel run` wrote")
    add("--truth", type=local_path, required=True, metavar="DATASET", help="the same photos' true labels")
    add("--init", type=local_path, required=True, help="network that trainings start from (.npz)")
    add("--run", type=local_path, required=True, help="folder of the results; runs resume")
    add("--queues", nargs="+", choices=QUEUES, default=list(QUEUES), metavar="QUEUE", help="default: all")
    add("--reviews", nargs="+", type=positive, default=[25, 50, 100, 200], metavar="N", help="default: %(default)s")
    add("--seeds", nargs="+", type=int, default=[0, 1, 2], metavar="SEED", help="default: %(default)s")
    add("--size", nargs=2, type=int, default=[256, 384], metavar=("HEIGHT", "WIDTH"), help="default: %(default)s")
    add("--steps", type=positive, default=simulation.ShortTraining.steps, help="per training (default: %(default)s)")
    add("--table-share", type=float, default=0.0, help="of a step's reviewed photos: those with a dining table")
    add("--threads", type=int, default=0, help="CPU threads (default: torch's choice)")


def run(args: argparse.Namespace) -> int:
    """Runs the trials that are missing, then prints a table of all."""
    if min(args.size) <= 0 or any(side % SIZE_MULTIPLE for side in args.size):
        raise ConfigError(f"expected --size in multiples of {SIZE_MULTIPLE}, got {args.size}")
    if not 0 <= args.table_share <= 1:
        raise ConfigError(f"expected --table-share from 0 to 1, got {args.table_share}")
    if args.threads:
        torch.set_num_threads(args.threads)
    make_folder(args.run)
    training = simulation.ShortTraining(steps=args.steps, table_share=args.table_share)
    with LabelStore.open(args.labels) as store:
        labels = sorted(known.fingerprint for known in store.settings())
    settings = {
        "labels": labels,
        "init": hashlib.sha256(read_bytes(args.init)).hexdigest(),
        "size": args.size,
        "pool_share": simulation.POOL_SHARE,
        "training": asdict(training),
    }
    log = TrialLog(args.run / TRIALS_NAME, settings)
    reviewed = [(queue, reviews) for reviews in sorted(set(args.reviews)) for queue in args.queues]
    wanted = [(*one, seed) for seed in args.seeds for one in ((NOTHING, 0), *reviewed, (EVERYTHING, 0))]
    missing = [key for key in wanted if key not in log.trials]
    if missing:
        setup = simulation.setup(args.labels, args.truth, args.init, tuple(args.size), training)
        for key in track(missing, unit="training"):
            log.add(key, setup.run_trial(*key))
    trials = [log.trials[key] for key in wanted]
    content = {
        "settings": settings,
        "reviews_needed": compare_with_baseline(queue_curves(trials)),
        "cells": [{**asdict(trial), "mean_iou": round(trial.mean_iou, 4)} for trial in trials],
    }
    replace_file(args.run / "reviews.json", (json.dumps(content, indent=1) + "\n").encode())
    print(as_table(trials))
    return 0


class TrialLog:
    """The finished trials, in a file of JSON lines whose first line holds the settings."""

    def __init__(self, path: Path, settings: dict[str, Any]) -> None:
        self._path = path
        self._lines = [json.dumps({"settings": settings}, sort_keys=True)]
        self.trials: dict[Key, Trial] = {}
        if path.is_file():
            first, *others = path.read_text("utf-8").splitlines() or [""]
            if first != self._lines[0]:
                raise ConfigError(f"expected the settings of {path}, got others; give another --run")
            self._lines += others
            try:
                self.trials = {tuple(key): Trial(**trial) for key, trial in map(json.loads, others)}
            except (TypeError, ValueError) as error:
                raise DatasetError(f"expected a finished trial in each line of {path}: {error}") from error

    def add(self, key: Key, trial: Trial) -> None:
        """Adds a trial; the file is replaced as a whole."""
        self.trials[key] = trial
        self._lines.append(json.dumps([key, asdict(trial)]))
        replace_file(self._path, ("\n".join(self._lines) + "\n").encode())


def main(arguments: list[str] | None = None) -> int:
    """Runs the tool; returns the exit code."""
    return run_tool("review_simulation", str(__doc__).split("\n")[0], add_arguments, run, arguments)


if __name__ == "__main__":
    sys.exit(main())
