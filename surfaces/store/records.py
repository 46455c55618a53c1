"""What a label store holds, as its readers and writers see it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from surfaces.classes import IGNORE, OTHER, SurfaceClass
from surfaces.datasets.sample import Labels
from surfaces.detections import Detection, Mask
from surfaces.errors import DatasetError
from surfaces.masks.rle import Rle

MAX_TABLES = 254
"""Of one photo: label maps have a byte for a table's number."""


@dataclass(frozen=True, eq=False)
class ScoredSegment:
    """One segment and how far it can be trusted.

    Attributes:
        detection: class, score, box and mask.
        qualities: measures from 0 to 1 by name, 1 is best: `detector` or `belief` (the score), `predicted_iou`,
            `stability`, `agreement`; those that the teacher does not know are absent.
    """

    detection: Detection
    quality_scores: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class ScoredLabels:
    """The labels of one photo: every pixel has one class, is none of them, or is unsure.

    Attributes:
        segments: at most one wall, at most one floor, then tables by descending score; masks are not empty, do not
            overlap one another, nor `unsure`.
        unsure: bool HxW: nobody vouches for these pixels; they are left out of training and scoring.
        qualities: measures of the whole photo from 0 to 1 by name, 1 is best: `score` (what the review queue is ordered
            by), `worst_segment`, `sure_share`, `flips`, `backends`; those that the teacher does not know are absent.
        belief: the dense probabilities behind them, as in `Labels`; None where a teacher or a person has none.
    """

    segments: tuple[ScoredSegment, ...]
    ignore_mask: Mask
    quality_scores: Mapping[str, float] = field(default_factory=dict)
    soft_labels: npt.NDArray[np.uint8] | None = None

    def labels(self) -> Labels:
        """The label maps that training reads."""
        semantic = np.where(self.ignore_mask, IGNORE, OTHER).astype(np.uint8)
        tables = np.zeros(semantic.shape, np.uint8)
        for segment in self.segments:
            found = segment.detection
            semantic[found.mask] = found.surface.coco_id
            if found.surface.is_thing:
                tables[found.mask] = tables.max() + 1
        return Labels(semantic, tables, self.soft_labels)


class SettingsChangedError(DatasetError):
    """The store's labels were made with other settings."""

    exit_code = 12


@dataclass(frozen=True)
class Source:
    """Where a photo was found.

    Attributes:
        path: absolute, or an address of object storage (`surfaces.io.storage`).
        name: the path relative to its corpus, or to its bucket, without suffix, with forward slashes.
        corpus: the folder or manifest that led to it, absolute.
    """

    path: str
    name: str
    corpus: str


@dataclass(frozen=True)
class LabelSettings:
    """What labels were made with.

    Attributes:
        fingerprint: changes whenever labels may.
        teacher: its name.
        details: whatever helps a person to tell settings apart, as JSON can hold it.
    """

    fingerprint: str
    teacher: str
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class StoredPhoto:
    """One labelled photo, without its masks.

    Attributes:
        sha256: of the photo's file, 64 hexadecimal digits.
        name: unique in the store: the name of the source; where several share it, with the first digits of the sha256.
        source: absolute path or address of the file, the first by sort order where several files are the same.
        width: pixels, EXIF orientation applied, as `height`.
        height: pixels.
        origin: `auto` or `reviewed`.
        reviewer: who reviewed it; empty where nobody did.
        teacher: the name of the teacher that labelled it (first, where it was reviewed).
        settings: the fingerprint of that teacher's settings.
        qualities: measures of the whole photo from 0 to 1 by name, as in `GradedLabels`.
    """

    sha256: str
    name: str
    source: str
    width: int
    height: int
    origin: str
    reviewer: str
    teacher: str
    settings: str
    quality_scores: dict[str, float]


@dataclass(frozen=True, eq=False)
class StoredSegment:
    """One segment, its mask still packed.

    Attributes:
        surface: its class.
        score: 0 to 1.
        box_xyxy: float32 (4,), absolute pixels, right and bottom exclusive.
        area: of the mask, pixels.
        qualities: as in `GradedSegment`.
        rle: the mask.
    """

    surface: SurfaceClass
    score: float
    box_xyxy: npt.NDArray[np.float32]
    area: int
    quality_scores: dict[str, float]
    rle: Rle


@dataclass(frozen=True)
class StoredFailure:
    """What was not labelled.

    Attributes:
        source: its path.
        reason: one line.
        kind: a word or two to group by, such as `unreadable`.
    """

    source: str
    reason: str
    kind: str


@dataclass(frozen=True)
class StoreCounts:
    """How much a store holds.

    Attributes:
        photos: labelled ones, each counted once.
        reviewed: those of them that a person vouches for.
        duplicates: further paths of the same photos.
        gone: labelled photos of which no path is known any more; they count nowhere else.
        failures: paths that were not labelled, by kind.
        segments: by the name of their class.
        settings: photos by the fingerprint of what labelled them.
    """

    photos: int
    reviewed: int
    duplicates: int
    gone: int
    failures: dict[str, int]
    segments: dict[str, int]
    settings: dict[str, int]
