"""Labels of one photo with what is known of their quality: what a teacher makes and a person reviews."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from surfaces.classes import IGNORE, OTHER
from surfaces.dataset.sample import Labels
from surfaces.detections import Detection, Mask

MOST_TABLES = 254
"""Of one photo: label maps have a byte for a table's number."""


@dataclass(frozen=True, eq=False)
class GradedSegment:
    """One segment and how far it can be trusted.

    Attributes:
        detection: class, score, box and mask.
        qualities: measures from 0 to 1 by name, 1 is best: `detector` or `belief` (the score), `predicted_iou`,
            `stability`, `agreement`; those that the teacher does not know are absent.
    """

    detection: Detection
    qualities: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class GradedLabels:
    """The labels of one photo: every pixel has one class, is none of them, or is unsure.

    Attributes:
        segments: at most one wall, at most one floor, then tables by descending score; masks are not empty, do not
            overlap one another, nor `unsure`.
        unsure: bool HxW: nobody vouches for these pixels; they are left out of training and scoring.
        qualities: measures of the whole photo from 0 to 1 by name, 1 is best: `score` (what the review queue is ordered
            by), `worst_segment`, `sure_share`, `flips`, `backends`; those that the teacher does not know are absent.
        belief: the dense probabilities behind them, as in `Labels`; None where a teacher or a person has none.
    """

    segments: tuple[GradedSegment, ...]
    unsure: Mask
    qualities: Mapping[str, float] = field(default_factory=dict)
    belief: npt.NDArray[np.uint8] | None = None

    def labels(self) -> Labels:
        """The label maps that training reads."""
        semantic = np.where(self.unsure, IGNORE, OTHER).astype(np.uint8)
        tables = np.zeros(semantic.shape, np.uint8)
        for segment in self.segments:
            found = segment.detection
            semantic[found.mask] = found.surface.coco_id
            if found.surface.is_thing:
                tables[found.mask] = tables.max() + 1
        return Labels(semantic, tables, self.belief)
