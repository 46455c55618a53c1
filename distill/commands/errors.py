"""`python -m distill errors DATA`: error analysis of a network, and its worst photos."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from distill.datasets import add_dataset_arguments, add_network_arguments, open_datasets, protect_inputs, read_options
from distill.evaluation.error_analysis import ORDERS, analyze_errors, read_categories
from distill.evaluation.error_page import category_table, to_json, write_error_page
from distill.evaluation.page import IMAGES
from surfaces.cli.arguments import local_path, positive
from surfaces.drawing.web_page import PAGE_NAME
from surfaces.io.atomic_files import make_folder, replace_file

JSON_NAME = "worst.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    add_dataset_arguments(parser, split="val")
    add_network_arguments(parser)
    parser.add_argument("--count", type=positive, default=30, help="photos to show (default: %(default)s)")
    parser.add_argument(
        "--by",
        choices=ORDERS,
        default=ORDERS[0],
        help="lost: what takes most from the dataset's mean IoU; a class: from its IoU; iou: the lowest mean IoU of a "
        "photo's own (default: %(default)s)",
    )
    parser.add_argument("--causes", type=local_path, help="TOML file of causes that a person gave (docs/results.md)")
    parser.add_argument("--sheet", type=local_path, help="all shown photos as one picture besides, .jpg or .png")
    parser.add_argument(
        "--out",
        type=local_path,
        default=Path("output/worst"),
        help=f"folder of {JSON_NAME} and the page (default: %(default)s)",
    )


def run(args: argparse.Namespace) -> int:
    """Runs the command; returns its exit code."""
    from distill.evaluation.single_pass import SinglePass
    from models import Segmenter

    model, categories = read_categories(args.causes) if args.causes else ("", {})
    samples = open_datasets(args.data, args.split, read_options(args))
    outputs = [args.out / name for name in (JSON_NAME, PAGE_NAME, IMAGES)]
    protect_inputs([*outputs, args.sheet] if args.sheet else outputs, args.data, samples, [args.weights, args.causes])
    make_folder(args.out)
    segmenter = Segmenter(args.weights, args.threads, args.accurate)
    if model and model != segmenter.sha256:
        print(f"the causes in {args.causes} were given for another network's errors", file=sys.stderr)
    predict = SinglePass(segmenter).predict
    analysis = analyze_errors(predict, samples, args.count, args.by, categories)
    content = {
        "model": {"name": segmenter.name, "sha256": segmenter.sha256},
        "data": {"paths": [str(path) for path in args.data], "split": args.split, "photos": len(samples)},
        "by": args.by,
        **to_json(analysis),
    }
    replace_file(args.out / JSON_NAME, (json.dumps(content, indent=1) + "\n").encode())
    print(category_table(analysis))
    page = write_error_page(args.out, f"{segmenter.name}: worst photos", analysis, samples, predict, args.sheet)
    print(f"the numbers are {args.out / JSON_NAME}, the page {page}", file=sys.stderr)
    return 0
