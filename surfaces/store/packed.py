"""A photo's labels in the form in which the label store keeps them: masks as RLE counts, soft labels as a PNG file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import astuple, dataclass

import numpy as np

from surfaces.datasets.codec import encode_soft_labels
from surfaces.datasets.sample import ALL_LABELLED, LabelScope
from surfaces.detections import Mask
from surfaces.masks.rle import encode
from surfaces.store.database import Database
from surfaces.store.records import ScoredLabels, ScoredSegment


@dataclass(frozen=True)
class PackedSegment:
    """A segment: the sides of its box and its area in pixels, its quality scores as JSON, its mask as RLE counts."""

    class_name: str
    score: float
    x0: float
    y0: float
    x1: float
    y1: float
    area: int
    quality_scores: str
    mask: str


@dataclass(frozen=True)
class PackedLabels:
    """A photo's labels: its size in pixels, quality scores as JSON, ignored pixels as RLE counts, soft labels or None.

    The scope is that of `ScoredLabels`.
    """

    width: int
    height: int
    quality_scores: str
    ignore_mask: str
    soft_labels: bytes | None
    segments: tuple[PackedSegment, ...]
    scope: LabelScope = ALL_LABELLED


def pack_labels(labels: ScoredLabels) -> PackedLabels:
    """Packs a photo's labels; equal labels give equal bytes."""
    height, width = labels.ignore_mask.shape
    soft_labels = None if labels.soft_labels is None else encode_soft_labels(labels.soft_labels)
    segments = tuple(map(_pack_segment, labels.segments))
    qualities, ignored = _json(labels.quality_scores), _counts(labels.ignore_mask)
    return PackedLabels(width, height, qualities, ignored, soft_labels, segments, labels.scope)


def write_labels(
    database: Database, sha256: str, labels: PackedLabels, origin: str, reviewer: str, settings: str
) -> None:
    """Replaces a photo's labels in a store, within a transaction; `origin` is `auto` or `reviewed`."""
    database.run("DELETE FROM segments WHERE sha256 = ?", sha256)
    database.run(
        "INSERT INTO photos VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (sha256) DO UPDATE SET origin ="
        " excluded.origin, reviewer = excluded.reviewer, settings = excluded.settings, qualities ="
        " excluded.qualities, unsure = excluded.unsure, belief = excluded.belief",
        *(sha256, labels.width, labels.height, origin, reviewer, settings),
        *(labels.quality_scores, labels.ignore_mask, labels.soft_labels),
    )
    for number, segment in enumerate(labels.segments):
        database.run("INSERT INTO segments VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", sha256, number, *astuple(segment))


def _pack_segment(segment: ScoredSegment) -> PackedSegment:
    found = segment.detection
    x0, y0, x1, y1 = map(float, found.box_xyxy)
    return PackedSegment(
        found.surface.name,
        float(found.score),
        *(x0, y0, x1, y1),
        int(np.count_nonzero(found.mask)),
        _json(segment.quality_scores),
        _counts(found.mask),
    )


def _json(quality_scores: Mapping[str, float]) -> str:
    return json.dumps({name: float(value) for name, value in quality_scores.items()}, sort_keys=True)


def _counts(mask: Mask) -> str:
    counts = encode(mask)["counts"]
    assert isinstance(counts, str)
    return counts
