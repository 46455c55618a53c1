"""`python -m distill tune`: which operating point suits a network, on photos it was not trained on."""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from distill.datasets import add_dataset_arguments, open_datasets, read_options, read_sample
from models.inference.model_output import ModelOutput
from models.inference.postprocess import FusionSettings, fuse_tables, label_map
from models.inference.segmenter import Segmenter
from models.weights.registry import shipped
from surfaces.classes import CLASSES, DINING_TABLE
from surfaces.cli.arguments import local_path, positive
from surfaces.cli.progress import track
from surfaces.datasets import Labels, Sample
from surfaces.errors import DatasetError
from surfaces.metrics import iou_of_counts, match_segments, panoptic_quality, region_counts

GRID = {
    "table_score": (0.2, 0.3, 0.4, 0.5, 0.6),
    "residual_score": (0.5, 0.6, 0.7, 0.8, 1.01),
    "mask_weight": (0.2, 0.4, 0.6),
}
"""Tried in all combinations; a residual_score above 1 drops what no box explains."""


@dataclass(frozen=True)
class Trial:
    """An operating point and what it gives.

    Attributes:
        settings: the point.
        iou: of dining tables, over all pixels.
        precision, recall: of dining tables as objects, matched above half IoU.
        pq: Panoptic Quality of dining tables.
    """

    settings: FusionSettings
    iou: float
    precision: float
    recall: float
    pq: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's flags."""
    add_dataset_arguments(parser, split="val")
    parser.add_argument("--weights", type=local_path, help="an exported .onnx (default: the shipped one)")
    parser.add_argument("--threads", type=positive, default=2, help="CPU threads (default 2)")


def run(args: argparse.Namespace) -> int:
    """Prints all trials, best dining-table IoU first, and the command that exports with the best.

    Raises:
        DatasetError: no photo has a dining table.
    """
    segmenter = Segmenter(args.weights, args.threads)
    photos = [seen(segmenter, sample) for sample in track(open_datasets(args.data, args.split, read_options(args)))]
    if not any(photo.truth.tables.any() for photo in photos):
        raise DatasetError(f"expected photos with a dining table to tune on, got {len(photos)} without")
    trials = [try_settings(photos, settings) for settings in track(combinations(segmenter.settings))]
    names = list(GRID)
    print(" ".join(f"{name:>14}" for name in names), "   IoU  precision  recall    PQ")
    trials.sort(key=lambda trial: -trial.iou)
    for trial in trials:
        point = " ".join(f"{getattr(trial.settings, name):14.2f}" for name in names)
        print(f"{point}  {trial.iou:.3f}      {_short(trial.precision):>5}   {_short(trial.recall)} {_short(trial.pq)}")
    print(export_command(args.weights, args.data[0], trials[0].settings))
    return 0


def export_command(weights: Path | None, data: Path, settings: FusionSettings) -> str:
    """The command that exports the same network with another operating point.

    Args:
        weights: the exported network; None: the shipped one. Which .npz file it was made of is not recorded.
        data: a dataset to check the export on.
        settings: the operating point.
    """
    student = "STUDENT.npz" if weights else str(shipped("npz").path)
    out = weights or Path("tuned.onnx")
    point = [
        word
        for field in dataclasses.fields(settings)
        for word in (f"--{field.name.replace('_', '-')}", f"{getattr(settings, field.name):g}")
    ]
    return shlex.join(["python", "-m", "distill", "export", student, "--out", str(out), "--check", str(data), *point])


def _short(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"


def combinations(settings: FusionSettings) -> list[FusionSettings]:
    """All points of the grid; what the grid lacks is as in `settings`."""
    return [replace(settings, **dict(zip(GRID, values, strict=True))) for values in itertools.product(*GRID.values())]


@dataclass(frozen=True, eq=False)
class SeenPhoto:
    """What does not depend on the operating point: outputs, the branch's label map at the photo's size, truth."""

    output: ModelOutput
    label_map: npt.NDArray[np.uint8]
    truth: Labels


def seen(segmenter: Segmenter, sample: Sample) -> SeenPhoto:
    """Runs the network on a sample."""
    image, truth = read_sample(sample)
    output = segmenter.infer(image)
    return SeenPhoto(output, label_map(output.probabilities, image.shape[0], image.shape[1]), truth)


def try_settings(photos: Sequence[SeenPhoto], settings: FusionSettings) -> Trial:
    """Finds all photos' dining tables at one operating point and scores them."""
    counts, matches = [], []
    for photo in photos:
        tables = fuse_tables(photo.output, photo.label_map, settings)
        counts.append(region_counts(tables, photo.truth))
        matches.append(match_segments(tables, photo.truth, DINING_TABLE))
    quality = panoptic_quality(matches)
    iou = float(iou_of_counts(np.stack(counts))[CLASSES.index(DINING_TABLE)])
    return Trial(settings, iou, quality.precision, quality.recall, quality.pq)
