"""`python -m distill data download SOURCE --out FOLDER`."""

from __future__ import annotations

import argparse
import sys

from surfaces.cli.arguments import local_path

SUMMARY = "download a published dataset where its licence allows that; else say where it can be had"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this action's arguments."""
    parser.add_argument("source", metavar="SOURCE", help="as of `data import`; coco and ade20k are downloaded")
    parser.add_argument("--out", type=local_path, metavar="FOLDER", help="the folder; an interrupted download goes on")
    parser.add_argument("--parts", nargs="+", default=[], help="only these archives (default: all)")
    parser.add_argument("--accept-terms", action="store_true", help="you accept the terms of use that are shown")


def run(args: argparse.Namespace) -> int:
    """Downloads, and prints the folder; without an address, prints where the dataset can be had."""
    from distill.sources.catalogue import known_source
    from distill.sources.downloads import DOWNLOADS, accept_terms, fetch
    from surfaces.cli.settings_files import SettingsError, unknown_name
    from surfaces.errors import DatasetError

    known = known_source(args.source)
    if known.name not in DOWNLOADS:
        where = f"get it from {known.address}" if known.address else "it is your own"
        raise DatasetError(
            f"expected a dataset that may be downloaded, got {known.name} ({known.licence.terms}): {where}"
        )
    offered = DOWNLOADS[known.name]
    for part in args.parts:
        if part not in offered.parts:
            raise SettingsError(unknown_name("part", part, offered.parts))
    chosen = [offered.parts[part] for part in args.parts or offered.parts]
    if args.out is None:
        for name, part in offered.parts.items():
            print(f"{name}: {part.size / 1e9:.2f} GB, {part.address}, sha256 {part.sha256}")
        print(offered.terms)
        return 0
    accept_terms(offered.terms, args.out, args.accept_terms)
    fetch(chosen, args.out)
    print(args.out)
    print(f"now: {offered.imports.replace('FOLDER', str(args.out))}", file=sys.stderr)
    return 0
