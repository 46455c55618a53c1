"""`python -m autolabel compare DATASET --truth DATA`: how good labels are where people labelled the same photos."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from tqdm import tqdm

from autolabel.comparison.agreement import compare
from autolabel.comparison.matching import Matcher
from surfaces.cli.arguments import local_path
from surfaces.datasets import Labels, ReadOptions, open_dataset
from surfaces.datasets.folders import require_outside
from surfaces.datasets.reading import DEFAULT_OPTIONS
from surfaces.errors import DatasetError
from surfaces.io.atomic_files import replace_file
from surfaces.store.label_store import LabelStore
from surfaces.store.records import ScoredLabels
from surfaces.store.samples import StoredSample


@dataclass
class Coverage:
    """How the photos of the truth were found among the labelled ones.

    Attributes:
        same_file: photos of which both have the same file.
        by_name: photos of which they have copies of the same name, size and look.
        reviewed: photos that were left out, since a person reviewed the labels that are to be scored.
        missing: photos that are not labelled.
        auto_truth: photos of the truth whose labels a teacher made.
    """

    same_file: int = 0
    by_name: int = 0
    reviewed: int = 0
    missing: int = 0
    auto_truth: int = 0

    def summary(self) -> str:
        """One line; what there is none of is left out."""
        others = {
            "are not labelled": self.missing,
            "are left out since their labels are reviewed": self.reviewed,
            "have a truth that no person reviewed": self.auto_truth,
        }
        found = f"{self.same_file} photos matched by their files, {self.by_name} by name and look"
        return "; ".join([found, *(f"{count} {what}" for what, count in others.items() if count)])


def labelled_by_both(
    dataset: Path, truth: Path, coverage: Coverage | None = None, options: ReadOptions = DEFAULT_OPTIONS
) -> Iterator[tuple[ScoredLabels, Labels]]:
    """A teacher's labels and people's of the photos that both datasets have.

    Args:
        dataset: a label store.
        truth: a dataset of any form.
        coverage: is told how photos were found.
        options: how `truth` is read.

    Raises:
        DatasetError: one of the two cannot be read, they share no photo, or labels of a photo are of different sizes.
    """
    coverage = coverage or Coverage()
    samples = open_dataset(truth, options)
    with LabelStore.open(dataset) as store:
        matcher = Matcher(store)
        for sample in tqdm(samples, unit="photo", disable=None):
            match = matcher.find(sample)
            if match is None:
                coverage.missing += 1
                continue
            if match.photo.origin != "auto":
                coverage.reviewed += 1
                continue
            coverage.same_file += match.same_file
            coverage.by_name += not match.same_file
            coverage.auto_truth += isinstance(sample, StoredSample) and sample.photo.origin == "auto"
            labels, known = store.labels(match.photo.sha256), sample.labels()
            if labels.ignore_mask.shape != known.semantic.shape:
                expected, got = known.semantic.shape, labels.ignore_mask.shape
                raise DatasetError(f"expected labels of {expected} rows, columns for {sample.name}, got {got}")
            yield labels, known
    if not coverage.same_file + coverage.by_name:
        told = f"expected photos of {truth} among those labelled in {dataset}, got none"
        raise DatasetError(f"{told} ({coverage.summary()})")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    parser.add_argument("dataset", type=local_path, metavar="DATASET", help="folder that `run` writes to")
    parser.add_argument(
        "--truth",
        type=local_path,
        required=True,
        metavar="DATA",
        help="a dataset with people's labels of the same photos",
    )
    parser.add_argument("--follow-links", action="store_true", help="take links that leave the folder of --truth")
    parser.add_argument("--json", type=local_path, metavar="FILE", help="write the numbers there too")


def run(args: argparse.Namespace) -> int:
    """Runs the command; returns its exit code."""
    if args.json:
        require_outside(args.json, [args.dataset, args.truth])
    coverage = Coverage()
    comparison = compare(
        labelled_by_both(args.dataset, args.truth, coverage, ReadOptions(follow_links=args.follow_links))
    )
    print(coverage.summary(), file=sys.stderr)
    if args.json:
        replace_file(args.json, (json.dumps(asdict(comparison), indent=1) + "\n").encode())
        print(f"the numbers are in {args.json}", file=sys.stderr)
    print(comparison.table())
    return 0
