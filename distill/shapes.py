"""`python -m distill shapes DATA`: what true masks keep that a network's output of a given size could draw at best.

A head that answers with SxS masks in boxes, or a branch that answers at a stride, cannot be better than the truth drawn
in that form and read back: Cheng et al., Boundary IoU, CVPR 2021, measure Mask R-CNN's 28x28 masks likewise.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from distill.datasets import add_dataset_arguments, open_datasets, protect_inputs, read_options, spread
from distill.progress import progress
from surfaces.classes import CLASSES, DINING_TABLE
from surfaces.cli.arguments import local_path, positive
from surfaces.datasets import Labels, Sample
from surfaces.detections import Detection, Mask, box_of_mask
from surfaces.io.atomic_files import replace_file
from surfaces.metrics.regions import boundary_counts, iou_of_counts, region_counts

Redraw = Callable[[Mask], Mask]
"""From a true mask, bool HxW, to what is left of it in another form, bool HxW."""

_MASK_SIDES = (14, 28, 56, 112)
_STRIDES = (4, 8, 16)


def in_box(mask: Mask, side: int) -> Mask:
    """A mask drawn on side x side places in its box, as Mask R-CNN's head does, and read back at the photo's size."""
    left, top, right, bottom = (round(float(edge)) for edge in box_of_mask(mask))
    inside = mask[top:bottom, left:right]
    drawn = np.zeros_like(mask)
    drawn[top:bottom, left:right] = _redrawn(inside, side, side)
    return drawn


def at_stride(mask: Mask, stride: int) -> Mask:
    """A mask drawn on the photo's grid at a stride, as a semantic branch does, and read back at the photo's size."""
    height, width = mask.shape
    return _redrawn(mask, max(1, round(height / stride)), max(1, round(width / stride)))


def _redrawn(mask: Mask, height: int, width: int) -> Mask:
    # Shares of the area, then bilinear: what a network that knows the truth would answer, and how answers are read.
    small = cv2.resize(mask.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
    read: Mask = cv2.resize(small, mask.shape[::-1], interpolation=cv2.INTER_LINEAR) > 0.5
    return read


def forms() -> dict[str, Redraw]:
    """The forms that are compared, by name."""
    boxes: dict[str, Redraw] = {f"{side}x{side} in a box": partial(in_box, side=side) for side in _MASK_SIDES}
    return boxes | {f"stride {stride}": partial(at_stride, stride=stride) for stride in _STRIDES}


def true_segments(labels: Labels) -> list[Detection]:
    """The labels as segments of score 1: all wall, all floor, each dining table, and those that are not told apart."""
    masks = [(surface, labels.semantic == surface.coco_id) for surface in CLASSES if not surface.is_thing]
    masks += [(DINING_TABLE, labels.tables == number) for number in np.unique(labels.tables[labels.tables > 0])]
    masks.append((DINING_TABLE, labels.table_crowd()))
    return [Detection(surface, 1.0, box_of_mask(mask), mask) for surface, mask in masks if mask.any()]


def measure(samples: Sequence[Sample]) -> dict[str, dict[str, dict[str, float]]]:
    """IoU and Boundary IoU of redrawn true masks, by form, class and measure; counts are summed over the photos.

    Raises:
        DatasetError: labels cannot be read.
    """
    counts = {name: np.zeros((2, len(CLASSES), 2), np.int64) for name in forms()}
    for sample in progress(samples):
        labels = sample.labels()
        truth = true_segments(labels)
        for name, redraw in forms().items():
            drawn = [replace(segment, mask=redraw(segment.mask)) for segment in truth]
            counts[name] += np.stack([region_counts(drawn, labels), boundary_counts(drawn, labels)])
    return {
        name: {
            surface.name: {"iou": round(float(iou), 4), "boundary_iou": round(float(boundary), 4)}
            for surface, iou, boundary in zip(CLASSES, *(iou_of_counts(part[None]) for part in both), strict=True)
        }
        for name, both in counts.items()
    }


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    add_dataset_arguments(parser, split="val")
    parser.add_argument("--limit", type=positive, help="only so many photos, spread evenly")
    parser.add_argument("--out", type=local_path, default=Path("output/shapes.json"), help="(default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    """Writes the file and a table; returns the exit code."""
    samples = open_datasets(args.data, args.split, read_options(args))
    protect_inputs([args.out], args.data, samples)
    samples = spread(samples, args.limit)
    found = measure(samples)
    content: dict[str, Any] = {
        "data": {"paths": [str(path) for path in args.data], "split": args.split, "photos": len(samples)},
        "forms": found,
    }
    replace_file(args.out, f"{json.dumps(content, indent=1)}\n".encode())
    for form, classes in found.items():
        told = ", ".join(
            f"{surface} {both['iou']:.3f} / {both['boundary_iou']:.3f}" for surface, both in classes.items()
        )
        print(f"{form:16} {told}")
    return 0
