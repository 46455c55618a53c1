"""Records of the label store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from surfaces.classes import IGNORE, OTHER, SurfaceClass
from surfaces.datasets.sample import ALL_LABELLED, Labels, LabelScope
from surfaces.datasets.sample import MAX_TABLES as MAX_TABLES
from surfaces.detections import Detection, Mask
from surfaces.errors import DatasetError
from surfaces.masks.rle import Rle

IMAGE_LABELS = "image_labels"
"""The quality score that is below 1 where labels contradict what is known of the photo as a whole."""


class SettingsChangedError(DatasetError):
    """The store's labels were made with other settings."""

    exit_code = 12


@dataclass(frozen=True, eq=False)
class ScoredSegment:
    """A segment and its quality.

    Attributes:
        quality_scores: from 0 to 1 by name, 1 is best: `detector` or `belief` (the score), `predicted_iou`,
            `stability`, `agreement`; those that the teacher does not have are absent.
    """

    detection: Detection
    quality_scores: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class ScoredLabels:
    """The labels of a photo: every pixel has one class, is none of them, or is ignored.

    Attributes:
        segments: at most one wall, at most one floor, then tables by descending score; masks are not empty, and overlap
            neither one another nor `ignore_mask`.
        ignore_mask: bool HxW: unlabelled pixels, left out of training and evaluation.
        quality_scores: of the whole photo from 0 to 1 by name, 1 is best: `score` (the order of the review queue),
            `worst_segment`, `sure_share`, `flips`, `backends`, `image_labels`; those that are not known are absent.
        soft_labels: the class probabilities, as in `Labels`; None where there are none.
        scope: classes that are known to be absent from the photo, or present, beside the labels.
    """

    segments: tuple[ScoredSegment, ...]
    ignore_mask: Mask
    quality_scores: Mapping[str, float] = field(default_factory=dict)
    soft_labels: npt.NDArray[np.uint8] | None = None
    scope: LabelScope = ALL_LABELLED

    def labels(self) -> Labels:
        """The label maps for training."""
        semantic = np.where(self.ignore_mask, IGNORE, OTHER).astype(np.uint8)
        tables = np.zeros(semantic.shape, np.uint8)
        for segment in self.segments:
            found = segment.detection
            semantic[found.mask] = found.surface.coco_id
            if found.surface.is_thing:
                tables[found.mask] = tables.max() + 1
        return Labels(semantic, tables, self.soft_labels, self._label_scope())

    def _label_scope(self) -> LabelScope:
        """A class that is present but has no segment is unlabelled; one that has segments is not absent."""
        drawn = {segment.detection.surface.coco_id for segment in self.segments}
        return LabelScope(self.scope.present - drawn, self.scope.absent - drawn, self.scope.present)


@dataclass(frozen=True)
class Source:
    """A location of a photo.

    Attributes:
        path: absolute, or a URL of object storage (`surfaces.io.storage`).
        name: the path relative to its corpus, or to its bucket, without suffix, with forward slashes.
        corpus: the folder or manifest that lists it, absolute.
    """

    path: str
    name: str
    corpus: str


@dataclass(frozen=True)
class LabelSettings:
    """The settings that labels were made with; the fingerprint changes whenever labels may, details are for people."""

    fingerprint: str
    teacher: str
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class StoredPhoto:
    """A labelled photo, without its masks.

    Attributes:
        sha256: of the photo's file, 64 hexadecimal digits.
        name: unique in the store: the name of the source, with the first digits of the sha256 where several share it.
        source: absolute path or URL, the first by sort order of several.
        width: pixels, EXIF orientation applied, as `height`.
        origin: `auto` or `reviewed`.
        reviewer: empty for automatic labels.
        teacher: its name, of reviewed labels that of the labels before.
        settings: the fingerprint of the teacher's settings.
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
    """A segment, its mask still packed; fields as in `Detection` and `ScoredSegment`, the area in pixels."""

    surface: SurfaceClass
    score: float
    box_xyxy: npt.NDArray[np.float32]
    area: int
    quality_scores: dict[str, float]
    rle: Rle


@dataclass(frozen=True)
class StoredFailure:
    """A photo that was not labelled: its path, a one-line reason, and a kind to group by, such as `unreadable`."""

    source: str
    reason: str
    kind: str


@dataclass(frozen=True)
class StoreCounts:
    """Numbers of a store's contents.

    Attributes:
        photos: labelled ones, each counted once.
        reviewed: those of them with a person's labels.
        duplicates: further paths of the same photos.
        gone: labelled photos without a known path, which count nowhere else.
        failures: unlabelled paths by kind.
        segments: by the name of their class.
        settings: photos by the fingerprint of their labels' settings.
    """

    photos: int
    reviewed: int
    duplicates: int
    gone: int
    failures: dict[str, int]
    segments: dict[str, int]
    settings: dict[str, int]
