"""`python -m distill inspect DATA`: a contact sheet of a dataset with its labels, and statistics."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from distill.curation.statistics import VALUES, DatasetStatistics, count_samples
from distill.datasets import add_dataset_arguments, open_datasets, protect_inputs, read_options, subsample
from surfaces.cli.arguments import local_path, positive
from surfaces.cli.progress import track
from surfaces.datasets import Sample
from surfaces.datasets.sample import read_sample, shrink_labels
from surfaces.detections import Image
from surfaces.drawing.contact_sheet import SheetLayout, contact_sheet
from surfaces.drawing.labels import draw_labels, fitting_size
from surfaces.errors import DatasetError
from surfaces.images.encode import write_picture


def inspect(samples: Sequence[Sample], out: Path, photos: int = 60) -> DatasetStatistics:
    """Draws a contact sheet of at most `photos` photos at even distances, `.jpg` or `.png`, and counts all labels."""
    statistics = count_samples(samples)
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
    parser.add_argument("--with", dest="wanted", choices=list(VALUES), help="only photos that have this label")


def describe_network(path: Path) -> str:
    """A network's name, what it records of its training, and the licences of what it learned from, as lines.

    Args:
        path: an exported network (.onnx), or weights (.npz).

    Raises:
        WeightsError: it is neither.
    """
    if path.suffix == ".npz":
        from models.student.weights import load_student

        name, photos = f"weights {path.name}", load_student(path).training_photos
    else:
        from models import Segmenter

        segmenter = Segmenter(path)
        name, photos = f"{segmenter.name}, sha256 {segmenter.sha256}", segmenter.training_photos
    known = f"{len(photos.hashes)} photos recorded{'' if photos.complete else ', others are not'}"
    return "\n".join([name, f"trained on: {known}", *map(str, photos.licences)])


def run(args: argparse.Namespace) -> int:
    """Runs the command; returns its exit code."""
    if networks := [path for path in args.data if path.suffix in (".onnx", ".npz")]:
        print("\n".join(map(describe_network, networks)))
        if len(networks) == len(args.data):
            return 0
        args.data = [path for path in args.data if path not in networks]
    samples = open_datasets(args.data, args.split, read_options(args))
    protect_inputs([args.out], args.data, samples)
    if args.wanted:
        value = VALUES[args.wanted]
        samples = [sample for sample in track(samples) if (sample.labels().semantic == value).any()]
        if not samples:
            raise DatasetError(f"expected photos with the label {args.wanted}, got none")
    print(inspect(samples, args.out, args.photos).table())
    print(f"the contact sheet is {args.out}", file=sys.stderr)
    return 0
