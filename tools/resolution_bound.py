"""`python -m tools.resolution_bound DATA`: scores that no network with masks of a given size can exceed.

True masks are reduced to SxS values per box, or to a stride, enlarged again and compared with themselves. Cheng et al.,
Boundary IoU, CVPR 2021, measure Mask R-CNN's 28x28 masks likewise.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from distill.datasets import add_dataset_arguments, open_datasets, protect_inputs, read_options, subsample
from surfaces.classes import CLASSES, DINING_TABLE
from surfaces.cli.arguments import local_path, positive
from surfaces.cli.progress import track
from surfaces.datasets import Labels, Sample
from surfaces.detections import Detection, Mask, box_of_mask
from surfaces.io.atomic_files import replace_file
from surfaces.metrics.confusion import boundary_counts, iou_of_counts, region_counts
from tools.command_line import run_tool


def reduce_in_box(mask: Mask, side: int) -> Mask:
    """A mask reduced to side x side values in its box, as Mask R-CNN's head predicts it, and enlarged again."""
    left, top, right, bottom = (round(float(edge)) for edge in box_of_mask(mask))
    reduced = np.zeros_like(mask)
    reduced[top:bottom, left:right] = _reduce(mask[top:bottom, left:right], side, side)
    return reduced


def reduce_to_stride(mask: Mask, stride: int) -> Mask:
    """A mask reduced to the photo's grid at a stride, as a semantic branch predicts it, and enlarged again."""
    height, width = mask.shape
    return _reduce(mask, max(1, round(height / stride)), max(1, round(width / stride)))


def _reduce(mask: Mask, height: int, width: int) -> Mask:
    small = cv2.resize(mask.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
    enlarged: Mask = cv2.resize(small, mask.shape[::-1], interpolation=cv2.INTER_LINEAR) > 0.5
    return enlarged


FORMS: dict[str, Callable[[Mask], Mask]] = {
    **{f"{side}x{side} in a box": partial(reduce_in_box, side=side) for side in (14, 28, 56, 112)},
    **{f"stride {stride}": partial(reduce_to_stride, stride=stride) for stride in (4, 8, 16)},
}


def true_segments(labels: Labels) -> list[Detection]:
    """The labels as segments of score 1: wall, floor, each dining table, and the tables without instances."""
    masks = [(surface, labels.semantic == surface.coco_id) for surface in CLASSES if not surface.is_thing]
    masks += [(DINING_TABLE, labels.tables == number) for number in np.unique(labels.tables[labels.tables > 0])]
    masks.append((DINING_TABLE, labels.table_crowd()))
    return [Detection(surface, 1.0, box_of_mask(mask), mask) for surface, mask in masks if mask.any()]


def measure(samples: Sequence[Sample]) -> dict[str, dict[str, dict[str, float]]]:
    """IoU and Boundary IoU of reduced true masks by form, class and measure, over all pixels of the photos."""
    counts = {name: np.zeros((2, len(CLASSES), 2), np.int64) for name in FORMS}
    for sample in track(samples):
        labels = sample.labels()
        truth = true_segments(labels)
        for name, reduce in FORMS.items():
            reduced = [replace(segment, mask=reduce(segment.mask)) for segment in truth]
            counts[name] += np.stack([region_counts(reduced, labels), boundary_counts(reduced, labels)])
    return {
        name: {
            surface.name: {"iou": round(float(iou), 4), "boundary_iou": round(float(boundary), 4)}
            for surface, iou, boundary in zip(CLASSES, *(iou_of_counts(part[None]) for part in both), strict=True)
        }
        for name, both in counts.items()
    }


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the tool's arguments."""
    add_dataset_arguments(parser, split="val")
    parser.add_argument("--limit", type=positive, help="only so many photos, spread evenly")
    parser.add_argument("--out", type=local_path, default=Path("output/shapes.json"), help="(default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    """Writes the file and a table; returns the exit code."""
    samples = open_datasets(args.data, args.split, read_options(args))
    protect_inputs([args.out], args.data, samples)
    samples = subsample(samples, args.limit)
    found = measure(samples)
    data = {"paths": [str(path) for path in args.data], "split": args.split, "photos": len(samples)}
    replace_file(args.out, f"{json.dumps({'data': data, 'forms': found}, indent=1)}\n".encode())
    for form, classes in found.items():
        scores = (f"{name} {both['iou']:.3f} / {both['boundary_iou']:.3f}" for name, both in classes.items())
        print(f"{form:16} {', '.join(scores)}")
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Runs the tool; returns the exit code."""
    return run_tool("resolution_bound", str(__doc__).split("\n")[0], add_arguments, run, arguments)


if __name__ == "__main__":
    sys.exit(main())
