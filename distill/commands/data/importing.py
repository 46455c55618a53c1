"""`python -m distill data import SOURCE PATH --out DATASET`."""

from __future__ import annotations

import argparse
import os
import sys

from surfaces.cli.arguments import local_path, positive
from surfaces.datasets.reading import DEFAULT_OPTIONS, ReadOptions
from surfaces.messages import counted

SUMMARY = "import a published dataset, or one of another tool, with a class map; resumes"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this action's arguments."""
    parser.add_argument(
        "source",
        metavar="SOURCE",
        help="coco, ade20k, ade20k-full, open-images, opensurfaces, nyuv2, sun-rgbd, rooms, or dataset (any form that "
        "opens here)",
    )
    parser.add_argument("path", type=local_path, metavar="PATH", help="its file or folder")
    parser.add_argument("--out", type=local_path, required=True, help="the folder to write; it must not exist yet")
    parser.add_argument("--map", type=local_path, metavar="FILE", help="a class map (default: the source's)")
    parser.add_argument("--images", type=local_path, metavar="DIR", help="COCO: the folder of the photos")
    parser.add_argument("--copy", action="store_true", help="copy the photos (default: link them where possible)")
    parser.add_argument("--only", default="", metavar="PATTERN", help="only photos whose names match, as 'test/*'")
    parser.add_argument("--limit", type=positive, default=0, help="only so many photos, at even distances")
    parser.add_argument("--skip-invalid", action="store_true", help="leave out photos with faults, and list them")
    parser.add_argument("--follow-links", action="store_true", help="take links that leave the source's folder")
    parser.add_argument(
        "--workers", type=positive, default=os.cpu_count() or 1, help="processes (default: %(default)s)"
    )


def run(args: argparse.Namespace) -> int:
    """Imports, and prints the folder."""
    from distill.sources.importing import ImportPlan, import_source
    from surfaces.io.atomic_files import require_outside

    require_outside(args.out, [args.path])
    options = ReadOptions(args.skip_invalid, DEFAULT_OPTIONS.crowds, args.images, args.follow_links)
    plan = ImportPlan(args.source, args.path, args.map, options, args.copy, args.only, args.limit)
    result = import_source(plan, args.out, args.workers)
    print(args.out)
    print(f"{counted(result.photos, 'photo')} imported", file=sys.stderr)
    return 0
