"""Candidates for review and their measurements: expected areas and errors, borders, layout and colours."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from surfaces.classes import NUM_CHANNELS
from surfaces.detections import Image
from surfaces.errors import DatasetError, DecodeError
from surfaces.images.load import check_photo
from surfaces.store.label_store import LabelStore
from surfaces.store.records import IMAGE_LABELS, ScoredLabels

Floats = npt.NDArray[np.float32]

LONGEST_SIDE = 96
"""Of the raster on which photos are measured, so that lengths in photos of all sizes are comparable."""

_LAYOUT_CELLS = 6
_COLOUR_CELLS = 6


@dataclass(frozen=True, eq=False)
class Candidate:
    """A photo that nobody has reviewed.

    Attributes:
        score: quality of its labels, 0 to 1, 1 is best.
        disagreement: between teachers, or between views of the photo, 0 to 1: 1 minus the lower of the quality scores
            `backends` and `flips`; None if the teacher reports neither.
        class_shares: float32 (4,), expected share of the photo that is other, wall, floor, dining table.
        class_errors: float32 (4,), expected share of the photo on which each of them is wrong.
        border_share: share of pixels at a border between classes, on a raster of `LONGEST_SIDE`.
        tables: number of dining tables in its labels.
        descriptor: float32 (D,); distances are small between photos that look alike.
        contradicts: whether its labels contradict what is known of the photo as a whole.
    """

    sha256: str
    score: float
    disagreement: float | None
    class_shares: Floats
    class_errors: Floats
    border_share: float
    tables: int
    descriptor: Floats
    contradicts: bool = False


def read_candidates(store: LabelStore) -> list[Candidate]:
    """The unreviewed photos of a store, by ascending sha256; about a kilobyte each."""
    candidates = []
    for photo in store.photos():
        if photo.origin != "reviewed":
            try:
                data = store.read_photo(photo)
            except DatasetError:  # reported once the photo is to be shown
                data = b""
            candidates.append(measure_candidate(photo.sha256, store.labels(photo.sha256), data))
    return candidates


def measure_candidate(sha256: str, labels: ScoredLabels, photo: bytes) -> Candidate:
    """Measures a photo, given by its labels and its file, which may be empty."""
    soft_labels = soft_label_raster(labels)
    agreements = [labels.quality_scores[name] for name in ("backends", "flips") if name in labels.quality_scores]
    classes = soft_labels.argmax(axis=0)
    # The chosen class is wrong with probability 1 - p; each other class is missed with its probability p.
    chosen = classes == np.arange(NUM_CHANNELS)[:, None, None]
    return Candidate(
        sha256,
        labels.quality_scores.get("score", 0.0),
        1 - min(agreements) if agreements else None,
        np.asarray(soft_labels.mean(axis=(1, 2)), np.float32),
        np.asarray(np.where(chosen, 1 - soft_labels, soft_labels).mean(axis=(1, 2)), np.float32),
        _border_share(classes),
        sum(segment.detection.surface.is_thing for segment in labels.segments),
        _descriptor(soft_labels, photo),
        labels.quality_scores.get(IMAGE_LABELS, 1.0) < 1,
    )


def soft_label_raster(labels: ScoredLabels) -> Floats:
    """Class probabilities of a photo's labels, on a raster whose longer side is at most `LONGEST_SIDE`.

    Labels without soft labels are converted: a segment has its score, the rest is "other"; ignored pixels have equal
    probabilities, and all remaining ones are certainly "other".

    Returns:
        float32 (4, h, w): other, wall, floor, dining table; sums to 1.
    """
    height, width = labels.ignore_mask.shape
    scale = min(1.0, LONGEST_SIDE / max(height, width))
    rows, columns = (max(1, round(side * scale)) for side in (height, width))
    if labels.soft_labels is not None:
        given = labels.soft_labels.transpose(1, 2, 0).astype(np.float32)
        small = cv2.resize(given, (columns, rows), interpolation=cv2.INTER_AREA).transpose(2, 0, 1)
        return np.asarray(small / np.maximum(small.sum(axis=0), 1), np.float32)
    sampled = np.ix_(_cell_centres(rows, height), _cell_centres(columns, width))
    soft_labels = np.zeros((NUM_CHANNELS, rows, columns), np.float32)
    soft_labels[0] = 1
    for segment in labels.segments:
        found = segment.detection
        inside = found.mask[sampled]
        soft_labels[0, inside] = 1 - found.score
        soft_labels[found.surface.coco_id, inside] = found.score
    soft_labels[:, labels.ignore_mask[sampled]] = 1 / NUM_CHANNELS
    return soft_labels


def _border_share(classes: npt.NDArray[np.intp]) -> float:
    border = np.zeros(classes.shape, bool)
    border[:, :-1] |= classes[:, :-1] != classes[:, 1:]
    border[:-1] |= classes[:-1] != classes[1:]
    return float(border.mean())


def _descriptor(soft_labels: Floats, photo: bytes) -> Floats:
    """Class shares and Lab colours of coarse cells, 0 to 1; without colours if the photo cannot be decoded."""
    layout = _cell_means(soft_labels.transpose(1, 2, 0), _LAYOUT_CELLS)
    small = cv2.resize(_decode_reduced(photo), (4 * _COLOUR_CELLS, 4 * _COLOUR_CELLS), interpolation=cv2.INTER_AREA)
    colours = np.divide(cv2.cvtColor(small, cv2.COLOR_BGR2LAB), 255, dtype=np.float32)
    return np.concatenate([layout, _cell_means(colours, _COLOUR_CELLS)])


def _decode_reduced(photo: bytes) -> Image:
    """A photo in BGR at an eighth of its size, which JPEG decodes fastest; grey if it is none, or over the limits."""
    try:
        check_photo(photo)
    except DecodeError:
        pixels = None
    else:
        pixels = cv2.imdecode(np.frombuffer(photo, np.uint8), cv2.IMREAD_REDUCED_COLOR_8)
    return np.full((1, 1, 3), 127, np.uint8) if pixels is None else np.asarray(pixels, np.uint8)


def _cell_means(planes: Floats, cells: int) -> Floats:
    return np.asarray(cv2.resize(planes, (cells, cells), interpolation=cv2.INTER_AREA), np.float32).ravel()


def _cell_centres(count: int, side: int) -> npt.NDArray[np.intp]:
    return ((np.arange(count) + 0.5) * side / count).astype(np.intp)
