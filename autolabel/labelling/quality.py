"""Quality scores of segments and photos, from 0 to 1; the review queue is ordered by them.

    quality of a segment = geometric mean of (detector's score or mean probability, predicted IoU, stability, agreement)
    score of a photo     = geometric mean of (quality of its worst segment, share of pixels that are not ignored,
                                              agreement of flips, agreement of backends,
                                              agreement with image-level labels)

Measures that a teacher does not have are left out. The worst segment counts rather than the mean, so that one bad table
in a good room is reviewed early. A photo without segments scores 0, since interiors nearly always show wall or floor.
A higher measure never lowers the score.
"""

from __future__ import annotations

import statistics
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from surfaces.detections import Mask
from surfaces.store.records import IMAGE_LABELS, ScoredSegment

CONTRADICTED = 0.1
"""`image_labels` of a photo with a class that is said to be absent, or without one that is said to be present."""


def segment_quality(segment: ScoredSegment) -> float:
    """The geometric mean of a segment's quality scores; its score where it has none."""
    return geometric_mean(segment.quality_scores.values() or [segment.detection.score])


def photo_quality(
    segments: Sequence[ScoredSegment], ignore_mask: Mask, agreement: Mapping[str, float]
) -> dict[str, float]:
    """The quality scores of a whole photo.

    Args:
        segments: of the photo.
        ignore_mask: bool HxW.
        agreement: the teacher's measures of the whole photo, such as `flips` and `backends`, which are returned too.
    """
    measures = {
        "worst_segment": min(map(segment_quality, segments), default=0.0),
        "sure_share": 1 - np.count_nonzero(ignore_mask) / ignore_mask.size,
        **agreement,
    }
    return {"score": geometric_mean(measures.values()), **measures}


def agreement_with_scope(contradictions: Collection[int]) -> dict[str, float]:
    """The measure `image_labels` of a photo of which something is known; contradictions are ids of classes."""
    return {IMAGE_LABELS: CONTRADICTED if contradictions else 1.0}


def geometric_mean(values: Collection[float]) -> float:
    """The geometric mean of at least one number from 0 to 1; 0 where one of them is 0."""
    return min(1.0, statistics.geometric_mean(values)) if min(values) > 0 else 0.0
