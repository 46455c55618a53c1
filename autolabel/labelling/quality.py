"""How far labels can be trusted, from 0 to 1: what the review queue is ordered by.

A measure that a teacher does not know is left out, and 1 is always best:

    quality of a segment = geometric mean of (detector's score or mean belief, predicted IoU, stability, agreement)
    score of a photo     = geometric mean of (its worst segment's quality, share of sure pixels,
                                              agreement of flips, agreement of backends)

The worst segment counts, not the mean, since one bad table in a good room is what a reviewer should see. A photo in
which nothing was found scores 0: interiors nearly always show a wall or a floor. A photo's score never falls where one
of the measures rises.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from surfaces.detections import Mask
from surfaces.store.records import ScoredSegment


def segment_quality(segment: ScoredSegment) -> float:
    """The geometric mean of a segment's qualities, 0 to 1; its score where it has none."""
    return geometric_mean(segment.quality_scores.values() or [segment.detection.score])


def photo_qualities(
    segments: Sequence[ScoredSegment], ignore_mask: Mask, agreement: Mapping[str, float]
) -> dict[str, float]:
    """The qualities of a whole photo.

    Args:
        segments: what was found.
        unsure: bool HxW.
        agreement: what the teacher measured over the whole photo, such as `flips` and `backends`.

    Returns:
        `score`, `worst_segment`, `sure_share`, and what is in `agreement`; 0 to 1 each.
    """
    measures = {
        "worst_segment": min(map(segment_quality, segments), default=0.0),
        "sure_share": 1 - np.count_nonzero(ignore_mask) / ignore_mask.size,
        **agreement,
    }
    return {"score": geometric_mean(measures.values()), **measures}


def geometric_mean(values: Iterable[float]) -> float:
    """The geometric mean of numbers from 0 to 1 (at least one); 0 where one of them is."""
    logs = [math.log(value) if value > 0 else -math.inf for value in values]
    return min(1.0, math.exp(math.fsum(logs) / len(logs)))
