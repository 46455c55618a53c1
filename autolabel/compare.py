"""`python -m autolabel compare DATASET --truth DATA`: how good labels are where people labelled the same photos."""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from tqdm import tqdm

from autolabel.agreement import compare
from surfaces.dataset import Labels, open_dataset
from surfaces.dataset.graded import GradedLabels
from surfaces.dataset.store import LabelStore
from surfaces.dataset.writing import require_outside
from surfaces.errors import DatasetError
from surfaces.files import replace_file


def labelled_by_both(dataset: Path, truth: Path) -> Iterator[tuple[GradedLabels, Labels]]:
    """A teacher's labels and people's of the photos whose files are the same, byte for byte.

    Raises:
        DatasetError: one of the two cannot be read, they share no photo, or labels of a photo are of different sizes.
    """
    samples = open_dataset(truth)
    with LabelStore.open(dataset) as store:
        auto = {photo.sha256 for photo in store.photos() if photo.origin == "auto"}
        shared = False
        for sample in tqdm(samples, unit="photo", disable=None):
            sha256 = hashlib.sha256(sample.encoded_image()).hexdigest()
            if sha256 not in auto:
                continue
            shared = True
            labels, known = store.labels(sha256), sample.labels()
            if labels.unsure.shape != known.semantic.shape:
                expected, got = known.semantic.shape, labels.unsure.shape
                raise DatasetError(f"expected labels of {expected} rows, columns for {sample.name}, got {got}")
            yield labels, known
    if not shared:
        raise DatasetError(f"expected photos of {truth} among those labelled in {dataset}, got none of the same bytes")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    parser.add_argument("dataset", type=Path, metavar="DATASET", help="folder that `run` writes to")
    parser.add_argument(
        "--truth", type=Path, required=True, metavar="DATA", help="a dataset with people's labels of the same photos"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers there too")


def run(args: argparse.Namespace) -> int:
    """Runs the command; returns its exit code."""
    if args.json:
        require_outside(args.json, [args.dataset, args.truth])
    comparison = compare(labelled_by_both(args.dataset, args.truth))
    if args.json:
        replace_file(args.json, (json.dumps(asdict(comparison), indent=1) + "\n").encode())
        print(f"the numbers are in {args.json}", file=sys.stderr)
    print(comparison.table())
    return 0
