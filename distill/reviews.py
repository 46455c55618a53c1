"""`python -m distill reviews`: which queue of reviews is worth most, with human labels in the reviewer's place.

A teacher has labelled the training photos of a dataset whose true labels are known. For each queue and each number of
reviews the first photos of the queue get their true labels, a network is shortly trained on these and on what the
teacher believes of the others, and is scored on the dataset's validation part. All queues get the same training. A
seed decides the order of training, the random queue, and which share of the training photos may be reviewed at all.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from distill.progress import progress
from distill.reviews_curves import curves_svg
from distill.reviews_report import EVERYTHING, NOTHING, Cell, as_json, as_table, curves_of, everything_score
from distill.reviews_stage import POOL_SHARE, set_stage
from distill.reviews_training import ShortTraining
from distill.training.config import ConfigError
from labelstudio.active_learning import QUEUES
from models.student.network import SIZE_MULTIPLE
from surfaces.cli.arguments import local_path
from surfaces.datasets.codec import read_bytes
from surfaces.errors import DatasetError
from surfaces.io.atomic_files import make_folder, replace_file
from surfaces.store.label_store import LabelStore

CELLS_NAME = "cells.jsonl"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's flags."""
    training = ShortTraining()
    parser.add_argument(
        "labels", type=local_path, metavar="LABELS", help="auto-labels of the photos: what `autolabel run` wrote"
    )
    parser.add_argument(
        "--truth", type=local_path, required=True, metavar="DATASET", help="the same photos' true labels"
    )
    parser.add_argument("--init", type=local_path, required=True, help="network that trainings start from (.npz)")
    parser.add_argument(
        "--run", type=local_path, required=True, help="folder for features and results; a run goes on there"
    )
    parser.add_argument(
        "--queues", nargs="+", choices=QUEUES, default=list(QUEUES), metavar="QUEUE", help="default: all"
    )
    parser.add_argument("--reviews", nargs="+", type=int, default=[25, 50, 100, 200], metavar="N", help="%(default)s")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], metavar="SEED", help="default: %(default)s")
    parser.add_argument(
        "--size", nargs=2, type=int, default=[256, 384], metavar=("HEIGHT", "WIDTH"), help="%(default)s"
    )
    parser.add_argument("--steps", type=int, default=training.steps, help="of each training (default: %(default)s)")
    parser.add_argument(
        "--table-share",
        type=float,
        default=training.table_share,
        help="of the reviewed photos of a step: those with a dining table (default: %(default)s, as they come)",
    )
    parser.add_argument("--threads", type=int, default=0, help="CPU threads (default: torch's choice)")


def run(args: argparse.Namespace) -> int:
    """Runs what is missing of the grid; a table is the result."""
    if min(args.size) <= 0 or any(side % SIZE_MULTIPLE for side in args.size):
        raise ConfigError(f"expected --size in multiples of {SIZE_MULTIPLE}, got {args.size}")
    if min(args.reviews) < 1 or args.steps < 1:
        raise ConfigError(f"expected --reviews and --steps from 1, got {args.reviews} and {args.steps}")
    if not 0 <= args.table_share <= 1:
        raise ConfigError(f"expected --table-share from 0 to 1, got {args.table_share}")
    if args.threads:
        torch.set_num_threads(args.threads)
    make_folder(args.run)
    settings = _settings(args)
    log = CellLog(args.run / CELLS_NAME, settings)
    wanted = _grid(args)
    missing = [key for key in wanted if key not in log.cells]
    if missing:
        size_hw = (args.size[0], args.size[1])
        stage = set_stage(args.labels, args.truth, args.init, args.run, size_hw, _training(args))
        for queue, reviews, seed in progress(missing, unit="training"):
            log.add((queue, reviews, seed), stage.play(queue, reviews, seed))
    cells = [log.cells[key] for key in wanted]
    _write(args.run, cells, settings)
    print(as_table(cells))
    return 0


Key = tuple[str, int, int]
"""Queue, number of reviews and seed."""


class CellLog:
    """The finished cells of a grid, in a file of JSON lines that begins with the settings they were made with.

    Raises:
        ConfigError: the file is of other settings.
        DatasetError: it is damaged.
    """

    def __init__(self, path: Path, settings: dict[str, Any]) -> None:
        self._path = path
        self._lines = [json.dumps({"settings": settings}, sort_keys=True)]
        self.cells: dict[Key, Cell] = {}
        if path.is_file():
            first, *rest = path.read_text("utf-8").splitlines() or [""]
            if first != self._lines[0]:
                raise ConfigError(f"expected {path} to be of these settings, got others; give another --run")
            self._lines += rest
            self.cells = dict(self._parsed(line) for line in rest)

    def _parsed(self, line: str) -> tuple[Key, Cell]:
        try:
            (queue, reviews, seed), cell = json.loads(line)
            return (queue, reviews, seed), Cell(**cell)
        except (TypeError, ValueError) as error:
            raise DatasetError(
                f"expected a finished training in each line of {self._path}, got {line[:60]!r}"
            ) from error

    def add(self, key: Key, cell: Cell) -> None:
        """Adds a cell; the file is whole at any time."""
        self.cells[key] = cell
        self._lines.append(json.dumps([key, asdict(cell)]))
        replace_file(self._path, ("\n".join(self._lines) + "\n").encode())


def _grid(args: argparse.Namespace) -> list[Key]:
    """All cells, in the order in which they are worth having."""
    return [
        (queue, reviews, seed)
        for seed in args.seeds
        for queue, reviews in (
            (NOTHING, 0),
            *((queue, reviews) for reviews in sorted(set(args.reviews)) for queue in args.queues),
            (EVERYTHING, 0),
        )
    ]


def _training(args: argparse.Namespace) -> ShortTraining:
    return ShortTraining(steps=args.steps, table_share=args.table_share)


def _settings(args: argparse.Namespace) -> dict[str, Any]:
    """What scores depend on, as JSON can hold it."""
    with LabelStore.open(args.labels) as store:
        made_with = sorted(known.fingerprint for known in store.settings())
    return {
        "labels": made_with,
        "init": hashlib.sha256(read_bytes(args.init)).hexdigest(),
        "size": args.size,
        "pool_share": POOL_SHARE,
        "training": asdict(_training(args)),
    }


def _write(folder: Path, cells: list[Cell], settings: dict[str, Any]) -> None:
    """Writes the results as JSON and as a picture of the mean IoU."""
    replace_file(folder / "reviews.json", (json.dumps(as_json(cells, settings), indent=1) + "\n").encode())
    mean = curves_svg("Mean IoU by reviewed photos", curves_of(cells), everything_score(cells))
    replace_file(folder / "reviews.svg", mean.encode())
