"""`python -m distill tune`: the best operating point of a network, on photos it was not trained on."""

from __future__ import annotations

import argparse
import itertools
import math
import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from distill.datasets import add_dataset_arguments, add_network_arguments, open_datasets, read_options
from models.inference.model_output import ModelOutput
from models.inference.postprocess import FusionSettings, fuse
from models.inference.segmenter import Segmenter
from models.weights.registry import shipped
from surfaces.classes import CLASSES, DINING_TABLE
from surfaces.cli.progress import track
from surfaces.datasets import Labels, Sample
from surfaces.datasets.sample import read_sample
from surfaces.errors import DatasetError
from surfaces.metrics import iou_of_counts, match_segments, panoptic_quality, region_counts

GRID = {
    "table_score": (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8),
    "residual_score": (0.5, 0.6, 0.7, 0.8, 1.01),
    "mask_weight": (0.2, 0.4, 0.6),
}
"""Tried in all combinations, besides the network's own; a residual_score above 1 drops what no box explains."""


@dataclass(frozen=True)
class Trial:
    """Scores of dining tables at an operating point; objects match above half IoU, `pq` is Panoptic Quality."""

    settings: FusionSettings
    iou: float
    precision: float
    recall: float
    pq: float


@dataclass(frozen=True, eq=False)
class PhotoOutput:
    """A photo's outputs before fusion, and its labels."""

    output: ModelOutput
    truth: Labels


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    add_dataset_arguments(parser, split="val")
    add_network_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Prints all trials, best dining-table IoU first, and the command that exports with the best.

    Raises:
        DatasetError: no photo has a dining table.
    """
    segmenter = Segmenter(args.weights, args.threads, args.accurate)
    samples = open_datasets(args.data, args.split, read_options(args))
    photos = [run_network(segmenter, sample) for sample in track(samples)]
    if not any(photo.truth.tables.any() for photo in photos):
        raise DatasetError(f"expected photos with a dining table to tune on, got {len(photos)} without")
    own = segmenter.settings
    grid = {own, *(replace(own, **dict(zip(GRID, v, strict=True))) for v in itertools.product(*GRID.values()))}
    ordered = sorted(grid, key=lambda settings: [getattr(settings, name) for name in GRID])
    trials = sorted((try_settings(photos, settings) for settings in track(ordered)), key=lambda trial: -trial.iou)
    print(" ".join(f"{name:>14}" for name in GRID), "   IoU  precision  recall    PQ")
    for trial in trials:
        point = " ".join(f"{getattr(trial.settings, name):14.2f}" for name in GRID)
        print(f"{point}  {trial.iou:.3f}      {_short(trial.precision):>5}   {_short(trial.recall)} {_short(trial.pq)}")
    print(export_command(args.weights, args.data[0], trials[0].settings))
    return 0


def run_network(segmenter: Segmenter, sample: Sample) -> PhotoOutput:
    """Runs the network on a sample."""
    image, truth = read_sample(sample)
    return PhotoOutput(segmenter.infer(image), truth)


def try_settings(photos: Sequence[PhotoOutput], settings: FusionSettings) -> Trial:
    """Finds all photos' dining tables at one operating point and scores them."""
    counts, matches = [], []
    for photo in photos:
        found = fuse(photo.output, *photo.truth.size_hw, settings)
        tables = [detection for detection in found if detection.surface is DINING_TABLE]
        counts.append(region_counts(tables, photo.truth))
        matches.append(match_segments(tables, photo.truth, DINING_TABLE))
    quality = panoptic_quality(matches)
    iou = float(iou_of_counts(np.stack(counts))[CLASSES.index(DINING_TABLE)])
    return Trial(settings, iou, quality.precision, quality.recall, quality.pq)


def export_command(weights: Path | None, data: Path, settings: FusionSettings) -> str:
    """The command that exports the same network with another operating point.

    Args:
        weights: the exported network, which does not record the .npz file it was made of; None: the shipped one.
        data: a dataset to check the export on.
        settings: the operating point.
    """
    student = "STUDENT.npz" if weights else str(shipped("npz").path)
    point = [(f"--{name.replace('_', '-')}", f"{value:g}") for name, value in asdict(settings).items()]
    words = ["python", "-m", "distill", "export", student, "--out", str(weights or "tuned.onnx"), "--check", str(data)]
    return shlex.join([*words, *itertools.chain.from_iterable(point)])


def _short(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"
