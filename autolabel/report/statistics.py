"""Statistics of a label store, counted in one pass."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from surfaces.classes import CLASSES
from surfaces.store.label_store import LabelStore, StoredPhoto, StoredSegment

BINS = 20


@dataclass
class Distribution:
    """Numbers from 0 to 1.

    Attributes:
        counts: of the numbers in each of `BINS` equal parts; 1 is in the last.
        count: of all numbers.
        total: their sum.
    """

    counts: list[int] = field(default_factory=lambda: [0] * BINS)
    count: int = 0
    total: float = 0.0

    def add(self, value: float) -> None:
        """Counts a number."""
        self.counts[min(BINS - 1, max(0, int(value * BINS)))] += 1
        self.count += 1
        self.total += value

    @property
    def mean(self) -> float:
        """NaN without numbers."""
        return self.total / self.count if self.count else float("nan")


@dataclass
class ClassStatistics:
    """The scores of a class's segments, and the share that it covers of each photo that has it."""

    area_shares: Distribution = field(default_factory=Distribution)
    scores: Distribution = field(default_factory=Distribution)


@dataclass
class Statistics:
    """A whole label store.

    Attributes:
        photos: number of labelled photos.
        classes: all of them, by name.
        quality_scores: of photos, by name.
        segment_scores: quality scores of segments, by name.
    """

    photos: int = 0
    classes: dict[str, ClassStatistics] = field(default_factory=lambda: {c.name: ClassStatistics() for c in CLASSES})
    quality_scores: defaultdict[str, Distribution] = field(default_factory=lambda: defaultdict(Distribution))
    segment_scores: defaultdict[str, Distribution] = field(default_factory=lambda: defaultdict(Distribution))

    def add(self, photo: StoredPhoto, segments: Sequence[StoredSegment]) -> None:
        """Counts a photo."""
        self.photos += 1
        for name, value in photo.quality_scores.items():
            self.quality_scores[name].add(value)
        for name, statistics in self.classes.items():
            if of_class := [segment for segment in segments if segment.surface.name == name]:
                area = sum(segment.area for segment in of_class)
                statistics.area_shares.add(area / (photo.width * photo.height))
                for segment in of_class:
                    statistics.scores.add(segment.score)
        for segment in segments:
            for name, value in segment.quality_scores.items():
                self.segment_scores[name].add(value)


def gather_statistics(store: LabelStore) -> Statistics:
    """Counts a whole store, one photo at a time."""
    statistics = Statistics()
    for photo in store.photos():
        statistics.add(photo, store.segments(photo.sha256))
    return statistics
