"""`python -m distill data split DATA --out FOLDER`."""

from __future__ import annotations

import argparse
import sys

from distill.datasets import add_reading_arguments, open_datasets, read_options
from surfaces.cli.arguments import local_path, share
from surfaces.messages import counted

SUMMARY = "write a dataset as a training and a validation part that share no scene"
BY = ("near-duplicates", "folder", "source", "block")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this action's arguments."""
    parser.add_argument("data", type=local_path, metavar="DATA", help="the dataset")
    parser.add_argument("--out", type=local_path, required=True, help="gets the folders train and val")
    parser.add_argument(
        "--by",
        choices=BY,
        default=BY[0],
        help="what is kept together: photos that look the same, those of one folder, those of one source, or blocks of "
        "neighbouring names (default: %(default)s)",
    )
    parser.add_argument("--val", type=share, default=0.15, help="share of the photos, about (default: %(default)s)")
    add_reading_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Splits, and prints the folders."""
    from distill.curation.splitting import split_dataset
    from distill.curation.writing import write_dataset
    from surfaces.cli.settings_files import SettingsError
    from surfaces.datasets.description import licences_of
    from surfaces.io.atomic_files import new_folder, require_outside

    if not 0 < args.val <= 0.5:
        raise SettingsError(f"expected --val above 0, at most 0.5, got {args.val:g}")
    require_outside(args.out, [args.data])
    licences = licences_of(args.data)
    train, val = split_dataset(open_datasets([args.data], options=read_options(args)), args.by, args.val)
    with new_folder(args.out) as partial:
        for name, samples in (("train", train), ("val", val)):
            write_dataset(samples, partial / name, licences, f"{args.data.name}, the part {name}")
    for name, samples in (("train", train), ("val", val)):
        print(args.out / name)
        print(f"{name}: {counted(len(samples), 'photo')}", file=sys.stderr)
    return 0
