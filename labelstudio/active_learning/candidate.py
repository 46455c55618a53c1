"""What the queues know of a photo, read from a label store."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from labelstudio.active_learning.signals import (
    Floats,
    belief_raster,
    border_share,
    class_doubt,
    class_shares,
    descriptor,
)
from surfaces.errors import DatasetError
from surfaces.store.label_store import LabelStore
from surfaces.store.records import ScoredLabels


@dataclass(frozen=True, eq=False)
class Candidate:
    """A photo that nobody has reviewed.

    Attributes:
        sha256: of the photo's file.
        score: quality of its labels, 0 to 1, 1 is best.
        disagreement: of teachers, or of views of the photo, 0 to 1: 1 minus the least of the photo's qualities
            `backends` and `flips`; None where the teacher knows neither.
        class_shares: float32 (4,), share of the photo expected to be other, wall, floor, dining table.
        class_doubt: float32 (4,), share of the photo that each of them is expected to have wrong.
        border_share: pixels on a border between classes, on a raster of `signals.LONGEST_SIDE`.
        tables: dining tables in its labels.
        descriptor: float32 (D,); near for photos that look alike.
    """

    sha256: str
    score: float
    disagreement: float | None
    class_shares: npt.NDArray[np.float32]
    class_doubt: npt.NDArray[np.float32]
    border_share: float
    tables: int
    descriptor: npt.NDArray[np.float32]


def read_candidates(store: LabelStore) -> list[Candidate]:
    """The photos of a store that nobody has reviewed, by ascending sha256.

    One photo's masks are in memory at a time; what is kept of it is about a kilobyte.
    """
    return list(iterate_candidates(store))


def iterate_candidates(store: LabelStore) -> Iterator[Candidate]:
    """As `read_candidates`, one after another, for whom wants to show progress."""
    for photo in store.photos():
        if photo.origin != "reviewed":
            try:
                data = store.read_photo(photo)
            except DatasetError:  # whoever shows the photo to a person will tell
                data = b""
            yield candidate_of(photo.sha256, store.labels(photo.sha256), data)


def candidate_of(sha256: str, labels: ScoredLabels, photo: bytes) -> Candidate:
    """Measures one photo's labels.

    Args:
        sha256: of the photo's file.
        labels: of the photo.
        photo: its file, or nothing.
    """
    soft_labels: Floats = belief_raster(labels)
    agreements = [labels.quality_scores[name] for name in ("backends", "flips") if name in labels.quality_scores]
    return Candidate(
        sha256,
        labels.quality_scores.get("score", 0.0),
        1 - min(agreements) if agreements else None,
        class_shares(soft_labels),
        class_doubt(soft_labels),
        border_share(soft_labels),
        sum(segment.detection.surface.is_thing for segment in labels.segments),
        descriptor(soft_labels, photo),
    )
