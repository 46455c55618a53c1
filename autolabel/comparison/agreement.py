"""How far labels agree with people's: counted in each photo, summed up with bootstrap intervals over photos."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from autolabel.labelling.quality import segment_quality
from models.inference.postprocess import upsampled_window
from surfaces.classes import CLASSES, SurfaceClass
from surfaces.datasets import Labels
from surfaces.detections import Mask
from surfaces.metrics import bootstrap_sums, percentile_interval
from surfaces.metrics.regions import counted_pixels
from surfaces.store.records import ScoredLabels

QUALITY_EDGES = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""Segments are grouped by their quality between these; each group includes its lower edge, the last both."""

BELIEF_EDGES = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)
"""Labelled pixels are grouped likewise by the belief in their class."""

Counts = npt.NDArray[np.float64]
Interval = tuple[float | None, float | None]
"""95 % bootstrap interval over photos; None where it is not defined."""


@dataclass(frozen=True)
class ClassAgreement:
    """Auto-labels of one class against people's; all but the count are from 0 to 1, None where nothing is counted.

    Attributes:
        precision: of the labelled pixels, how many are of the class.
        recall: of the class's pixels, how many are labelled so.
        iou: intersection over union, unsure pixels counted as missed.
        iou_sure: intersection over union of the sure pixels: what training sees.
        segments: how many were labelled.
        calibration_error: expected calibration error (Naeini et al., 2015) of the belief in the labelled pixels.
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
    """Segments of one class and of similar quality.

    Attributes:
        least: quality from which they belong to the group.
        segments: how many there are.
        precision: mean share of a segment's pixels that are of its class; None where there is none.
        interval: of the precision.
    """

    least: float
    segments: int
    precision: float | None
    interval: Interval


@dataclass(frozen=True)
class BeliefGroup:
    """Pixels that were labelled as one class with similar belief.

    Attributes:
        least: belief in the class from which they belong to the group.
        pixels: how many there are.
        belief: their mean belief; None where there is none.
        precision: share of them that are of the class.
        interval: of the precision.
    """

    least: float
    pixels: int
    semantic: float | None
    precision: float | None
    interval: Interval


@dataclass(frozen=True)
class Comparison:
    """How good auto-labels are.

    Attributes:
        photos: how many were compared.
        sure_share: share of the pixels that people labelled on which auto-labels are sure.
        classes: by the class's name.
        groups: segments by the class's name, ascending quality.
        belief_groups: pixels by the class's name, ascending belief; empty where the teacher has none.
    """

    photos: int
    sure_share: float | None
    classes: dict[str, ClassAgreement]
    groups: dict[str, list[QualityGroup]]
    belief_groups: dict[str, list[BeliefGroup]]

    def table(self) -> str:
        """The comparison as lines for a terminal."""
        measures = ("precision", "recall", "iou", "iou_sure")
        lines = [f"{'class':<14}" + "".join(f"{name.replace('_', ' '):<21}" for name in measures) + "segments"]
        for name, agreement in self.classes.items():
            parts = (f"{_told(getattr(agreement, m))} {_ends(agreement.intervals[m])}" for m in measures)
            lines.append(f"{name:<14}" + "".join(f"{part:<21}" for part in parts) + str(agreement.segments))
        lines += ["", f"precision of a segment by its quality (segments): {'  '.join(_group_names(QUALITY_EDGES))}"]
        for name, groups in self.groups.items():
            parts = (f"{_told(g.precision)} ({g.segments})" if g.segments else "-" for g in groups)
            lines.append(f"{name:<14}" + "  ".join(parts))
        if self.belief_groups:
            lines += ["", f"precision of pixels by the belief in their class: {'  '.join(_group_names(BELIEF_EDGES))}"]
        for name, of_pixels in self.belief_groups.items():
            error = _told(self.classes[name].calibration_error)
            lines.append(
                f"{name:<14}" + "  ".join(_told(g.precision) for g in of_pixels) + f"  calibration error {error}"
            )
        return "\n".join([*lines, "", f"{self.photos} photos, sure of {_told(self.sure_share)} of the pixels"])


def compare(pairs: Iterable[tuple[ScoredLabels, Labels]]) -> Comparison:
    """Compares auto-labels with people's, photo by photo.

    Pixels that nobody labelled count for no class, tables of another kind not for dining table.

    Args:
        pairs: of each photo the auto-labels and the truth, of one size; at least one photo.
    """
    counts = {surface: _Counts() for surface in CLASSES}
    sure: list[list[int]] = []
    for auto, truth in pairs:
        said = auto.labels()
        for surface, of_class in counts.items():
            of_class.add(surface, auto, said, truth)
        known = counted_pixels(truth, CLASSES[0])
        sure.append([_pixels(known & ~auto.ignore_mask), _pixels(known)])
    return Comparison(
        len(sure),
        _ratio(*np.sum(sure, axis=0)),
        {surface.name: of_class.agreement() for surface, of_class in counts.items()},
        {surface.name: of_class.quality_groups() for surface, of_class in counts.items()},
        {surface.name: of_class.belief_groups() for surface, of_class in counts.items() if of_class.believed},
    )


class _Counts:
    """Pixels of one class and segments by quality, of each photo."""

    def __init__(self) -> None:
        self._pixels: list[Counts] = []
        self._qualities: list[Counts] = []
        self._beliefs: list[Counts] = []

    @property
    def believed(self) -> bool:
        """Whether all photos have a belief."""
        return len(self._beliefs) == len(self._pixels)

    def add(self, surface: SurfaceClass, auto: ScoredLabels, said: Labels, truth: Labels) -> None:
        counted = counted_pixels(truth, surface)
        found, real = said.semantic == surface.coco_id, truth.semantic == surface.coco_id
        parts = (found & real, found & ~real & counted, real & ~found & ~auto.ignore_mask, real & auto.ignore_mask)
        self._pixels.append(np.array([_pixels(part) for part in parts], np.float64))
        self._qualities.append(_quality_counts(surface, auto, counted, real))
        if auto.semantic is not None:
            semantic = _belief_in(auto.semantic[surface.coco_id], found & counted)
            self._beliefs.append(_grouped(semantic, real[found & counted].astype(np.float64), BELIEF_EDGES))

    def agreement(self) -> ClassAgreement:
        values, intervals = {}, {}
        for name, statistic in _STATISTICS.items():
            values[name], intervals[name] = _estimate(np.stack(self._pixels), statistic)
        error = None
        if self.believed:
            error, intervals["calibration_error"] = _estimate(np.stack(self._beliefs), _calibration_error)
        segments = int(np.sum(self._qualities, axis=0)[:, 0].sum())
        return ClassAgreement(**values, segments=segments, calibration_error=error, intervals=intervals)

    def quality_groups(self) -> list[QualityGroup]:
        counts = np.stack(self._qualities)
        return [
            QualityGroup(least, int(counts[:, number, 0].sum()), *_estimate(counts[:, number], _precision_of_group))
            for number, least in enumerate(QUALITY_EDGES[:-1])
        ]

    def belief_groups(self) -> list[BeliefGroup]:
        counts = np.stack(self._beliefs)
        groups = []
        for number, least in enumerate(BELIEF_EDGES[:-1]):
            pixels, _, semantic = counts[:, number].sum(axis=0)
            precision = _estimate(counts[:, number], _precision_of_group)
            groups.append(BeliefGroup(least, int(pixels), _ratio(semantic, pixels), *precision))
        return groups


def _quality_counts(surface: SurfaceClass, auto: ScoredLabels, counted: Mask, real: Mask) -> Counts:
    quality_scores, precisions = [], []
    for segment in auto.segments:
        mask = segment.detection.mask & counted
        if segment.detection.surface is surface and mask.any():
            quality_scores.append(segment_quality(segment))
            precisions.append(float(real[mask].mean()))
    return _grouped(np.array(quality_scores), np.array(precisions), QUALITY_EDGES)


def _grouped(values: Counts, precisions: Counts, edges: tuple[float, ...]) -> Counts:
    """(groups, 3): of each group the number of values, the sum of their precisions, and their own sum."""
    groups = len(edges) - 1
    which = np.clip(np.digitize(values, edges) - 1, 0, groups - 1)
    sums = [np.bincount(which, weights, groups) for weights in (np.ones_like(values), precisions, values)]
    return np.stack(sums, axis=1)


def _belief_in(plane: npt.NDArray[np.uint8], pixels: Mask) -> Counts:
    """The belief (h, w) of 255ths at the pixels of a photo, HxW."""
    height, width = pixels.shape
    semantic = upsampled_window(plane.astype(np.float32) / np.float32(255), (height, width), 0, 0, width, height)
    return semantic[pixels].astype(np.float64)


Statistic = Callable[[Counts], Counts]
"""From counts summed over photos (…, …) to numbers (…); NaN where nothing was counted."""


def _estimate(photos: Counts, statistic: Statistic) -> tuple[float | None, Interval]:
    value = float(statistic(photos.sum(axis=0)))
    if np.isnan(value):
        return None, (None, None)
    low, high = percentile_interval(statistic(bootstrap_sums(photos)))
    return value, (round(low, 6), round(high, 6))


def _share_of_pixels(part: tuple[int, ...], rest: tuple[int, ...]) -> Statistic:
    """A share of sums (…, 4): right, wrong, missed, doubted."""
    return lambda sums: _share(sums[..., list(part)].sum(axis=-1), sums[..., [*part, *rest]].sum(axis=-1))


_STATISTICS = {
    "precision": _share_of_pixels((0,), (1,)),
    "recall": _share_of_pixels((0,), (2, 3)),
    "iou": _share_of_pixels((0,), (1, 2, 3)),
    "iou_sure": _share_of_pixels((0,), (1, 2)),
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


def _pixels(mask: npt.NDArray[np.bool_]) -> int:
    return int(np.count_nonzero(mask))


def _told(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _ends(interval: Interval) -> str:
    return f"({_told(interval[0])}-{_told(interval[1])})" if interval[0] is not None else ""


def _group_names(edges: tuple[float, ...]) -> list[str]:
    return [f"{least:g}-{most:g}" for least, most in pairwise(edges)]
