"""`python -m distill pack DATA OUT`: datasets as a few files that travel to a GPU, or as COCO."""

from __future__ import annotations

import argparse
import sys

from distill.datasets import add_dataset_arguments, open_datasets, read_options, require_labelled
from distill.soft_labels import add_soft_labels, licences_of_network
from surfaces.cli.arguments import local_path, positive
from surfaces.datasets import write_packed
from surfaces.datasets.description import add_sources, licences_of
from surfaces.datasets.packed import MAX_BYTES
from surfaces.io.atomic_files import require_outside
from surfaces.io.photo_lists import STORE_NAME
from surfaces.store.copies import record_copy
from surfaces.store.forgetting import CopyKind
from surfaces.store.label_store import LabelStore


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    add_dataset_arguments(parser, split="all")
    parser.add_argument("--out", type=local_path, required=True, help="the folder to write; it must not exist yet")
    parser.add_argument(
        "--format",
        choices=("packed", "coco"),
        default="packed",
        help="packed: a few ZIP files, read without pycocotools; coco: annotations.json and photos "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--max-bytes",
        type=positive,
        default=MAX_BYTES,
        help="packed: size of a file at the most (default: %(default)s)",
    )
    parser.add_argument("--longest-side", type=positive, help="packed: shrink larger photos to so many pixels")
    parser.add_argument(
        "--soft-labels",
        metavar="NETWORK",
        help="packed: add a network's probabilities where the labels leave a choice of classes: an exported network, "
        "or `shipped`",
    )


def run(args: argparse.Namespace) -> int:
    """Runs the command; returns its exit code."""
    require_outside(args.out, args.data)
    samples = open_datasets(args.data, args.split, read_options(args))
    licences = [licence for path in args.data for licence in licences_of(path)]
    if args.format == "coco":
        from surfaces.datasets.coco import write_coco  # needs pycocotools

        require_labelled(samples)
        count = write_coco(samples, args.out)
    else:
        if args.soft_labels:
            samples = add_soft_labels(samples, args.soft_labels)
            licences += licences_of_network(args.soft_labels)
        require_labelled(samples)
        count = write_packed(samples, args.out, args.max_bytes, args.longest_side)
    add_sources(args.out, licences)
    for folder in args.data:
        if (folder / STORE_NAME).is_file():
            with LabelStore.open(folder) as store:
                record_copy(store, args.out, CopyKind.PACKED)
    print(args.out)
    print(f"{count} photos written", file=sys.stderr)
    return 0
