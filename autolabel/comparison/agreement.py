"""Agreement of auto-labels with people's: counts per photo, summed, with bootstrap intervals over photos."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from autolabel.labelling.quality import segment_quality
from models.inference.postprocess import upsample
from surfaces.classes import CLASSES, OTHER_TABLE, SurfaceClass
from surfaces.datasets import Labels
from surfaces.metrics import bootstrap_sums, class_mask, confusion_matrix, counted_pixels, percentile_interval
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
    """Segments of one class with a quality from `least`; the precision is their mean share of pixels of the class."""

    least: float
    segments: int
    precision: float | None
    interval: Interval


@dataclass(frozen=True)
class ProbabilityGroup:
    """Pixels labelled as one class with a probability from `least`; `belief` is their mean probability."""

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
        lines = [f"{'class':<14}" + "".join(f"{name.replace('_', ' '):<21}" for name in _MEASURES) + "segments"]
        for name, agreement in self.classes.items():
            cells = (_with_interval(getattr(agreement, m), agreement.intervals[m]) for m in _MEASURES)
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
    pixels, by_quality, by_probability = [], [], []
    shown = np.zeros(2)
    for auto, truth in pairs:
        confusion = confusion_matrix([segment.detection for segment in auto.segments], truth)
        ignored = np.bincount(truth.semantic[auto.ignore_mask], minlength=OTHER_TABLE + 1)[: OTHER_TABLE + 1]
        shown += confusion[:, -1].sum() - ignored.sum(), confusion[:, -1].sum()
        pixels.append([_pixel_counts(confusion, ignored, surface) for surface in CLASSES])
        by_quality.append([_segments_by_quality(auto, truth, surface) for surface in CLASSES])
        if auto.soft_labels is not None:
            by_probability.append([_pixels_by_probability(auto, truth, surface) for surface in CLASSES])
    is_soft = len(by_probability) == len(pixels)
    classes, groups, belief_groups = {}, {}, {}
    for index, surface in enumerate(CLASSES):
        segments = np.array(by_quality)[:, index]
        soft = np.array(by_probability)[:, index] if is_soft else None
        classes[surface.name] = _agreement(np.array(pixels)[:, index], segments, soft)
        of_groups = zip(QUALITY_EDGES, segments.swapaxes(0, 1), strict=False)
        groups[surface.name] = [
            QualityGroup(least, int(group[:, 0].sum()), *_estimate(group, _group_precision))
            for least, group in of_groups
        ]
        if soft is not None:
            of_groups = zip(PROBABILITY_EDGES, soft.swapaxes(0, 1), strict=False)
            belief_groups[surface.name] = [_probability_group(least, group) for least, group in of_groups]
    return Comparison(len(pixels), _ratio(*shown), classes, groups, belief_groups)


def _pixel_counts(confusion: npt.NDArray[np.int64], ignored: npt.NDArray[np.int64], surface: SurfaceClass) -> list[int]:
    """Pixels that are labelled rightly, labelled, of the class, and of the class but ignored."""
    number = surface.coco_id
    counted = confusion[:OTHER_TABLE] if surface.is_thing else confusion
    return [confusion[number, number], counted[:, number].sum(), confusion[number, -1], ignored[number]]


def _segments_by_quality(auto: ScoredLabels, truth: Labels, surface: SurfaceClass) -> Counts:
    counted, real = counted_pixels(truth, surface), truth.semantic == surface.coco_id
    qualities, precisions = [], []
    for segment in auto.segments:
        mask = segment.detection.mask & counted
        if segment.detection.surface is surface and mask.any():
            qualities.append(segment_quality(segment))
            precisions.append(float(real[mask].mean()))
    return _group(np.array(qualities), precisions, QUALITY_EDGES)


def _pixels_by_probability(auto: ScoredLabels, truth: Labels, surface: SurfaceClass) -> Counts:
    assert auto.soft_labels is not None
    height, width = truth.size_hw
    found = class_mask([segment.detection for segment in auto.segments], surface, (height, width))
    found &= counted_pixels(truth, surface)
    probabilities = auto.soft_labels[surface.coco_id].astype(np.float32) / np.float32(255)
    upsampled = upsample(probabilities, height, width)
    return _group(upsampled[found].astype(np.float64), truth.semantic[found] == surface.coco_id, PROBABILITY_EDGES)


def _group(values: Counts, precisions: npt.ArrayLike, edges: tuple[float, ...]) -> Counts:
    """(groups, 3): the number of values in each group, the sum of their precisions, and their own sum."""
    groups = len(edges) - 1
    which = np.clip(np.digitize(values, edges) - 1, 0, groups - 1)
    weights = (np.ones_like(values), np.asarray(precisions, np.float64), values)
    return np.stack([np.bincount(which, weight, groups) for weight in weights], axis=1)


def _agreement(pixels: Counts, segments: Counts, soft: Counts | None) -> ClassAgreement:
    values, intervals, error = {}, {}, None
    for name, statistic in _MEASURES.items():
        values[name], intervals[name] = _estimate(pixels, statistic)
    if soft is not None:
        error, intervals["calibration_error"] = _estimate(soft, _calibration_error)
    return ClassAgreement(**values, segments=int(segments[..., 0].sum()), calibration_error=error, intervals=intervals)


def _probability_group(least: float, group: Counts) -> ProbabilityGroup:
    pixels, _, total = group.sum(axis=0)
    return ProbabilityGroup(least, int(pixels), _ratio(total, pixels), *_estimate(group, _group_precision))


Statistic = Callable[[Counts], Counts]
"""From counts summed over photos (…, …) to numbers (…); NaN without any counts."""


def _estimate(photos: Counts, statistic: Statistic) -> tuple[float | None, Interval]:
    value = float(statistic(photos.sum(axis=0)))
    if np.isnan(value):
        return None, (None, None)
    low, high = percentile_interval(statistic(bootstrap_sums(photos)))
    return value, (round(low, 6), round(high, 6))


_MEASURES: Mapping[str, Statistic] = {
    "precision": lambda sums: _share(sums[..., 0], sums[..., 1]),
    "recall": lambda sums: _share(sums[..., 0], sums[..., 2]),
    "iou": lambda sums: _share(sums[..., 0], sums[..., 1] + sums[..., 2] - sums[..., 0]),
    "iou_sure": lambda sums: _share(sums[..., 0], sums[..., 1] + sums[..., 2] - sums[..., 0] - sums[..., 3]),
}


def _group_precision(sums: Counts) -> Counts:
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
