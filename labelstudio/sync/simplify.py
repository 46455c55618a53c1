"""Labels made light enough to be shown and edited in a browser, and no lighter."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from labelstudio.sync.regions import prediction_of
from surfaces.detections import Detection, Mask, box_of_mask
from surfaces.store.records import ScoredLabels, ScoredSegment

MOST_BYTES = 2_000_000
"""Of a prediction's JSON. Labels of real photos take 40 to 180 kB, at 12 megapixels 0.4 to 0.6 MB."""

_PART_SHARES = (1e-5, 4e-5, 1.6e-4, 6.4e-4)
"""Of the photo: parts below are absorbed; the smallest share that makes the labels light enough is taken."""

_MOST_ABSORBED = 0.01
"""Of the photo: labels in which small parts have more than that are noise, and nobody knows what they lie in."""

Parts = npt.NDArray[np.uint16]
"""uint16 HxW, a partition of the photo: 0 other, k the k-th segment, one more unsure."""


@dataclass(frozen=True, eq=False)
class Cleaned:
    """Labels as they are pushed.

    Attributes:
        labels: the very ones that were given, where they were light already.
        changed_pixels: how many pixels have another class than before, or are sure, or unsure, instead.
        note: how they were cleaned, in a few words; empty where they were not.
    """

    labels: ScoredLabels
    changed_pixels: int = 0
    note: str = ""


def clean_labels(labels: ScoredLabels, most_bytes: int = MOST_BYTES) -> Cleaned:
    """Labels whose prediction stays below a size; those that are below it already stay exactly as they are.

    Else small connected parts, be they specks of a segment, of unsure or of other (pinholes), become what they lie in:
    the nearest part that is kept. They do not become unsure, since unsure pixels are a region that is sent as well, and
    would have the same outline. The largest part of each segment is always kept, and at most 1 % of the photo changed.
    Where that is not enough (labels like noise or combs), the photo is taken in squares, twice as large each time, and
    those that hold several classes become unsure. Either way the reviewer sees what they accept: the cleaned labels are
    the prediction.

    Args:
        labels: of the photo's own size.
        most_bytes: of the prediction's JSON.

    Returns:
        The labels, and what was changed. Cleaning them again changes nothing.
    """
    if _is_light(labels, most_bytes):
        return Cleaned(labels)
    before = _parts_of(labels)
    cleaned = Cleaned(labels)
    for parts, note in _ever_coarser(before, ignore_mask=len(labels.segments) + 1):
        cleaned = Cleaned(_with_parts(labels, parts), int(np.count_nonzero(parts != before)), note)
        if _is_light(cleaned.labels, most_bytes):
            break
    return cleaned


def _is_light(labels: ScoredLabels, most_bytes: int) -> bool:
    return len(json.dumps(prediction_of(labels, ""))) <= most_bytes


def _parts_of(labels: ScoredLabels) -> Parts:
    parts = np.zeros(labels.ignore_mask.shape, np.uint16)
    for number, segment in enumerate(labels.segments, 1):
        parts[segment.detection.mask] = number
    parts[labels.ignore_mask] = len(labels.segments) + 1
    return parts


def _with_parts(labels: ScoredLabels, parts: Parts) -> ScoredLabels:
    segments = (_with_mask(segment, parts == number) for number, segment in enumerate(labels.segments, 1))
    kept = tuple(segment for segment in segments if segment.detection.mask.any())
    return replace(labels, segments=kept, ignore_mask=parts == len(labels.segments) + 1)


def _with_mask(segment: ScoredSegment, mask: Mask) -> ScoredSegment:
    found = segment.detection
    return replace(segment, detection=Detection(found.surface, found.score, box_of_mask(mask), mask))


def _ever_coarser(parts: Parts, ignore_mask: int) -> Iterator[tuple[Parts, str]]:
    """Partitions, each coarser than the one before, and how they came about."""
    given = parts
    for share in _PART_SHARES:
        coarser = _without_small(parts, share * parts.size)
        if np.count_nonzero(coarser != given) > _MOST_ABSORBED * parts.size:
            break
        parts = coarser
        yield parts, f"parts below {share:.4%} of the photo absorbed"
    side = 1
    while side < max(parts.shape):
        side *= 2
        yield _in_squares(parts, side, ignore_mask), f"squares of {side} pixels that hold several classes made unsure"


def _without_small(parts: Parts, least_area: float) -> Parts:
    """The partition whose connected parts of less than an area belong to the nearest one that is kept."""
    small = np.zeros(parts.shape, np.bool_)
    for number in np.unique(parts):
        _, found, stats, _ = cv2.connectedComponentsWithStats((parts == number).astype(np.uint8), connectivity=8)
        areas = stats[:, cv2.CC_STAT_AREA]
        areas[0] = 0
        absorbed = areas < least_area
        absorbed[[0, areas.argmax()]] = False
        small |= absorbed[found]
    _, nearest = cv2.distanceTransformWithLabels(
        small.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    kept = np.zeros(int(nearest.max()) + 1, np.uint16)
    kept[nearest[~small]] = parts[~small]
    absorbing: Parts = kept[nearest]
    return absorbing


def _in_squares(parts: Parts, side: int, ignore_mask: int) -> Parts:
    """The partition in which squares of several kinds are unsure."""
    rows, columns = (np.arange(0, length, side) for length in parts.shape)
    least, most = (
        extreme.reduceat(extreme.reduceat(parts, rows, axis=0), columns, axis=1) for extreme in (np.minimum, np.maximum)
    )
    mixed = np.repeat(np.repeat(least != most, side, axis=0), side, axis=1)[: parts.shape[0], : parts.shape[1]]
    return np.where(mixed, np.uint16(ignore_mask), parts)
