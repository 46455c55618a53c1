"""`python -m autolabel compare DATASET --truth DATA`: how good labels are where people labelled the same photos."""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from autolabel.quality import segment_quality
from surfaces.classes import CLASSES, SurfaceClass
from surfaces.dataset import Labels, open_dataset
from surfaces.dataset.graded import GradedLabels
from surfaces.dataset.store import LabelStore
from surfaces.errors import DatasetError
from surfaces.files import replace_file
from surfaces.metrics.regions import counted_pixels

QUALITY_EDGES = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""Segments are grouped by their quality between these; each group includes its lower edge, the last both."""


@dataclass(frozen=True)
class ClassAgreement:
    """Auto-labels of one class against people's; all but the count are from 0 to 1, None where nothing is counted.

    Attributes:
        precision: of the labelled pixels, how many are of the class.
        recall: of the class's pixels, how many are labelled so.
        iou: intersection over union, unsure pixels counted as missed.
        iou_sure: intersection over union of the sure pixels: what training sees.
        segments: how many were labelled.
    """

    precision: float | None
    recall: float | None
    iou: float | None
    iou_sure: float | None
    segments: int


@dataclass(frozen=True)
class QualityGroup:
    """Segments of one class and of similar quality.

    Attributes:
        least: quality from which they belong to the group.
        segments: how many there are.
        precision: mean share of a segment's pixels that are of its class; None where there is none.
    """

    least: float
    segments: int
    precision: float | None


@dataclass(frozen=True)
class Comparison:
    """How good auto-labels are.

    Attributes:
        photos: how many were compared.
        sure_share: share of the pixels that people labelled on which auto-labels are sure.
        classes: by the class's name.
        groups: by the class's name, ascending quality.
    """

    photos: int
    sure_share: float | None
    classes: dict[str, ClassAgreement]
    groups: dict[str, list[QualityGroup]]

    def table(self) -> str:
        """The comparison as lines for a terminal."""
        lines = [f"{'class':<14}{'precision':>10}{'recall':>9}{'IoU':>7}{'IoU sure':>10}{'segments':>10}"]
        lines += [
            f"{name:<14}{_told(c.precision):>10}{_told(c.recall):>9}{_told(c.iou):>7}{_told(c.iou_sure):>10}"
            f"{c.segments:>10}"
            for name, c in self.classes.items()
        ]
        lines += ["", f"precision of a segment by its quality (segments): {'  '.join(_group_names())}"]
        for name, groups in self.groups.items():
            parts = (f"{_told(g.precision)} ({g.segments})" if g.segments else "-" for g in groups)
            lines.append(f"{name:<14}" + "  ".join(parts))
        return "\n".join([*lines, "", f"{self.photos} photos, sure of {_told(self.sure_share)} of the pixels"])


class _Counts:
    """Pixels of one class, summed over photos, and the precision of each of its segments."""

    def __init__(self) -> None:
        self.right = self.wrong = self.missed = self.doubted = 0
        self.segments: list[tuple[float, float]] = []

    def add(self, surface: SurfaceClass, auto: GradedLabels, said: Labels, truth: Labels) -> None:
        counted = counted_pixels(truth, surface)
        found, real = said.semantic == surface.coco_id, truth.semantic == surface.coco_id
        self.right += _pixels(found & real)
        self.wrong += _pixels(found & ~real & counted)
        self.missed += _pixels(real & ~found & ~auto.unsure)
        self.doubted += _pixels(real & auto.unsure)
        for segment in auto.segments:
            mask = segment.detection.mask & counted
            if segment.detection.surface is surface and mask.any():
                self.segments.append((segment_quality(segment), float(real[mask].mean())))

    def agreement(self) -> ClassAgreement:
        return ClassAgreement(
            precision=_share(self.right, self.wrong),
            recall=_share(self.right, self.missed + self.doubted),
            iou=_share(self.right, self.wrong + self.missed + self.doubted),
            iou_sure=_share(self.right, self.wrong + self.missed),
            segments=len(self.segments),
        )

    def groups(self) -> list[QualityGroup]:
        qualities = np.array([quality for quality, _ in self.segments])
        precisions = np.array([precision for _, precision in self.segments])
        which = np.clip(np.digitize(qualities, QUALITY_EDGES) - 1, 0, len(QUALITY_EDGES) - 2)
        return [
            QualityGroup(least, int((which == number).sum()), _mean(precisions[which == number]))
            for number, least in enumerate(QUALITY_EDGES[:-1])
        ]


def compare(pairs: Iterable[tuple[GradedLabels, Labels]]) -> Comparison:
    """Compares auto-labels with people's, photo by photo.

    Pixels that nobody labelled count for no class, tables of another kind not for dining table.

    Args:
        pairs: of each photo the auto-labels and the truth, of one size; at least one photo.
    """
    counts = {surface: _Counts() for surface in CLASSES}
    photos = sure = labelled = 0
    for auto, truth in pairs:
        said = auto.labels()
        for surface, of_class in counts.items():
            of_class.add(surface, auto, said, truth)
        known = counted_pixels(truth, CLASSES[0])
        photos, sure, labelled = photos + 1, sure + _pixels(known & ~auto.unsure), labelled + _pixels(known)
    return Comparison(
        photos,
        _share(sure, labelled - sure),
        {surface.name: of_class.agreement() for surface, of_class in counts.items()},
        {surface.name: of_class.groups() for surface, of_class in counts.items()},
    )


def labelled_by_both(dataset: Path, truth: Path) -> Iterator[tuple[GradedLabels, Labels]]:
    """A teacher's labels and people's of the photos whose files are the same, byte for byte.

    Raises:
        DatasetError: one of the two cannot be read, they share no photo, or labels of a photo are of different sizes.
    """
    samples = open_dataset(truth)
    with LabelStore.open(dataset) as store:
        auto = {photo.sha256 for photo in store.photos() if photo.origin == "auto"}
        shared = False
        for sample in tqdm(samples, unit="photo", disable=None):
            sha256 = hashlib.sha256(sample.encoded_image()).hexdigest()
            if sha256 not in auto:
                continue
            shared = True
            labels, known = store.labels(sha256), sample.labels()
            if labels.unsure.shape != known.semantic.shape:
                expected, got = known.semantic.shape, labels.unsure.shape
                raise DatasetError(f"expected labels of {expected} rows, columns for {sample.name}, got {got}")
            yield labels, known
    if not shared:
        raise DatasetError(f"expected photos of {truth} among those labelled in {dataset}, got none of the same bytes")


def _pixels(mask: npt.NDArray[np.bool_]) -> int:
    return int(np.count_nonzero(mask))


def _share(part: int, rest: int) -> float | None:
    return part / (part + rest) if part + rest else None


def _mean(values: npt.NDArray[np.float64]) -> float | None:
    return float(values.mean()) if values.size else None


def _told(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _group_names() -> list[str]:
    return [f"{least:.1f}-{most:.1f}" for least, most in pairwise(QUALITY_EDGES)]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    parser.add_argument("dataset", type=Path, metavar="DATASET", help="folder that `run` writes to")
    parser.add_argument(
        "--truth", type=Path, required=True, metavar="DATA", help="a dataset with people's labels of the same photos"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers there too")


def run(args: argparse.Namespace) -> int:
    """Runs the command; returns its exit code."""
    comparison = compare(labelled_by_both(args.dataset, args.truth))
    if args.json:
        replace_file(args.json, (json.dumps(asdict(comparison), indent=1) + "\n").encode())
        print(f"the numbers are in {args.json}", file=sys.stderr)
    print(comparison.table())
    return 0
