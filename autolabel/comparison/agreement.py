"""Agreement of auto-labels with people's: counts per photo, summed, with bootstrap intervals over photos."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from autolabel.labelling.quality import segment_quality
from models.inference.postprocess import upsample_window
from surfaces.classes import CLASSES, SurfaceClass
from surfaces.datasets import Labels
from surfaces.detections import Mask
from surfaces.metrics import bootstrap_sums, percentile_interval
from surfaces.metrics.regions import counted_pixels
from surfaces.store.records import ScoredLabels

QUALITY_EDGES = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""Segments are grouped by their quality between these; each group includes its lower edge, the last both."""

PROBABILITY_EDGES = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)
"""Labelled pixels are grouped likewise by the probability of their class."""

Counts = npt.NDArray[np.float64]
Interval = tuple[float | None, float | None]
"""95 % bootstrap interval over photos; None where it is not defined."""


# The fields of these records are the keys of `compare --json`, which stay those of version 0.1.


@dataclass(frozen=True)
class ClassAgreement:
    """Auto-labels of one class against people's; numbers from 0 to 1, None without any counts.

    Attributes:
        precision: share of the labelled pixels that are of the class.
        recall: share of the class's pixels that are labelled so.
        iou: intersection over union, ignored pixels counted as missed.
        iou_sure: intersection over union without ignored pixels, as training uses the labels.
        segments: number of labelled segments.
        calibration_error: expected calibration error (Naeini et al., 2015) of the probabilities of labelled pixels.
        intervals: of each of these numbers, by its name.
    """

    precision: float | None
    recall: float | None
    iou: float | None
    iou_sure: float | None
    segments: int
    calibration_error: float | None
    intervals: dict[str, Interval]


@dataclass(frozen=True)
class QualityGroup:
    """Segments of one class with a quality from `least`.

    Attributes:
        precision: mean share of a segment's pixels that are of its class; None without segments.
        interval: of the precision.
    """

    least: float
    segments: int
    precision: float | None
    interval: Interval


@dataclass(frozen=True)
class ProbabilityGroup:
    """Pixels that were labelled as one class with a probability from `least`.

    Attributes:
        belief: their mean probability; None without pixels.
        precision: share of them that are of the class.
        interval: of the precision.
    """

    least: float
    pixels: int
    belief: float | None
    precision: float | None
    interval: Interval


@dataclass(frozen=True)
class Comparison:
    """The quality of auto-labels.

    Attributes:
        photos: number of compared photos.
        sure_share: share of the pixels labelled by people that auto-labels do not ignore.
        classes: by the class's name.
        groups: segments by the class's name, ascending quality.
        belief_groups: pixels by the class's name, ascending probability; empty without soft labels.
    """

    photos: int
    sure_share: float | None
    classes: dict[str, ClassAgreement]
    groups: dict[str, list[QualityGroup]]
    belief_groups: dict[str, list[ProbabilityGroup]]

    def table(self) -> str:
        """The comparison as text for a terminal."""
        measures = ("precision", "recall", "iou", "iou_sure")
        lines = [f"{'class':<14}" + "".join(f"{name.replace('_', ' '):<21}" for name in measures) + "segments"]
        for name, agreement in self.classes.items():
            cells = (_with_interval(getattr(agreement, m), agreement.intervals[m]) for m in measures)
            lines.append(f"{name:<14}" + "".join(f"{cell:<21}" for cell in cells) + str(agreement.segments))
        lines += ["", f"precision of a segment by its quality (segments): {_group_names(QUALITY_EDGES)}"]
        for name, groups in self.groups.items():
            cells = (f"{_number(g.precision)} ({g.segments})" if g.segments else "-" for g in groups)
            lines.append(f"{name:<14}" + "  ".join(cells))
        if self.belief_groups:
            lines += ["", f"precision of pixels by the probability of their class: {_group_names(PROBABILITY_EDGES)}"]
        for name, of_pixels in self.belief_groups.items():
            error = f"calibration error {_number(self.classes[name].calibration_error)}"
            lines.append(f"{name:<14}" + "  ".join([*(_number(g.precision) for g in of_pixels), error]))
        return "\n".join([*lines, "", f"{self.photos} photos, sure of {_number(self.sure_share)} of the pixels"])


def compare(pairs: Iterable[tuple[ScoredLabels, Labels]]) -> Comparison:
    """Compares auto-labels with people's, photo by photo.

    Unlabelled pixels count for no class, tables of another kind not for dining table.

    Args:
        pairs: auto-labels and truth of each photo, of the same size; at least one photo.
    """
    counts = {surface: _ClassCounts(surface) for surface in CLASSES}
    shown: list[tuple[int, int]] = []
    for auto, truth in pairs:
        labels = auto.labels()
        for of_class in counts.values():
            of_class.add(auto, labels, truth)
        known = counted_pixels(truth, CLASSES[0])
        shown.append((np.count_nonzero(known & ~auto.ignore_mask), np.count_nonzero(known)))
    return Comparison(
        len(shown),
        _ratio(*np.sum(shown, axis=0)),
        {surface.name: of_class.agreement() for surface, of_class in counts.items()},
        {surface.name: of_class.quality_groups() for surface, of_class in counts.items()},
        {surface.name: of_class.probability_groups() for surface, of_class in counts.items() if of_class.is_soft},
    )


