"""`python -m distill inspect DATA`: a contact sheet of a dataset with its labels, and statistics."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from distill.datasets import add_dataset_arguments, open_datasets, protect_inputs, read_options, subsample
from surfaces.classes import CLASSES, IGNORE, OTHER, OTHER_TABLE
from surfaces.cli.arguments import local_path, positive
from surfaces.cli.progress import track
from surfaces.datasets import Sample
from surfaces.datasets.sample import read_sample, shrink_labels
from surfaces.detections import Image
from surfaces.drawing.contact_sheet import SheetLayout, contact_sheet
from surfaces.drawing.labels import draw_labels, fitting_size
from surfaces.errors import DatasetError
from surfaces.images.encode import write_picture

_VALUES = {**{c.name: c.coco_id for c in CLASSES}, "other table": OTHER_TABLE, "other": OTHER, "unlabelled": IGNORE}


@dataclass(frozen=True)
class Statistics:
    """Counts of the labels of a dataset.

    Attributes:
        photos: in the dataset.
        tables: dining tables in all of them.
        photos_with: photos with a label, by its name: the three classes, other table, other, unlabelled.
        pixel_shares: mean share of a photo that a label covers, 0 to 1, over all photos, by its name.
    """

    photos: int
    tables: int
    photos_with: dict[str, int]
    pixel_shares: dict[str, float]

    def table(self) -> str:
        """The statistics as lines for a terminal."""
        lines = [f"{'label':<14}{'photos':>8}{'of all':>9}{'pixels':>9}{'regions':>9}"]
        for name, photos in self.photos_with.items():
            regions = str(self.tables) if name == "dining table" else ""
            share = photos / self.photos
            lines.append(f"{name:<14}{photos:>8}{share:>9.1%}{self.pixel_shares[name]:>9.1%}{regions:>9}")
        return "\n".join([*lines, f"{'all':<14}{self.photos:>8}"])


def count_labels(samples: Sequence[Sample]) -> Statistics:
    """Reads all labels, one photo at a time, and counts them."""
    shares = []
    tables = 0
    for sample in track(samples):
        labels = sample.labels()
        pixels = np.bincount(labels.semantic.ravel(), minlength=256)
        shares.append(pixels[list(_VALUES.values())] / labels.semantic.size)
        tables += int(labels.tables.max(initial=0))
    matrix = np.stack(shares)
    photos_with = dict(zip(_VALUES, np.count_nonzero(matrix, axis=0).tolist(), strict=True))
    return Statistics(len(samples), tables, photos_with, dict(zip(_VALUES, matrix.mean(axis=0).tolist(), strict=True)))


def inspect(samples: Sequence[Sample], out: Path, photos: int = 60) -> Statistics:
    """Draws a contact sheet of at most `photos` photos at even distances, `.jpg` or `.png`, and counts all labels."""
    statistics = count_labels(samples)
    layout = SheetLayout()
    write_picture(out, contact_sheet(_tiles(subsample(samples, photos), layout), layout))
    return statistics


def _tiles(samples: Sequence[Sample], layout: SheetLayout) -> Iterator[tuple[str, Image]]:
    for sample in samples:
        image, labels = read_sample(sample)
        size = fitting_size(image.shape, layout.tile_width, layout.tile_height)
        small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
        yield sample.name, draw_labels(small, shrink_labels(labels, size))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    add_dataset_arguments(parser, split="all")
    parser.add_argument(
        "--out", type=local_path, default=Path("output/contact_sheet.jpg"), help="the sheet (default: %(default)s)"
    )
    parser.add_argument("--photos", type=positive, default=60, help="most photos on the sheet (default: %(default)s)")
    parser.add_argument("--with", dest="wanted", choices=list(_VALUES), help="only photos that have this label")


def run(args: argparse.Namespace) -> int:
    """Runs the command; returns its exit code."""
    samples = open_datasets(args.data, args.split, read_options(args))
    protect_inputs([args.out], args.data, samples)
    if args.wanted:
        value = _VALUES[args.wanted]
        samples = [sample for sample in track(samples) if (sample.labels().semantic == value).any()]
        if not samples:
            raise DatasetError(f"expected photos with the label {args.wanted}, got none")
    print(inspect(samples, args.out, args.photos).table())
    print(f"the contact sheet is {args.out}", file=sys.stderr)
    return 0
