"""`python -m distill data mix DATA… --out DATASET`."""

from __future__ import annotations

import argparse
import sys

from distill.datasets import add_reading_arguments, names_of, open_datasets, read_options
from surfaces.cli.arguments import local_path, positive
from surfaces.messages import counted

SUMMARY = "write photos of several datasets as one, in given shares"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this action's arguments."""
    parser.add_argument("data", nargs="+", type=local_path, metavar="DATA", help="the datasets")
    parser.add_argument("--out", type=local_path, required=True, help="the folder to write; it must not exist yet")
    parser.add_argument("--shares", nargs="+", type=float, default=[], help="one a dataset (default: all photos)")
    parser.add_argument("--photos", type=positive, help="of the mix (default: as many as there are)")
    parser.add_argument(
        "--licence",
        choices=("commercial",),
        help="refuse sources whose licence does not say that a product may be trained on them",
    )
    add_reading_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Mixes, and prints the folder."""
    from distill.curation.mixing import mix
    from distill.curation.writing import write_dataset
    from surfaces.datasets.description import licences_of
    from surfaces.io.atomic_files import require_outside
    from surfaces.licences import merged, refuse_uncommercial

    require_outside(args.out, args.data)
    licences = merged(licence for path in args.data for licence in licences_of(path))
    if args.licence:
        refuse_uncommercial(licences)
    options = read_options(args)
    names = names_of(args.data) if len(args.data) > 1 else [""]
    datasets = [
        open_datasets([path], options=options, names=[name]) for path, name in zip(args.data, names, strict=True)
    ]
    samples = mix(datasets, args.shares, args.photos)
    write_dataset(samples, args.out, licences, "A mix of datasets")
    print(args.out)
    print(f"{counted(len(samples), 'photo')} written", file=sys.stderr)
    return 0
