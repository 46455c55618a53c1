"""`python -m distill evaluate DATA`: scores a model on labelled photos and shows its worst ones."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from distill.datasets import (
    add_dataset_arguments,
    add_network_arguments,
    open_datasets,
    protect_inputs,
    read_options,
    require_labelled,
    subsample,
)
from distill.evaluation.page import IMAGES, write_page
from distill.evaluation.report import Report, report_of, score_photo
from surfaces.classes import DINING_TABLE
from surfaces.cli.arguments import local_path, positive
from surfaces.cli.progress import track
from surfaces.datasets import Sample
from surfaces.datasets.sample import read_sample
from surfaces.detections import Detection, Image
from surfaces.drawing.web_page import PAGE_NAME
from surfaces.io.atomic_files import replace_file
from surfaces.metrics import TableAp, match_segments

JSON_NAME = "report.json"


def evaluate(
    predict: Callable[[Image], list[Detection]],
    samples: Sequence[Sample],
    min_score: float = 0.0,
    low_confidence: Callable[[Image], list[Detection]] | None = None,
) -> Report:
    """Scores a model, one photo at a time.

    Args:
        predict: from a photo (uint8 HxWx3 RGB) to its segments, masks of the photo's size.
        samples: the dataset, at least one photo.
        min_score: the operating point: segments below it count for average precision alone.
        low_confidence: the same model with tables below its minimum score, for average precision and the curve of
            precision and recall; None: `predict`.

    Raises:
        DatasetError: a photo or its labels cannot be read, or their sizes differ.
        MissingExtraError: faster-coco-eval is not installed.
    """
    average_precision = TableAp()
    photos, low_matches = [], []
    for sample in track(samples):
        image, labels = read_sample(sample)
        detections = predict(image)
        with_low_scores = low_confidence(image) if low_confidence else detections
        average_precision.add(with_low_scores, labels)
        low_matches.append(match_segments(with_low_scores, labels, DINING_TABLE))
        kept = [detection for detection in detections if detection.score >= min_score]
        photos.append(score_photo(sample.name, kept, labels))
    return report_of(photos, average_precision.result(), min_score, low_matches)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    add_dataset_arguments(parser, split="val")
    add_network_arguments(parser)
    parser.add_argument(
        "--min-score",
        type=float,
        default=0.0,
        help="segments must reach this score beyond the network's own thresholds (default: %(default)s)",
    )
    parser.add_argument("--limit", type=positive, help="only so many photos, spread evenly")
    parser.add_argument("--cases", type=positive, default=12, help="worst photos a class (default: %(default)s)")
    parser.add_argument(
        "--out",
        type=local_path,
        default=Path("output/evaluation"),
        help="folder of report.json and the page of worst photos (default: %(default)s)",
    )


def run(args: argparse.Namespace) -> int:
    """Runs the command; returns its exit code."""
    from distill.evaluation.single_pass import SinglePass
    from models import Segmenter

    samples = open_datasets(args.data, args.split, read_options(args))
    path = args.out / JSON_NAME
    protect_inputs([path, args.out / PAGE_NAME, args.out / IMAGES], args.data, samples, [args.weights])
    samples = subsample(samples, args.limit)
    require_labelled(samples)
    segmenter = Segmenter(args.weights, args.threads, args.accurate)
    network = SinglePass(segmenter)
    report = evaluate(network.predict, samples, args.min_score, network.low_confidence)
    trained_on, hashes = segmenter.training_photos, list(network.hashes)
    content = {
        "model": {"name": segmenter.name, "sha256": segmenter.sha256},
        "data": {
            "paths": [str(path) for path in args.data],
            "split": args.split,
            "photos": len(samples),
            "photos_trained_on": trained_on.count(hashes),
            "training_photos_complete": trained_on.complete,
        },
        **report.to_json(),
    }
    replace_file(path, json.dumps(content, indent=1).encode("utf-8"))
    page = write_page(args.out, f"{segmenter.name}: worst photos", report, samples, network.predict, args.cases)
    print(f"{report.table()}\n{trained_on.summary(hashes)}")
    print(f"the report is {path}, the page of worst photos {page}", file=sys.stderr)
    return 0