class _ClassCounts:
    """Counts of one class in each photo: pixels, segments by quality, pixels by probability."""

    def __init__(self, surface: SurfaceClass) -> None:
        self._surface = surface
        self._pixels: list[Counts] = []
        self._by_quality: list[Counts] = []
        self._by_probability: list[Counts] = []

    @property
    def is_soft(self) -> bool:
        """Whether all photos have soft labels."""
        return len(self._by_probability) == len(self._pixels)

    def add(self, auto: ScoredLabels, labels: Labels, truth: Labels) -> None:
        class_id = self._surface.coco_id
        counted = counted_pixels(truth, self._surface)
        found, real = labels.semantic == class_id, truth.semantic == class_id
        parts = (found & real, found & ~real & counted, real & ~found & ~auto.ignore_mask, real & auto.ignore_mask)
        self._pixels.append(np.array([np.count_nonzero(part) for part in parts], np.float64))
        self._by_quality.append(self._count_segments(auto, counted, real))
        if auto.soft_labels is not None:
            probabilities = _probabilities_at(auto.soft_labels[class_id], found & counted)
            self._by_probability.append(_group(probabilities, real[found & counted], PROBABILITY_EDGES))

    def _count_segments(self, auto: ScoredLabels, counted: Mask, real: Mask) -> Counts:
        qualities, precisions = [], []
        for segment in auto.segments:
            mask = segment.detection.mask & counted
            if segment.detection.surface is self._surface and mask.any():
                qualities.append(segment_quality(segment))
                precisions.append(float(real[mask].mean()))
        return _group(np.array(qualities), precisions, QUALITY_EDGES)

    def agreement(self) -> ClassAgreement:
        values, intervals = {}, {}
        for name, statistic in _STATISTICS.items():
            values[name], intervals[name] = _estimate(self._pixels, statistic)
        error = None
        if self.is_soft:
            error, intervals["calibration_error"] = _estimate(self._by_probability, _calibration_error)
        segments = int(np.sum(self._by_quality, axis=0)[:, 0].sum())
        return ClassAgreement(**values, segments=segments, calibration_error=error, intervals=intervals)

    def quality_groups(self) -> list[QualityGroup]:
        counts = np.stack(self._by_quality, axis=1)
        return [
            QualityGroup(least, int(group[:, 0].sum()), *_estimate(group, _precision_of_group))
            for least, group in zip(QUALITY_EDGES, counts, strict=False)
        ]

    def probability_groups(self) -> list[ProbabilityGroup]:
        groups = []
        for least, group in zip(PROBABILITY_EDGES, np.stack(self._by_probability, axis=1), strict=False):
            pixels, _, total = group.sum(axis=0)
            precision = _estimate(group, _precision_of_group)
            groups.append(ProbabilityGroup(least, int(pixels), _ratio(total, pixels), *precision))
        return groups


def _group(values: Counts, precisions: npt.ArrayLike, edges: tuple[float, ...]) -> Counts:
    """(groups, 3): the number of values in each group, the sum of their precisions, and their own sum."""
    groups = len(edges) - 1
    which = np.clip(np.digitize(values, edges) - 1, 0, groups - 1)
    weights = (np.ones_like(values), np.asarray(precisions, np.float64), values)
    return np.stack([np.bincount(which, weight, groups) for weight in weights], axis=1)


def _probabilities_at(plane: npt.NDArray[np.uint8], pixels: Mask) -> Counts:
    """Probabilities (h, w) in 255ths at the pixels (bool HxW) of a photo."""
    height, width = pixels.shape
    probabilities = plane.astype(np.float32) / np.float32(255)
    upsampled = upsample_window(probabilities, (height, width), 0, 0, width, height)
    return upsampled[pixels].astype(np.float64)


Statistic = Callable[[Counts], Counts]
"""From counts summed over photos (…, …) to numbers (…); NaN without any counts."""


def _estimate(photos: Sequence[Counts] | Counts, statistic: Statistic) -> tuple[float | None, Interval]:
    counts = np.asarray(photos)
    value = float(statistic(counts.sum(axis=0)))
    if np.isnan(value):
        return None, (None, None)
    low, high = percentile_interval(statistic(bootstrap_sums(counts)))
    return value, (round(low, 6), round(high, 6))


def _share_of_pixels(*others: int) -> Statistic:
    """The share of the first of (…, 4) sums (right, wrong, missed, ignored) in it and some others."""
    return lambda sums: _share(sums[..., 0], sums[..., [0, *others]].sum(axis=-1))


_STATISTICS: Mapping[str, Statistic] = {
    "precision": _share_of_pixels(1),
    "recall": _share_of_pixels(2, 3),
    "iou": _share_of_pixels(1, 2, 3),
    "iou_sure": _share_of_pixels(1, 2),
}


def _precision_of_group(sums: Counts) -> Counts:
    return _share(sums[..., 1], sums[..., 0])


def _calibration_error(sums: Counts) -> Counts:
    """Of groups (…, groups, 3)."""
    return _share(np.abs(sums[..., 1] - sums[..., 2]).sum(axis=-1), sums[..., 0].sum(axis=-1))


def _share(part: Counts, whole: Counts) -> Counts:
    with np.errstate(invalid="ignore"):
        return np.asarray(part / whole)


def _ratio(part: float, whole: float) -> float | None:
    return float(part / whole) if whole else None


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _with_interval(value: float | None, interval: Interval) -> str:
    low, high = interval
    return f"{_number(value)} " + (f"({_number(low)}-{_number(high)})" if low is not None else "")


def _group_names(edges: tuple[float, ...]) -> str:
    return "  ".join(f"{least:g}-{most:g}" for least, most in pairwise(edges))
